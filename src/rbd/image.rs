//! An open image.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use rustix::io::Errno;

use super::cluster::{cstring, until_nul};
use super::ffi::{
    Api, FEATURE_EXCLUSIVE_LOCK, FEATURE_FAST_DIFF, FEATURE_STRIPINGV2, FLAGS_DIFF_INVALID,
    ImageHandle, ImageInfo, SNAP_NAMESPACE_USER, SnapInfo,
};
use super::lease::Lease;
use super::lineage::Lineage;
use super::parent::{Parent, SnapshotKey};
use super::pool::{fetch, text};
use super::watch::Watch;
use super::{Error, Pool, closer};

/// How an image is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Without a watch on the image, so it does not count as in use, and what others change
    /// (size, parent) is not seen.
    ReadOnly,
    /// For writing; see [`Image::acquire_lock`].
    ReadWrite,
}

/// What there is to know of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// librbd's own identifier, unique in the pool and never used again.
    pub id: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Bytes of its own objects, in whole objects; known if it has the fast-diff feature.
    pub used_bytes: Option<u64>,
    /// The image and snapshot it is a clone of.
    pub parent: Option<(String, String)>,
    /// Snapshots, oldest first.
    pub snapshots: Vec<String>,
}

/// An open image (`rbd_image_t`), closed on a thread of its own kind once the last reference to
/// it is dropped; operations in flight hold one.
pub struct Image {
    pool: Arc<Pool>,
    handle: *mut ImageHandle,
    name: String,
    access: Access,
    info: Info,
    size_bytes: AtomicU64,
    /// The number of the snapshot that it was opened at.
    snapshot: Option<u64>,
    /// Changes of the image that were heard of.
    changes: AtomicU64,
    refreshing: Mutex<()>,
    settled: Mutex<Option<Settled>>,
    lease: Lease,
    lineage: Lineage,
    /// Of an image that is open for writing.
    watch: OnceLock<Watch>,
    fenced: AtomicBool,
    /// Offsets and sizes are those of the decrypted data.
    pub(super) decrypted: AtomicBool,
    /// The pool knows that it is being closed.
    closing: AtomicBool,
    /// The pool knows it as the one that may write.
    writing: AtomicBool,
}

/// What others can change of an open image, as it was found after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Of how many changes this is the outcome.
    pub changes: u64,
    /// What it is a clone of.
    pub parent: Option<Parent>,
}

/// What was true of the image when it was opened.
struct Info {
    object_bytes: u64,
    features: u64,
}

// SAFETY: librbd promises that an image handle may be used from any thread at once.
unsafe impl Send for Image {}
// SAFETY: as above.
unsafe impl Sync for Image {}

impl Image {
    /// Opens an image, or one of its snapshots (read-only).
    ///
    /// # Errors
    /// ENOENT if there is no such image or snapshot.
    pub fn open(
        pool: &Arc<Pool>,
        image: &str,
        snapshot: Option<&str>,
        access: Access,
    ) -> Result<Arc<Self>, Error> {
        let api = pool.api();
        let name = cstring(image)?;
        let snapshot_c = snapshot.map(cstring).transpose()?;
        let at = snapshot_c.as_ref().map_or(std::ptr::null(), |name| name.as_ptr());
        let open = match access {
            Access::ReadOnly => api.rbd_open_read_only,
            Access::ReadWrite => api.rbd_open,
        };
        let mut handle = std::ptr::null_mut();
        // SAFETY: the names outlive the call, which fills in `handle`.
        let code = unsafe { open(pool.io(), name.as_ptr(), &raw mut handle, at) };
        pool.check(code, || match snapshot {
            Some(snapshot) => format!("opening {}@{snapshot}", pool.name_of(image)),
            None => format!("opening image {}", pool.name_of(image)),
        })?;
        let mut this = Self::of_handle(pool, handle, image, access);
        this.snapshot = snapshot.map(|name| this.snapshot_number(name)).transpose()?;
        this.info = this.read_info()?;
        let this = Arc::new(this);
        if access == Access::ReadWrite {
            let watch = Watch::start(&this)?;
            // Before the size is read, so that no change is missed.
            let _first = this.watch.set(watch);
            this.refresh()?;
        }
        Ok(this)
    }

