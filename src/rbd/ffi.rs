//! The C side: one table of functions, checked whole when it is loaded.
//!
//! Signatures are those of `rados/librados.h` and `rbd/librbd.h` of Ceph 16 (Debian 12), the
//! oldest version supported; the libraries' sonames promise that they stay.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};
use std::sync::OnceLock;

use libloading::Library;

use super::Error;

/// Type-safe stand-ins for the C side's `void *` handles.
macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])* #[repr(C)] pub(super) struct $name { opaque: [u8; 0] })*
    };
}

handles! {
    /// `rados_t`
    RadosHandle;
    /// `rados_ioctx_t`
    IoHandle;
    /// `rados_completion_t`
    RadosCompletion;
    /// `rbd_image_t`
    ImageHandle;
    /// `rbd_completion_t`
    RbdCompletion;
    /// `rbd_image_options_t`
    OptionsHandle;
}

/// `struct iovec`
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct IoVec {
    pub(super) base: *mut c_void,
    pub(super) len: usize,
}

/// `rbd_image_spec_t`
#[repr(C)]
pub(super) struct ImageSpec {
    pub(super) id: *mut c_char,
    pub(super) name: *mut c_char,
}

/// `rbd_linked_image_spec_t`
#[repr(C)]
pub(super) struct LinkedImageSpec {
    pub(super) pool_id: i64,
    pub(super) pool_name: *mut c_char,
    pub(super) pool_namespace: *mut c_char,
    pub(super) image_id: *mut c_char,
    pub(super) image_name: *mut c_char,
    pub(super) trash: bool,
}

/// `rbd_snap_spec_t`
#[repr(C)]
pub(super) struct SnapSpec {
    pub(super) id: u64,
    pub(super) namespace_type: c_int,
    pub(super) name: *mut c_char,
}

/// `rbd_snap_info_t`
#[repr(C)]
pub(super) struct SnapInfo {
    pub(super) id: u64,
    pub(super) size: u64,
    pub(super) name: *const c_char,
}

/// `rbd_image_watcher_t`
#[repr(C)]
pub(super) struct Watcher {
    pub(super) addr: *mut c_char,
    pub(super) id: i64,
    pub(super) cookie: u64,
}

/// `rbd_image_info_t`
#[repr(C)]
pub(super) struct ImageInfo {
    pub(super) size: u64,
    pub(super) obj_size: u64,
    pub(super) num_objs: u64,
    pub(super) order: c_int,
    pub(super) block_name_prefix: [c_char; 24],
    pub(super) parent_pool: i64,
    pub(super) parent_name: [c_char; 96],
}

pub(super) const OPTION_FORMAT: c_int = 0;
pub(super) const OPTION_FEATURES: c_int = 1;
/// Only for a clone: `rbd_create4` refuses it.
pub(super) const OPTION_CLONE_FORMAT: c_int = 12;

pub(super) const FEATURE_LAYERING: u64 = 1 << 0;
pub(super) const FEATURE_STRIPINGV2: u64 = 1 << 1;
pub(super) const FEATURE_EXCLUSIVE_LOCK: u64 = 1 << 2;
pub(super) const FEATURE_OBJECT_MAP: u64 = 1 << 3;
pub(super) const FEATURE_FAST_DIFF: u64 = 1 << 4;
pub(super) const FEATURE_DEEP_FLATTEN: u64 = 1 << 5;

/// `RBD_FLAG_OBJECT_MAP_INVALID | RBD_FLAG_FAST_DIFF_INVALID`
pub(super) const FLAGS_DIFF_INVALID: u64 = 0b11;

/// `RBD_LOCK_MODE_EXCLUSIVE`
pub(super) const LOCK_EXCLUSIVE: c_int = 0;
/// `RBD_SNAP_NAMESPACE_TYPE_USER`
pub(super) const SNAP_NAMESPACE_USER: c_int = 0;

