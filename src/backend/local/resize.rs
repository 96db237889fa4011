//! Growing an image: its head becomes longer, where it is.

use std::io;
use std::sync::atomic::Ordering;

use super::layer::Layer;
use super::meta::Image;
use super::{LocalStore, OpenThings, files};
use crate::backend::pooled::BLOCK_BYTES;
use crate::backend::{StoreError, fileio};
use crate::block::Buffer;

impl LocalStore {
    /// Makes the image `size_bytes` long, in a time that depends on no size. Only what goes to the
    /// block that the old end lies in waits for it. A crash leaves the image as it was, or grown.
    pub(super) fn grow(
        &self,
        open: &mut OpenThings,
        name: &str,
        mut record: Image,
        size_bytes: u64,
    ) -> Result<(), StoreError> {
        self.dir.check_space()?;
        let core = self.open_image(open, name, &record)?;
        core.check_failed()?;
        let _alone_at_the_end = core.alone_in(record.size_bytes - 1, 1);
        let chain = core.engine().chain.load_full();
        let head = chain.top();
        let longer = head.data.set_len(size_bytes).and_then(|()| {
            copy_up_the_end(head, record.size_bytes, |at, rest| chain.read(at, rest))?;
            head.data.sync_all()
        });
        longer.map_err(|error| {
            let message = format!("cannot grow an image in {}: {error}", self.dir.path().display());
            StoreError::new(files::kind_of(&error), message)
        })?;
        record.size_bytes = size_bytes;
        self.meta.change(|tables| {
            tables.lengthen_layer(&record.head, size_bytes)?;
            tables.put_image(name, &record)
        })?;
        head.lengthened(size_bytes);
        core.engine().size_bytes.store(size_bytes, Ordering::Release);
        Ok(())
    }
}

/// A longer head holds all of the block that the layer below ends in.
fn copy_up_the_end(
    head: &Layer,
    old_bytes: u64,
    read: impl FnOnce(u64, &mut Buffer) -> io::Result<()>,
) -> io::Result<()> {
    let (block, rest) = (old_bytes / BLOCK_BYTES, old_bytes % BLOCK_BYTES);
    if rest == 0 || head.holds(block) {
        return Ok(());
    }
    let mut below = Buffer::unfilled(rest as usize);
    read(old_bytes - rest, &mut below)?;
    fileio::write(&head.data, old_bytes - rest, &mut below.io_slices())
}
