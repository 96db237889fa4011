//! A pool (and namespace) of a cluster, and the images in it by name.
#![allow(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::io::Errno;

use super::cluster::{cstring, until_nul};
use super::error::check;
use super::ffi::{
    Api, FEATURE_DEEP_FLATTEN, FEATURE_EXCLUSIVE_LOCK, FEATURE_FAST_DIFF, FEATURE_LAYERING,
    FEATURE_OBJECT_MAP, ImageSpec, IoHandle, OPTION_CLONE_FORMAT, OPTION_FEATURES, OPTION_FORMAT,
    OptionsHandle, RadosCompletion,
};
use super::{Cluster, Error, SnapshotKey};

/// Features of every image and clone made here.
const FEATURES: u64 = FEATURE_LAYERING
    | FEATURE_EXCLUSIVE_LOCK
    | FEATURE_OBJECT_MAP
    | FEATURE_FAST_DIFF
    | FEATURE_DEEP_FLATTEN;

/// Most entries of one answer (images, snapshots, watchers).
const LIST_MAX: usize = 1 << 22;

/// Where images live (`rados_ioctx_t`).
pub struct Pool {
    cluster: Arc<Cluster>,
    io: *mut IoHandle,
    /// The default namespace, where the pool's own settings are.
    root: *mut IoHandle,
    id: i64,
    name: String,
    namespace: String,
    /// `POOL` or `POOL/NAMESPACE`, for messages.
    label: String,
    /// Images that were dropped and are not closed yet, with how many handles each.
    closing: Mutex<HashMap<String, usize>>,
    closed: Condvar,
    /// Images that are open for somebody who may write to them.
    writing: Mutex<HashSet<String>>,
}

