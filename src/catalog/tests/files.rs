//! Faults of files: of what is exported, and what is staged.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::world::{Faults, World};

thread_local! {
    static FAULTS: RefCell<Option<Arc<Faults>>> = const { RefCell::new(None) };
    static OUT: RefCell<PathBuf> = const { RefCell::new(PathBuf::new()) };
}

/// Files of this thread are of this world until this is dropped, and so is the directory that they are
/// exported to.
pub(super) struct Behind(());

impl Behind {
    pub(super) fn faults_of(world: &World) -> Self {
        FAULTS.set(Some(Arc::clone(&world.faults)));
        let out = world.uploads.0.with_extension("out");
        std::fs::create_dir(&out).unwrap();
        OUT.set(out);
        Self(())
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        FAULTS.set(None);
        std::fs::remove_dir_all(OUT.take()).unwrap();
    }
}

/// Where files are exported to.
pub(super) fn out() -> PathBuf {
    OUT.with_borrow(Clone::clone)
}

/// What is there.
pub(super) fn exported() -> Vec<String> {
    let entries = std::fs::read_dir(out()).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// See [`crate::catalog::step`].
pub(crate) fn step<T>(effect: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    match FAULTS.with_borrow(Clone::clone) {
        Some(faults) => faults.step(effect, || io::Error::other("the disk is on fire")),
        None => effect(),
    }
}