    /// Opens the snapshot of that number of the image with that id, to read it; both may be in the
    /// trash. `name` is the image's, for messages.
    pub(super) fn open_snapshot_by_id(
        pool: &Arc<Pool>,
        name: &str,
        id: &str,
        snapshot: u64,
    ) -> Result<Arc<Self>, Error> {
        let api = pool.api();
        let id_c = cstring(id)?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: the id outlives the call, which fills in `handle`; NULL is the image itself.
        let code = unsafe {
            (api.rbd_open_by_id_read_only)(
                pool.io(),
                id_c.as_ptr(),
                &raw mut handle,
                std::ptr::null(),
            )
        };
        pool.check(code, || format!("opening image {} (id {id})", pool.name_of(name)))?;
        let mut this = Self::of_handle(pool, handle, name, Access::ReadOnly);
        // SAFETY: an open handle that nobody else has.
        let code = unsafe { (api.rbd_snap_set_by_id)(this.handle, snapshot) };
        this.check(code, "opening a snapshot")?;
        this.snapshot = Some(snapshot);
        this.info = this.read_info()?;
        Ok(Arc::new(this))
    }

    /// Dropping it closes the handle, whatever fails from here on.
    fn of_handle(pool: &Arc<Pool>, handle: *mut ImageHandle, name: &str, access: Access) -> Self {
        Self {
            pool: Arc::clone(pool),
            handle,
            name: name.to_owned(),
            access,
            info: Info { object_bytes: 0, features: 0 },
            size_bytes: AtomicU64::new(0),
            snapshot: None,
            changes: AtomicU64::new(0),
            refreshing: Mutex::default(),
            settled: Mutex::default(),
            lease: Lease::default(),
            lineage: Lineage::default(),
            watch: OnceLock::new(),
            fenced: AtomicBool::new(false),
            decrypted: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            writing: AtomicBool::new(false),
        }
    }

    /// Changes by other clients that were heard of (size, parent, snapshots), those made through
    /// this handle included. Only of an image that is open for writing.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// What is known after the last of [`Self::changes`]; `None` while it is being asked for, or if
    /// it could not be had.
    #[must_use]
    pub fn settled(&self) -> Option<Settled> {
        self.settled.lock().clone().filter(|settled| settled.changes == self.changes())
    }

    /// There was a change; [`Self::refresh`] finds out which.
    pub(super) fn set_changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// When the exclusive lock was seen to be this client's.
    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// What is behind it, as it was when it was opened.
    pub(super) fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// Itself as the parent of a clone, if it is open at a snapshot.
    pub(super) fn as_parent(&self) -> Result<Option<Parent>, Error> {
        let Some(snapshot_id) = self.snapshot else { return Ok(None) };
        let key = SnapshotKey {
            fsid: self.pool.cluster().fsid().to_owned(),
            pool_id: self.pool.id(),
            namespace: self.pool.namespace().to_owned(),
            image_id: self.id()?,
            snapshot_id,
        };
        let overlap_bytes = self.size_bytes();
        Ok(Some(Parent { key, image: self.name.clone(), snapshot: String::new(), overlap_bytes }))
    }

    /// Waits until all that was submitted has ended.
    pub(super) fn flush(&self) -> Result<(), Error> {
        // SAFETY: an open handle.
        let code = unsafe { (self.api().rbd_flush)(self.handle) };
        self.check(code, "flush")
    }