/// `librbd_progress_fn_t`
pub(super) type ProgressFn = unsafe extern "C" fn(done: u64, total: u64, arg: *mut c_void) -> c_int;
/// `rbd_callback_t`
pub(super) type RbdCallback =
    unsafe extern "C" fn(completion: *mut RbdCompletion, arg: *mut c_void);
/// `rados_callback_t`
pub(super) type RadosCallback =
    unsafe extern "C" fn(completion: *mut RadosCompletion, arg: *mut c_void);
/// `rados_watchcb2_t`
pub(super) type WatchCallback = unsafe extern "C" fn(
    arg: *mut c_void,
    notification: u64,
    cookie: u64,
    notifier: u64,
    data: *mut c_void,
    len: usize,
);
/// `rados_watcherrcb_t`
pub(super) type WatchErrorCallback =
    unsafe extern "C" fn(arg: *mut c_void, cookie: u64, error: c_int);
/// The callback of `rbd_update_watch`.
/// Called on one of librbd's threads, which must not be used for calls of librbd.
pub(super) type UpdateCallback = unsafe extern "C" fn(arg: *mut c_void);
/// The callback of `rbd_diff_iterate2`.
pub(super) type DiffCallback =
    unsafe extern "C" fn(offset: u64, len: usize, exists: c_int, arg: *mut c_void) -> c_int;

