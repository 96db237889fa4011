//! Operations on files, so that a test can have each of them fail.

use std::io;

/// Does what changes a file, or a directory; every such operation of the catalog goes through here.
pub(super) fn step<T>(effect: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    #[cfg(test)]
    return super::tests::files::step(effect);
    #[cfg(not(test))]
    effect()
}