    /// Reads size and parent again.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub(super) fn refresh(&self) -> Result<(), Error> {
        // One at a time: what was read last stays.
        let _refreshing = self.refreshing.lock();
        let changes = self.changes();
        self.refresh_size()?;
        let parent = self.parent()?;
        self.lineage.set_parent(parent.as_ref());
        *self.settled.lock() = Some(Settled { changes, parent });
        Ok(())
    }

    fn refresh_size(&self) -> Result<(), Error> {
        let mut size = 0;
        // SAFETY: the call fills in `size`.
        let code = unsafe { (self.api().rbd_get_size)(self.handle, &raw mut size) };
        self.check(code, "rbd_get_size")?;
        self.size_bytes.store(size, Ordering::Release);
        Ok(())
    }

    /// Makes the image larger; what is new reads as zeros.
    ///
    /// # Errors
    /// EINVAL if it would become smaller.
    pub fn resize(&self, size_bytes: u64) -> Result<(), Error> {
        // SAFETY: an open handle; the progress function must not be NULL.
        let code = unsafe {
            (self.api().rbd_resize2)(
                self.handle,
                size_bytes,
                false,
                no_progress,
                std::ptr::null_mut(),
            )
        };
        self.check(code, "resizing")?;
        self.refresh()
    }

    fn read_info(&self) -> Result<Info, Error> {
        let mut info = MaybeUninit::<ImageInfo>::zeroed();
        // SAFETY: the call fills in a structure of that size.
        let code = unsafe {
            (self.api().rbd_stat)(self.handle, info.as_mut_ptr(), size_of::<ImageInfo>())
        };
        self.check(code, "rbd_stat")?;
        // SAFETY: filled in; all of its fields may be zero too.
        let info = unsafe { info.assume_init() };
        let mut features = 0;
        // SAFETY: the call fills in `features`.
        let code = unsafe { (self.api().rbd_get_features)(self.handle, &raw mut features) };
        self.check(code, "rbd_get_features")?;
        self.size_bytes.store(info.size, Ordering::Release);
        Ok(Info { object_bytes: info.obj_size, features })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `POOL[/NAMESPACE]/IMAGE`, for messages.
    #[must_use]
    pub fn label(&self) -> String {
        self.pool.name_of(&self.name)
    }

    /// How it was opened.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// Size in bytes: as it is now, if it is open for writing; otherwise when it was opened.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes.load(Ordering::Acquire)
    }

    /// Size of its objects in bytes.
    #[must_use]
    pub fn object_bytes(&self) -> u64 {
        self.info.object_bytes
    }

    /// Whether its bytes go to its objects in turns, a piece to each (`rbd create --stripe-count`).
    #[must_use]
    pub fn is_striped(&self) -> bool {
        self.info.features & FEATURE_STRIPINGV2 != 0
    }

    /// Whether it has the exclusive-lock feature.
    #[must_use]
    pub fn has_exclusive_lock(&self) -> bool {
        self.info.features & FEATURE_EXCLUSIVE_LOCK != 0
    }

    /// Another client owns the image now; once true this stays true.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Relaxed)
    }

    /// From now on nothing is served through this handle.
    pub fn set_fenced(&self) {
        self.fenced.store(true, Ordering::Relaxed);
    }

    /// Everything about the image.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn stat(&self) -> Result<Stat, Error> {
        Ok(Stat {
            id: self.id()?,
            size_bytes: self.size_bytes(),
            used_bytes: self.used_bytes()?,
            parent: self.parent()?.map(|parent| (parent.image, parent.snapshot)),
            snapshots: self.snapshots()?,
        })
    }

    /// librbd's own identifier of the image.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn id(&self) -> Result<String, Error> {
        let mut id = [0_u8; 256];
        // SAFETY: the call writes at most `id.len()` bytes.
        let code =
            unsafe { (self.api().rbd_get_id)(self.handle, id.as_mut_ptr().cast(), id.len()) };
        self.check(code, "rbd_get_id")?;
        Ok(until_nul(&id))
    }

    /// What the image holds is known without asking each of its objects.
    pub(super) fn has_object_map(&self) -> Result<bool, Error> {
        let mut flags = 0;
        // SAFETY: the call fills in `flags`.
        let code = unsafe { (self.api().rbd_get_flags)(self.handle, &raw mut flags) };
        self.check(code, "rbd_get_flags")?;
        Ok(self.info.features & FEATURE_FAST_DIFF != 0 && flags & FLAGS_DIFF_INVALID == 0)
    }

    /// Answered from the object map, so the cost is a few bits per object.
    fn used_bytes(&self) -> Result<Option<u64>, Error> {
        if !self.has_object_map()? {
            return Ok(None);
        }
        let mut used = 0_u64;
        // SAFETY: `count` takes a `u64`, which outlives the call.
        let code = unsafe {
            (self.api().rbd_diff_iterate2)(
                self.handle,
                std::ptr::null(),
                0,
                self.size_bytes(),
                0,
                1,
                count,
                (&raw mut used).cast(),
            )
        };
        self.check(code, "rbd_diff_iterate2")?;
        Ok(Some(used))
    }

    /// What it holds was frozen before, at a snapshot that is still there.
    pub(super) fn has_earlier_snapshots(&self) -> Result<bool, Error> {
        let mut earlier = false;
        self.each_snapshot(|found| earlier |= self.snapshot.is_none_or(|own| found.id < own))?;
        Ok(earlier)
    }

    /// The number of the snapshot of that name, at which this is open.
    fn snapshot_number(&self, name: &str) -> Result<u64, Error> {
        let mut number = None;
        self.each_snapshot(|found| {
            // SAFETY: librbd's own string, given back after this.
            if unsafe { text(found.name) } == name {
                number = Some(found.id);
            }
        })?;
        number
            .ok_or_else(|| Error::new(Errno::NOENT, format!("snapshot {name} of {}", self.label())))
    }

    fn snapshots(&self) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        self.each_snapshot(|snapshot| {
            let mut namespace = -1;
            // SAFETY: the call fills in `namespace`.
            let code = unsafe {
                (self.api().rbd_snap_get_namespace_type)(
                    self.handle,
                    snapshot.id,
                    &raw mut namespace,
                )
            };
            // Removed since: not one of the image's snapshots any more.
            if code == 0 && namespace == SNAP_NAMESPACE_USER {
                // SAFETY: librbd's own string, given back after this.
                names.push(unsafe { text(snapshot.name) });
            }
        })?;
        Ok(names)
    }

    /// Shows the snapshots of all kinds, oldest first.
    fn each_snapshot(&self, mut show: impl FnMut(&SnapInfo)) -> Result<(), Error> {
        let api = self.api();
        let list = |entries: *mut SnapInfo, count: *mut usize| {
            // SAFETY: `fetch` passes a valid count. This call takes an `int`, and returns how many.
            unsafe {
                let mut max = c_int::try_from(*count).unwrap_or(c_int::MAX);
                let code = (api.rbd_snap_list)(self.handle, entries, &raw mut max);
                *count = usize::try_from(if code < 0 { max } else { code }).unwrap_or(0);
                code
            }
        };
        // SAFETY: on success `list` leaves the number of entries that it filled in.
        let found = unsafe { fetch(list) };
        let mut found = found
            .or_else(|code| self.pool.fail(code, || format!("snapshots of {}", self.label())))?;
        found.sort_by_key(|snapshot| snapshot.id);
        found.iter().for_each(&mut show);
        if !found.is_empty() {
            // SAFETY: frees the names up to the NULL one that `rbd_snap_list` put behind the last
            // entry, inside the room it was given; sorting moved only what is in front of it.
            unsafe { (api.rbd_snap_list_end)(found.as_mut_ptr()) };
        }
        Ok(())
    }

    /// Freezes what the image holds now.
    ///
    /// # Errors
    /// EEXIST if there is a snapshot of that name.
    pub fn snapshot(&self, snapshot: &str) -> Result<(), Error> {
        let name = cstring(snapshot)?;
        // SAFETY: the name outlives the call; the progress function must not be NULL.
        let code = unsafe {
            (self.api().rbd_snap_create2)(
                self.handle,
                name.as_ptr(),
                0,
                no_progress,
                std::ptr::null_mut(),
            )
        };
        self.pool.check(code, || format!("snapshot {}@{snapshot}", self.label())).map(drop)
    }

    /// Removes a snapshot. While clones need it, its data stay.
    ///
    /// # Errors
    /// ENOENT if there is none of that name.
    pub fn remove_snapshot(&self, snapshot: &str) -> Result<(), Error> {
        let name = cstring(snapshot)?;
        // SAFETY: the name outlives the call.
        let code = unsafe { (self.api().rbd_snap_remove)(self.handle, name.as_ptr()) };
        self.pool.check(code, || format!("removing snapshot {}@{snapshot}", self.label())).map(drop)
    }

    /// Has the image hold again what it held when the snapshot was made, at the size that it had.
    ///
    /// # Errors
    /// ENOENT if there is no snapshot of that name, EROFS if another client owns the image.
    pub fn rollback(&self, snapshot: &str) -> Result<(), Error> {
        let name = cstring(snapshot)?;
        // SAFETY: the name outlives the call.
        let code = unsafe { (self.api().rbd_snap_rollback)(self.handle, name.as_ptr()) };
        self.pool.check(code, || format!("rolling back to {}@{snapshot}", self.label()))?;
        self.refresh()
    }

    pub(super) fn check(&self, code: c_int, what: &str) -> Result<(), Error> {
        self.pool.check(code, || format!("{what} of {}", self.label())).map(drop)
    }

    pub(super) fn api(&self) -> &'static Api {
        self.pool.api()
    }

    pub(super) fn handle(&self) -> *mut ImageHandle {
        self.handle
    }

    /// The pool it is in.
    #[must_use]
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }
}