macro_rules! table {
    ($($library:ident: $soname:literal {
        $(fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)?;)*
    })*) => {
        /// Every function that this room calls.
        pub(super) struct Api {
            $($(pub(super) $name: unsafe extern "C" fn($($arg: $ty),*) $(-> $ret)?,)*)*
        }

        /// The file names of the libraries, as the dynamic linker looks them up.
        #[derive(Clone, Copy)]
        struct Names { $($library: &'static str,)* }

        const NAMES: Names = Names { $($library: $soname,)* };

        impl Api {
            /// Loads the libraries and looks up every function.
            fn load(names: Names) -> Result<Self, String> {
                $(let $library = open(names.$library)?;)*
                let api = Self {
                    $($($name: {
                        let symbol = concat!(stringify!($name), "\0");
                        // SAFETY: the header declares this name with this signature.
                        let found = unsafe { $library.get(symbol.as_bytes()) };
                        *found.map_err(|_| too_old(names.$library, stringify!($name)))?
                    },)*)*
                };
                // The libraries start threads of their own: they stay for the process's life.
                $(std::mem::forget($library);)*
                Ok(api)
            }
        }
    };
}

table! {
    librados: "librados.so.2" {
        fn rados_create(cluster: *mut *mut RadosHandle, user: *const c_char) -> c_int;
        fn rados_conf_read_file(cluster: *mut RadosHandle, path: *const c_char) -> c_int;
        fn rados_conf_set(
            cluster: *mut RadosHandle, option: *const c_char, value: *const c_char,
        ) -> c_int;
        fn rados_connect(cluster: *mut RadosHandle) -> c_int;
        fn rados_shutdown(cluster: *mut RadosHandle);
        fn rados_getaddrs(cluster: *mut RadosHandle, addresses: *mut *mut c_char) -> c_int;
        fn rados_buffer_free(buf: *mut c_char);
        fn rados_cluster_fsid(cluster: *mut RadosHandle, buf: *mut c_char, len: usize) -> c_int;
        fn rados_ioctx_create(
            cluster: *mut RadosHandle, pool: *const c_char, io: *mut *mut IoHandle,
        ) -> c_int;
        fn rados_ioctx_create2(
            cluster: *mut RadosHandle, pool: i64, io: *mut *mut IoHandle,
        ) -> c_int;
        fn rados_ioctx_get_pool_name(io: *mut IoHandle, buf: *mut c_char, len: u32) -> c_int;
        fn rados_ioctx_destroy(io: *mut IoHandle);
        fn rados_ioctx_set_namespace(io: *mut IoHandle, namespace: *const c_char);
        fn rados_ioctx_get_id(io: *mut IoHandle) -> i64;
        fn rados_getxattr(
            io: *mut IoHandle, object: *const c_char, name: *const c_char, buf: *mut c_char,
            len: usize,
        ) -> c_int;
        fn rados_setxattr(
            io: *mut IoHandle, object: *const c_char, name: *const c_char, buf: *const c_char,
            len: usize,
        ) -> c_int;
        fn rados_remove(io: *mut IoHandle, object: *const c_char) -> c_int;
        fn rados_watch2(
            io: *mut IoHandle, object: *const c_char, cookie: *mut u64, notified: WatchCallback,
            lost: WatchErrorCallback, arg: *mut c_void,
        ) -> c_int;
        fn rados_watch_check(io: *mut IoHandle, cookie: u64) -> c_int;
        fn rados_unwatch2(io: *mut IoHandle, cookie: u64) -> c_int;
        fn rados_watch_flush(cluster: *mut RadosHandle) -> c_int;
        fn rados_notify_ack(
            io: *mut IoHandle, object: *const c_char, notification: u64, cookie: u64,
            answer: *const c_char, len: c_int,
        ) -> c_int;
        fn rados_aio_create_completion2(
            arg: *mut c_void, complete: RadosCallback, completion: *mut *mut RadosCompletion,
        ) -> c_int;
        fn rados_aio_stat(
            io: *mut IoHandle, object: *const c_char, completion: *mut RadosCompletion,
            size: *mut u64, mtime: *mut i64,
        ) -> c_int;
        fn rados_aio_get_return_value(completion: *mut RadosCompletion) -> c_int;
        fn rados_aio_cancel(io: *mut IoHandle, completion: *mut RadosCompletion) -> c_int;
        fn rados_aio_release(completion: *mut RadosCompletion);
    }
    librbd: "librbd.so.1" {
        fn rbd_namespace_exists(io: *mut IoHandle, name: *const c_char, exists: *mut bool) -> c_int;
        fn rbd_image_options_create(options: *mut *mut OptionsHandle);
        fn rbd_image_options_destroy(options: *mut OptionsHandle);
        fn rbd_image_options_set_uint64(
            options: *mut OptionsHandle, name: c_int, value: u64,
        ) -> c_int;
        fn rbd_create4(
            io: *mut IoHandle, name: *const c_char, size: u64, options: *mut OptionsHandle,
        ) -> c_int;
        fn rbd_clone3(
            parent_io: *mut IoHandle, parent: *const c_char, snapshot: *const c_char,
            child_io: *mut IoHandle, child: *const c_char, options: *mut OptionsHandle,
        ) -> c_int;
        fn rbd_remove(io: *mut IoHandle, name: *const c_char) -> c_int;
        fn rbd_rename(io: *mut IoHandle, from: *const c_char, to: *const c_char) -> c_int;
        fn rbd_list2(io: *mut IoHandle, images: *mut ImageSpec, max: *mut usize) -> c_int;
        fn rbd_image_spec_list_cleanup(images: *mut ImageSpec, count: usize);
        fn rbd_pool_metadata_get(
            io: *mut IoHandle, key: *const c_char, value: *mut c_char, len: *mut usize,
        ) -> c_int;

        fn rbd_open(
            io: *mut IoHandle, name: *const c_char, image: *mut *mut ImageHandle,
            snapshot: *const c_char,
        ) -> c_int;
        fn rbd_open_read_only(
            io: *mut IoHandle, name: *const c_char, image: *mut *mut ImageHandle,
            snapshot: *const c_char,
        ) -> c_int;
        fn rbd_open_by_id_read_only(
            io: *mut IoHandle, id: *const c_char, image: *mut *mut ImageHandle,
            snapshot: *const c_char,
        ) -> c_int;
        fn rbd_snap_set_by_id(image: *mut ImageHandle, id: u64) -> c_int;
        fn rbd_close(image: *mut ImageHandle) -> c_int;
        fn rbd_stat(image: *mut ImageHandle, info: *mut ImageInfo, len: usize) -> c_int;
        fn rbd_get_size(image: *mut ImageHandle, size: *mut u64) -> c_int;
        fn rbd_resize2(
            image: *mut ImageHandle, size: u64, allow_shrink: bool, progress: ProgressFn,
            arg: *mut c_void,
        ) -> c_int;
        fn rbd_update_watch(
            image: *mut ImageHandle, watch: *mut u64, callback: UpdateCallback, arg: *mut c_void,
        ) -> c_int;
        fn rbd_update_unwatch(image: *mut ImageHandle, watch: u64) -> c_int;
        fn rbd_get_id(image: *mut ImageHandle, id: *mut c_char, len: usize) -> c_int;
        fn rbd_get_features(image: *mut ImageHandle, features: *mut u64) -> c_int;
        fn rbd_update_features(image: *mut ImageHandle, features: u64, enabled: u8) -> c_int;
        fn rbd_get_flags(image: *mut ImageHandle, flags: *mut u64) -> c_int;
        fn rbd_get_overlap(image: *mut ImageHandle, overlap: *mut u64) -> c_int;
        fn rbd_get_parent(
            image: *mut ImageHandle, parent: *mut LinkedImageSpec, snapshot: *mut SnapSpec,
        ) -> c_int;
        fn rbd_linked_image_spec_cleanup(parent: *mut LinkedImageSpec);
        fn rbd_linked_image_spec_list_cleanup(images: *mut LinkedImageSpec, count: usize);
        fn rbd_snap_spec_cleanup(snapshot: *mut SnapSpec);
        fn rbd_snap_list(
            image: *mut ImageHandle, snapshots: *mut SnapInfo, max: *mut c_int,
        ) -> c_int;
        fn rbd_snap_list_end(snapshots: *mut SnapInfo);
        fn rbd_snap_get_namespace_type(
            image: *mut ImageHandle, id: u64, namespace_type: *mut c_int,
        ) -> c_int;
        fn rbd_snap_create2(
            image: *mut ImageHandle, name: *const c_char, flags: u32, progress: ProgressFn,
            arg: *mut c_void,
        ) -> c_int;
        fn rbd_snap_remove(image: *mut ImageHandle, name: *const c_char) -> c_int;
        fn rbd_snap_rollback(image: *mut ImageHandle, name: *const c_char) -> c_int;
        fn rbd_list_children3(
            image: *mut ImageHandle, images: *mut LinkedImageSpec, max: *mut usize,
        ) -> c_int;
        fn rbd_diff_iterate2(
            image: *mut ImageHandle, from: *const c_char, offset: u64, len: u64,
            include_parent: u8, whole_object: u8, callback: DiffCallback, arg: *mut c_void,
        ) -> c_int;
        fn rbd_flush(image: *mut ImageHandle) -> c_int;
        fn rbd_flatten_with_progress(
            image: *mut ImageHandle, progress: ProgressFn, arg: *mut c_void,
        ) -> c_int;
        fn rbd_encryption_format(
            image: *mut ImageHandle, format: c_int, options: *mut c_void, len: usize,
        ) -> c_int;
        fn rbd_encryption_load(
            image: *mut ImageHandle, format: c_int, options: *mut c_void, len: usize,
        ) -> c_int;
        fn rbd_metadata_get(
            image: *mut ImageHandle, key: *const c_char, value: *mut c_char, len: *mut usize,
        ) -> c_int;
        fn rbd_metadata_set(
            image: *mut ImageHandle, key: *const c_char, value: *const c_char,
        ) -> c_int;
        fn rbd_lock_acquire(image: *mut ImageHandle, mode: c_int) -> c_int;
        fn rbd_lock_release(image: *mut ImageHandle) -> c_int;
        fn rbd_lock_break(image: *mut ImageHandle, mode: c_int, owner: *const c_char) -> c_int;
        fn rbd_is_exclusive_lock_owner(image: *mut ImageHandle, is_owner: *mut c_int) -> c_int;
        fn rbd_lock_get_owners(
            image: *mut ImageHandle, mode: *mut c_int, owners: *mut *mut c_char, max: *mut usize,
        ) -> c_int;
        fn rbd_lock_get_owners_cleanup(owners: *mut *mut c_char, count: usize);
        fn rbd_watchers_list(
            image: *mut ImageHandle, watchers: *mut Watcher, max: *mut usize,
        ) -> c_int;
        fn rbd_watchers_list_cleanup(watchers: *mut Watcher, count: usize);

        fn rbd_aio_create_completion(
            arg: *mut c_void, complete: RbdCallback, completion: *mut *mut RbdCompletion,
        ) -> c_int;
        fn rbd_aio_get_return_value(completion: *mut RbdCompletion) -> isize;
        fn rbd_aio_release(completion: *mut RbdCompletion);
        fn rbd_aio_readv(
            image: *mut ImageHandle, iov: *const IoVec, count: c_int, offset: u64,
            completion: *mut RbdCompletion,
        ) -> c_int;
        fn rbd_aio_writev(
            image: *mut ImageHandle, iov: *const IoVec, count: c_int, offset: u64,
            completion: *mut RbdCompletion,
        ) -> c_int;
        fn rbd_aio_flush(image: *mut ImageHandle, completion: *mut RbdCompletion) -> c_int;
        fn rbd_aio_writesame(
            image: *mut ImageHandle, offset: u64, len: usize, data: *const c_char,
            data_len: usize, completion: *mut RbdCompletion, op_flags: c_int,
        ) -> c_int;
        fn rbd_aio_write_zeroes(
            image: *mut ImageHandle, offset: u64, len: usize, completion: *mut RbdCompletion,
            zero_flags: c_int, op_flags: c_int,
        ) -> c_int;
        fn rbd_aio_compare_and_write(
            image: *mut ImageHandle, offset: u64, len: usize, compare: *const c_char,
            write: *const c_char, completion: *mut RbdCompletion, mismatch: *mut u64,
            op_flags: c_int,
        ) -> isize;
    }
}

unsafe extern "C" {
    /// The C library's, which everything is linked to already.
    fn atexit(handler: extern "C" fn()) -> c_int;
}

impl Api {
    /// Has `handler` run when the process exits, before what the libraries registered when they
    /// were loaded.
    #[allow(clippy::unused_self, reason = "there is an `Api` only once they are loaded")]
    pub(super) fn at_exit(&self, handler: extern "C" fn()) {
        // SAFETY: the handler does not unwind. Without room for it nothing is lost but the wait.
        unsafe { atexit(handler) };
    }
}

/// The table, loaded at the first call.
pub(super) fn api() -> Result<&'static Api, Error> {
    static API: OnceLock<Result<Api, String>> = OnceLock::new();
    API.get_or_init(|| Api::load(NAMES)).as_ref().map_err(|message| Error::missing(message.clone()))
}

