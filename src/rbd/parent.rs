//! Clones: what they were made from, and which of their objects are their own.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Arc;

use rustix::io::Errno;

use super::ancestors::Ancestor;
use super::ffi::{LinkedImageSpec, SnapSpec};
use super::pool::{fetch, text};
use super::{Error, Image, Pool};

/// Identity of a snapshot: what it holds never changes, and no other ever has the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SnapshotKey {
    /// UUID of the cluster.
    pub fsid: String,
    /// Number of the pool.
    pub pool_id: i64,
    /// Namespace in the pool; empty: the default one.
    pub namespace: String,
    /// librbd's identifier of the image, not its name.
    pub image_id: String,
    /// Number of the snapshot.
    pub snapshot_id: u64,
}

/// What a clone was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Which snapshot.
    pub key: SnapshotKey,
    /// The image's name, as it was when the clone was opened.
    pub image: String,
    /// The snapshot's name, likewise.
    pub snapshot: String,
    /// How much of the clone, in bytes from its start, the parent is behind; what is beyond reads
    /// as zeros where the clone has nothing of its own.
    pub overlap_bytes: u64,
}

impl Image {
    /// What this is a clone of; `None`: of nothing (any more). An image open at a snapshot tells
    /// that snapshot's parent.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn parent(&self) -> Result<Option<Parent>, Error> {
        let api = self.api();
        let mut image = MaybeUninit::<LinkedImageSpec>::zeroed();
        let mut snapshot = MaybeUninit::<SnapSpec>::zeroed();
        // SAFETY: the call fills in both on success.
        let code = unsafe {
            (api.rbd_get_parent)(self.handle(), image.as_mut_ptr(), snapshot.as_mut_ptr())
        };
        let found = self.pool().optional(code, || format!("the parent of {}", self.label()))?;
        if found.is_none() {
            return Ok(None);
        }
        // SAFETY: filled in; the strings are librbd's, NUL-terminated, and given back once, after
        // they were copied.
        let mut parent = unsafe {
            let (image, snapshot) = (image.as_mut_ptr(), snapshot.as_mut_ptr());
            let parent = Parent {
                key: SnapshotKey {
                    fsid: self.pool().cluster().fsid().to_owned(),
                    pool_id: (*image).pool_id,
                    namespace: text((*image).pool_namespace),
                    image_id: text((*image).image_id),
                    snapshot_id: (*snapshot).id,
                },
                image: text((*image).image_name),
                snapshot: text((*snapshot).name),
                overlap_bytes: 0,
            };
            (api.rbd_linked_image_spec_cleanup)(image);
            (api.rbd_snap_spec_cleanup)(snapshot);
            parent
        };
        // SAFETY: the call fills in the number.
        let code = unsafe { (api.rbd_get_overlap)(self.handle(), &raw mut parent.overlap_bytes) };
        self.check(code, "rbd_get_overlap")?;
        Ok(Some(parent))
    }

    /// Opens a snapshot of the same cluster to read it, as [`Self::parent`] names it; also one in
    /// the trash. It may be a clone itself, and is read through all of its parents: it
    /// [is told](Self::is_outdated) when one of these changes. Blocks.
    ///
    /// # Errors
    /// ENOENT if there is no such snapshot.
    pub fn open_parent(&self, parent: &Parent) -> Result<Arc<Self>, Error> {
        let SnapshotKey { image_id, snapshot_id, .. } = &parent.key;
        let pool = Pool::of_key(self.pool(), &parent.key)?;
        Self::open_with_ancestors(&pool, &parent.image, || {
            Self::open_snapshot_by_id(&pool, &parent.image, image_id, *snapshot_id)
        })
    }

    /// The ranges, in bytes, of the objects that the image has itself, ascending and apart: what
    /// is outside of them is its parent's still, or nothing. `None` without a usable object map
    /// (each object would have to be asked), with earlier snapshots (librbd looks at theirs, too,
    /// and where one is of no use it silently asks the objects, and then passes over those that the
    /// image has discarded), and of decrypted data.
    ///
    /// From the object map it costs a few bits an object. Writes that are under way may be in it
    /// or not. Blocks.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn own_objects(&self) -> Result<Option<Vec<Range<u64>>>, Error> {
        if self.is_decrypted() || !self.has_object_map()? || self.has_earlier_snapshots()? {
            return Ok(None);
        }
        let mut found: Vec<Range<u64>> = Vec::new();
        // SAFETY: `collect` takes a list of ranges, which outlives the call.
        let code = unsafe {
            (self.api().rbd_diff_iterate2)(
                self.handle(),
                std::ptr::null(),
                0,
                self.size_bytes(),
                0,
                1,
                collect,
                (&raw mut found).cast(),
            )
        };
        self.check(code, "rbd_diff_iterate2")?;
        // It may have lost its map, or got a snapshot, meanwhile.
        Ok((self.has_object_map()? && !self.has_earlier_snapshots()?).then_some(found))
    }

    /// Copies what the image has of its parents, whose clone it is no longer then. Blocks for as
    /// long as that takes.
    ///
    /// # Errors
    /// When the image cannot be written, or its parents cannot be read. EBUSY if one behind it has
    /// changed meanwhile: to be repeated with an image that is [opened anew](Self::open_watched).
    /// EBADMSG if it is too late for that.
    pub fn flatten(&self) -> Result<(), Error> {
        // librbd reads through images as they were when this was opened, or when the owner of the
        // lock, who may be asked to do it, has opened it. They stay until it is done, even when it
        // is known that one has changed and nobody else needs them any more.
        let behind = self.lineage().keep();
        if !self.is_current() {
            return Err(self.changed_meanwhile());
        }
        let arg = std::ptr::from_ref(self).cast_mut().cast();
        // SAFETY: an open handle; `self`, which the callback gets, outlives the call.
        let code =
            unsafe { (self.api().rbd_flatten_with_progress)(self.handle(), while_current, arg) };
        if code < 0 && self.is_outdated() {
            return Err(self.changed_meanwhile());
        }
        self.check(code, "copying its parents' data")?;
        // What is still there was there all along. (The first one was needed as long as the image
        // was its clone, and may rightly be gone.) What cannot be looked at counts as gone: repeated,
        // this would find nothing left to do.
        let is_there = |ancestor: &Arc<Ancestor>| matches!(ancestor.is_there(), Ok(true));
        match self.is_outdated() && !behind.iter().skip(1).all(is_there) {
            true => Err(self.copied_what_was_gone()),
            false => Ok(()),
        }
    }

    fn changed_meanwhile(&self) -> Error {
        let message =
            format!("{}: what is behind it has changed meanwhile; repeat it", self.label());
        Error::new(Errno::BUSY, message)
    }

    fn copied_what_was_gone(&self) -> Error {
        let message = format!(
            "{} is independent of its parents now, but one of them was removed, or cannot be \
             looked at, while their data were copied: parts of it may be zeros; restore it",
            self.label()
        );
        Error::new(Errno::BADMSG, message)
    }

    /// How many clones hang on the snapshot that this was opened at.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn children(&self) -> Result<usize, Error> {
        let api = self.api();
        // SAFETY: on success the call has filled in as many entries as it says.
        let children = unsafe {
            fetch(|images: *mut LinkedImageSpec, count| {
                (api.rbd_list_children3)(self.handle(), images, count)
            })
        };
        let mut children = children
            .or_else(|code| self.pool().fail(code, || format!("clones of {}", self.label())))?;
        // SAFETY: gives back what the call above handed out, once.
        unsafe { (api.rbd_linked_image_spec_list_cleanup)(children.as_mut_ptr(), children.len()) };
        Ok(children.len())
    }
}

/// Before each object: whether it goes on. (If another client does it, that one does not ask.)
unsafe extern "C" fn while_current(_done: u64, _total: u64, arg: *mut c_void) -> c_int {
    // SAFETY: `arg` is the image of `Image::flatten`, which waits for the call to end.
    let image = unsafe { &*arg.cast_const().cast::<Image>() };
    if image.is_outdated() { -Errno::CANCELED.raw_os_error() } else { 0 }
}

/// One run of objects. What was there and is gone counts as the image's own, too.
unsafe extern "C" fn collect(offset: u64, len: usize, _exists: c_int, arg: *mut c_void) -> c_int {
    // SAFETY: `arg` is the list of `Image::own_objects`, which waits for the call to end.
    let found = unsafe { &mut *arg.cast::<Vec<Range<u64>>>() };
    let end = offset.saturating_add(len as u64);
    match found.last_mut() {
        Some(last) if last.end == offset => last.end = end,
        _ => found.push(offset..end),
    }
    0
}