// SAFETY: librados promises that an I/O context may be used from any thread at once, but for
// changing its settings (namespace), which only `open` does, before anyone else has it.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    /// Opens a pool, or one namespace of it (`""`: the default namespace). Gives up after
    /// `timeout`.
    ///
    /// # Errors
    /// ENOENT, with what to do, when the pool or the namespace does not exist; ETIMEDOUT.
    pub fn open(
        cluster: &Arc<Cluster>,
        pool: &str,
        namespace: &str,
        timeout: Duration,
    ) -> Result<Arc<Self>, Error> {
        let mut this = Self::of_root(cluster, create_io(cluster, pool)?, pool);
        if !namespace.is_empty() {
            this.check_namespace(namespace, timeout)?;
            this.enter(namespace)?;
        }
        Ok(Arc::new(this))
    }

    /// Where a snapshot is, reached as `here` is.
    pub(super) fn of_key(here: &Arc<Self>, key: &SnapshotKey) -> Result<Arc<Self>, Error> {
        if key.pool_id == here.id && key.namespace == here.namespace {
            return Ok(Arc::clone(here));
        }
        Self::open_by_id(&here.cluster, key.pool_id, &key.namespace)
    }

    /// Opens the pool of that number, and a namespace of it that is known to be there.
    fn open_by_id(cluster: &Arc<Cluster>, id: i64, namespace: &str) -> Result<Arc<Self>, Error> {
        let mut root = std::ptr::null_mut();
        // SAFETY: the cluster is connected; the call fills in `root`.
        let code =
            unsafe { (cluster.api().rados_ioctx_create2)(cluster.handle(), id, &raw mut root) };
        check(code, || format!("pool number {id}")).map_err(|error| cluster.note(error))?;
        let mut this = Self::of_root(cluster, root, "");
        let mut name = [0_u8; 256];
        // SAFETY: the call writes at most `name.len()` bytes.
        let code = unsafe {
            let len = name.len() as u32;
            (this.api().rados_ioctx_get_pool_name)(root, name.as_mut_ptr().cast(), len)
        };
        this.check(code, || format!("the name of pool {id}"))?;
        this.name = until_nul(&name);
        this.label.clone_from(&this.name);
        if !namespace.is_empty() {
            this.enter(namespace)?;
        }
        Ok(Arc::new(this))
    }

    /// Destroyed when it is dropped; so is `io`, once it is one of its own.
    fn of_root(cluster: &Arc<Cluster>, root: *mut IoHandle, name: &str) -> Self {
        Self {
            cluster: Arc::clone(cluster),
            io: root,
            root,
            // SAFETY: `root` was just made.
            id: unsafe { (cluster.api().rados_ioctx_get_id)(root) },
            name: name.to_owned(),
            namespace: String::new(),
            label: name.to_owned(),
            closing: Mutex::default(),
            closed: Condvar::new(),
            writing: Mutex::default(),
        }
    }

    fn check_namespace(&self, namespace: &str, timeout: Duration) -> Result<(), Error> {
        let name = cstring(namespace)?;
        // The call below waits for the same object without a limit, and says what else is wrong.
        match self.read_object(c"rbd_namespace", timeout) {
            Err(error) if error.errno() == Errno::TIMEDOUT => return Err(error),
            _ => {}
        }
        let mut exists = false;
        // SAFETY: the string outlives the call, which fills in `exists`.
        let code =
            unsafe { (self.api().rbd_namespace_exists)(self.root, name.as_ptr(), &raw mut exists) };
        self.check(code, || format!("namespace {namespace} of pool {}", self.label))?;
        if !exists {
            let full = format!("{}/{namespace}", self.label);
            return Err(Error::new(
                Errno::NOENT,
                format!("namespace {full} (rbd namespace create {full})"),
            ));
        }
        Ok(())
    }

    fn enter(&mut self, namespace: &str) -> Result<(), Error> {
        let name = cstring(namespace)?;
        self.io = create_io(&self.cluster, &self.name)?;
        // SAFETY: nobody else has this I/O context yet.
        unsafe { (self.api().rados_ioctx_set_namespace)(self.io, name.as_ptr()) };
        self.label = format!("{}/{namespace}", self.label);
        namespace.clone_into(&mut self.namespace);
        Ok(())
    }

    /// The pool's name, without the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace in the pool; empty: the default one.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The cluster it belongs to.
    #[must_use]
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// `POOL` or `POOL/NAMESPACE`, for messages.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The pool's number; unlike its name it never changes.
    #[must_use]
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Whether the cluster answers for this pool within `timeout`: one small read.
    ///
    /// # Errors
    /// ETIMEDOUT if it does not; what it said if it refuses.
    pub fn probe(&self, timeout: Duration) -> Result<(), Error> {
        match self.read_object(c"rbd_directory", timeout) {
            // A pool without images has no directory.
            Err(error) if error.errno() == Errno::NOENT => Ok(()),
            result => result,
        }
    }

    /// One small read of an object.
    fn read_object(&self, object: &CStr, timeout: Duration) -> Result<(), Error> {
        let api = self.api();
        let state = Arc::new(Probe::default());
        let mut completion = std::ptr::null_mut();
        // The callback's own reference.
        let arg = Arc::into_raw(Arc::clone(&state)).cast_mut().cast::<c_void>();
        // SAFETY: `on_probe` takes exactly such an argument.
        let code =
            unsafe { (api.rados_aio_create_completion2)(arg, on_probe, &raw mut completion) };
        check(code, || "rados_aio_create_completion2".into())?;
        // SAFETY: the outputs lie in `state`, which lives until the callback has run.
        let code = unsafe {
            (api.rados_aio_stat)(
                self.io,
                object.as_ptr(),
                completion,
                state.size.as_ptr(),
                state.mtime.as_ptr(),
            )
        };
        let context = || format!("reading pool {}", self.label);
        let result = if code < 0 {
            // SAFETY: the operation did not start: the callback will not run.
            drop(unsafe { Arc::from_raw(arg.cast::<Probe>().cast_const()) });
            self.check(code, context)
        } else if let Some(code) = state.wait(api, completion, timeout) {
            self.check(code, context)
        } else {
            // SAFETY: the completion is not released yet; its callback runs with ECANCELED.
            unsafe { (api.rados_aio_cancel)(self.io, completion) };
            Err(Error::new(Errno::TIMEDOUT, context()))
        };
        // SAFETY: our reference, given back once; librados keeps its own while it needs it.
        unsafe { (api.rados_aio_release)(completion) };
        result.map(drop)
    }

    /// Makes an image of `size_bytes` zeros.
    ///
    /// # Errors
    /// EEXIST if there is one of that name.
    pub fn create(&self, image: &str, size_bytes: u64) -> Result<(), Error> {
        let name = cstring(image)?;
        let options = Options::new(self.api(), &[(OPTION_FORMAT, 2), (OPTION_FEATURES, FEATURES)])?;
        // SAFETY: name and options outlive the call.
        let code =
            unsafe { (self.api().rbd_create4)(self.io, name.as_ptr(), size_bytes, options.handle) };
        self.check(code, || format!("creating image {}", self.name_of(image))).map(drop)
    }

    /// Makes `child` a clone (format 2: nothing to protect) of a snapshot of an image here.
    ///
    /// # Errors
    /// ENOENT if there is no such snapshot, EEXIST if there is an image named `child`.
    pub fn clone_image(&self, parent: &str, snapshot: &str, child: &str) -> Result<(), Error> {
        let (parent_c, snapshot_c, child_c) =
            (cstring(parent)?, cstring(snapshot)?, cstring(child)?);
        let options =
            Options::new(self.api(), &[(OPTION_FEATURES, FEATURES), (OPTION_CLONE_FORMAT, 2)])?;
        // SAFETY: names and options outlive the call.
        let code = unsafe {
            (self.api().rbd_clone3)(
                self.io,
                parent_c.as_ptr(),
                snapshot_c.as_ptr(),
                self.io,
                child_c.as_ptr(),
                options.handle,
            )
        };
        self.check(code, || format!("cloning {}@{snapshot} to {child}", self.name_of(parent)))
            .map(drop)
    }

    /// Removes an image. librbd moves it to the trash first; the same call finishes a removal that
    /// was cut short there.
    ///
    /// # Errors
    /// ENOTEMPTY if it has snapshots, EBUSY if someone has it open.
    pub fn remove(&self, image: &str) -> Result<(), Error> {
        let name = cstring(image)?;
        // SAFETY: the name outlives the call.
        let code = unsafe { (self.api().rbd_remove)(self.io, name.as_ptr()) };
        self.check(code, || format!("removing image {}", self.name_of(image))).map(drop)
    }

    /// The names of all images.
    ///
    /// # Errors
    /// When the pool cannot be read.
    pub fn list(&self) -> Result<Vec<String>, Error> {
        let api = self.api();
        // SAFETY: on success the call has filled in as many entries as it says.
        let specs =
            unsafe { fetch(|specs: *mut ImageSpec, count| (api.rbd_list2)(self.io, specs, count)) };
        let mut specs =
            specs.or_else(|code| self.fail(code, || format!("listing pool {}", self.label)))?;
        // SAFETY: librbd's own, NUL-terminated strings, not yet given back.
        let names = specs.iter().map(|spec| unsafe { text(spec.name) }).collect();
        // SAFETY: gives back what the call above handed out, once.
        unsafe { (api.rbd_image_spec_list_cleanup)(specs.as_mut_ptr(), specs.len()) };
        Ok(names)
    }

    /// A value that `rbd config pool set` (key `conf_...`) or others keep with the pool.
    ///
    /// # Errors
    /// When the pool cannot be read.
    pub fn metadata(&self, key: &str) -> Result<Option<String>, Error> {
        let (name, mut value) = (cstring(key)?, [0_u8; 256]);
        let mut len = value.len();
        // SAFETY: the call writes at most `len` bytes.
        let code = unsafe {
            (self.api().rbd_pool_metadata_get)(
                self.root,
                name.as_ptr(),
                value.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        self.optional(code, || format!("metadata {key} of pool {}", self.name))
            .map(|found| found.map(|()| until_nul(&value)))
    }

    pub(super) fn api(&self) -> &'static Api {
        self.cluster.api()
    }

    pub(super) fn io(&self) -> *mut IoHandle {
        self.io
    }

    pub(super) fn name_of(&self, image: &str) -> String {
        format!("{}/{image}", self.label)
    }

    pub(super) fn check(
        &self,
        code: impl Into<i64>,
        context: impl FnOnce() -> String,
    ) -> Result<i64, Error> {
        check(code, context).map_err(|error| self.cluster.note(error))
    }

    /// As [`Self::check`], for a thing that may not be there (ENOENT).
    pub(super) fn optional(
        &self,
        code: c_int,
        context: impl FnOnce() -> String,
    ) -> Result<Option<()>, Error> {
        match self.check(code, context) {
            Ok(_) => Ok(Some(())),
            Err(error) if error.errno() == Errno::NOENT => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn fail<T>(
        &self,
        code: c_int,
        context: impl FnOnce() -> String,
    ) -> Result<T, Error> {
        Err(self.cluster.note(Error::from_code(code.into(), context())))
    }

    pub(super) fn begin_writing(&self, image: &str) -> bool {
        self.writing.lock().insert(image.to_owned())
    }

    pub(super) fn end_writing(&self, image: &str) {
        self.writing.lock().remove(image);
    }

    /// A handle of this image was dropped; [`Self::set_closed`] follows.
    pub(super) fn set_closing(&self, image: &str) {
        *self.closing.lock().entry(image.to_owned()).or_default() += 1;
    }

    pub(super) fn set_closed(&self, image: &str) {
        let mut closing = self.closing.lock();
        if let Some(count) = closing.get_mut(image) {
            *count -= 1;
            if *count == 0 {
                closing.remove(image);
            }
        }
        self.closed.notify_all();
    }

    /// Waits, for a few seconds at most, until no image open through this client has the one with
    /// that id behind it: such watches end soon after it has no clones any more. False: there was
    /// none to wait for.
    pub fn wait_unwatched(&self, image_id: &str) -> bool {
        self.cluster.ancestors().wait_unwatched(image_id)
    }

    /// From now on the OSDs refuse what there is no room for: by itself librados waits.
    #[cfg(test)]
    pub(crate) fn try_when_full(&self) {
        type Call = unsafe extern "C" fn(*mut IoHandle);
        // SAFETY: the library is loaded already, and declares this name with this signature.
        unsafe {
            let library = libloading::Library::new("librados.so.2").unwrap();
            let call: libloading::Symbol<Call> = library.get(b"rados_set_pool_full_try\0").unwrap();
            call(self.io);
        }
    }

    /// Waits until every dropped handle of this image is closed: only then is its lock free.
    pub fn wait_closed(&self, image: &str) {
        let mut closing = self.closing.lock();
        while closing.contains_key(image) {
            self.closed.wait(&mut closing);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: every image opened through them is closed: each held a reference to `self`.
        unsafe {
            if self.io != self.root {
                (self.api().rados_ioctx_destroy)(self.io);
            }
            (self.api().rados_ioctx_destroy)(self.root);
        }
    }
}

fn create_io(cluster: &Cluster, pool: &str) -> Result<*mut IoHandle, Error> {
    let name = cstring(pool)?;
    let mut io = std::ptr::null_mut();
    // SAFETY: the cluster is connected; `name` outlives the call, which fills in `io`.
    let code =
        unsafe { (cluster.api().rados_ioctx_create)(cluster.handle(), name.as_ptr(), &raw mut io) };
    check(code, || format!("pool {pool} (ceph osd pool create {pool}; rbd pool init {pool})"))
        .map_err(|error| cluster.note(error))?;
    Ok(io)
}

/// Image options, given back when dropped.
struct Options {
    api: &'static Api,
    handle: *mut OptionsHandle,
}

impl Options {
    fn new(api: &'static Api, values: &[(c_int, u64)]) -> Result<Self, Error> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the call fills in `handle`.
        unsafe { (api.rbd_image_options_create)(&raw mut handle) };
        let options = Self { api, handle };
        for &(name, value) in values {
            // SAFETY: the handle was just made.
            let code = unsafe { (api.rbd_image_options_set_uint64)(handle, name, value) };
            check(code, || format!("image option {name} = {value}"))?;
        }
        Ok(options)
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: made by `new`, given back once.
        unsafe { (self.api.rbd_image_options_destroy)(self.handle) };
    }
}

/// What the callback of a probe and the thread that waits for it share.
#[derive(Default)]
struct Probe {
    size: AtomicU64,
    mtime: AtomicI64,
    done: Mutex<bool>,
    changed: Condvar,
}

impl Probe {
    fn wait(
        &self,
        api: &Api,
        completion: *mut RadosCompletion,
        timeout: Duration,
    ) -> Option<c_int> {
        let mut done = self.done.lock();
        self.changed.wait_while_for(&mut done, |done| !*done, timeout);
        // SAFETY: the operation is complete, and the completion not released yet.
        done.then(|| unsafe { (api.rados_aio_get_return_value)(completion) })
    }
}

unsafe extern "C" fn on_probe(_completion: *mut RadosCompletion, arg: *mut c_void) {
    // SAFETY: `arg` is the reference that `Pool::probe` made for this one call.
    let state = unsafe { Arc::from_raw(arg.cast::<Probe>().cast_const()) };
    *state.done.lock() = true;
    state.changed.notify_all();
}

/// Calls with room for more and more entries until they fit.
///
/// # Safety
/// When `call` returns 0 or more it has filled in as many entries as it left in the count.
pub(super) unsafe fn fetch<T>(
    mut call: impl FnMut(*mut T, *mut usize) -> c_int,
) -> Result<Vec<T>, c_int> {
    let mut room = 16;
    loop {
        let mut entries = Vec::with_capacity(room);
        let mut count = room;
        let code = call(entries.as_mut_ptr(), &raw mut count);
        if code == -Errno::RANGE.raw_os_error() && count > room && count <= LIST_MAX {
            // Somewhat more: there may be more of them by the next call.
            room = count + count / 8;
        } else if code < 0 {
            return Err(code);
        } else {
            // SAFETY: the caller's promise; never more than there is room for.
            unsafe { entries.set_len(count.min(room)) };
            return Ok(entries);
        }
    }
}

/// A copy of a C string; NULL is the empty string.
///
/// # Safety
/// `pointer` is NULL or points to a NUL-terminated string.
pub(super) unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { std::ffi::CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}