impl Image {
    /// Nothing more will be asked of this handle: whoever opens the image next waits until what is
    /// under way has ended and the handle is closed. To be called once.
    pub fn retire(&self) {
        if !self.closing.swap(true, Ordering::Relaxed) {
            self.pool.set_closing(&self.name);
        }
    }

    /// Makes this the one handle of this client that may write to the image, until it is closed.
    /// False: there is another.
    #[must_use]
    pub fn begin_writing(&self) -> bool {
        let begun = self.pool.begin_writing(&self.name);
        self.writing.fetch_or(begun, Ordering::Relaxed);
        begun
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        /// Carries the pointer to the other thread.
        struct Owned(*mut ImageHandle);
        // SAFETY: the pointer's only user goes with it.
        unsafe impl Send for Owned {}

        let (pool, owned) = (Arc::clone(&self.pool), Owned(self.handle));
        let watch = self.watch.take();
        let name = std::mem::take(&mut self.name);
        let writing = self.writing.load(Ordering::Relaxed);
        // What librbd does of its own accord (others may have asked it to flatten the image) ends
        // no sooner than with the handle.
        let behind = self.lineage.take();
        if !self.closing.load(Ordering::Relaxed) {
            pool.set_closing(&name);
        }
        let closed = Closed { pool: Arc::clone(&pool), name: name.clone() };
        closer::run(move || {
            let (owned, _closed) = (owned, closed);
            if let Some(watch) = watch {
                watch.end(pool.api(), owned.0);
            }
            // SAFETY: the last reference is gone, and with it every operation. The result says
            // nothing that could still be acted on.
            unsafe { (pool.api().rbd_close)(owned.0) };
            drop(behind);
            if writing {
                pool.end_writing(&name);
            }
        });
    }
}

/// Who waits for an image to be closed waits no longer than until this is dropped, however closing it
/// ends.
struct Closed {
    pool: Arc<Pool>,
    name: String,
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.pool.set_closed(&self.name);
    }
}

unsafe extern "C" fn no_progress(_done: u64, _total: u64, _arg: *mut c_void) -> c_int {
    0
}

/// Adds up what exists.
unsafe extern "C" fn count(_offset: u64, len: usize, exists: c_int, arg: *mut c_void) -> c_int {
    if exists != 0 {
        // SAFETY: `arg` is the `u64` of `Image::used_bytes`, which waits for the call to end.
        let used = unsafe { &mut *arg.cast::<u64>() };
        *used = used.saturating_add(len as u64);
    }
    0
}