fn open(name: &'static str) -> Result<Library, String> {
    // SAFETY: what runs while it loads is the library's own initialisation, which is made for it.
    unsafe { Library::new(name) }.map_err(|error| {
        let reason = std::error::Error::source(&error).map(ToString::to_string);
        format!(
            "Ceph's client libraries are not on this machine: {} \
             (Debian: apt install librbd1 librados2)",
            reason.unwrap_or_else(|| error.to_string())
        )
    })
}

fn too_old(library: &str, function: &str) -> String {
    format!("{library} has no {function}: it is older than Ceph 16 (apt install librbd1 librados2)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named_with_what_to_install() {
        let names = Names { librbd: "librbd-that-is-not-there.so.1", ..NAMES };
        let names = Names { librados: "librados-that-is-not-there.so.2", ..names };
        let message = Api::load(names).err().unwrap();
        assert!(message.contains("librados-that-is-not-there.so.2"), "{message}");
        assert!(message.contains("apt install librbd1 librados2"), "{message}");
    }

    #[test]
    fn a_library_without_a_function_is_refused() {
        // Any library that is on every machine and has no such function.
        let message =
            Api::load(Names { librados: "libc.so.6", librbd: "libc.so.6" }).err().unwrap();
        assert!(message.contains("libc.so.6 has no rados_create"), "{message}");
    }
}
