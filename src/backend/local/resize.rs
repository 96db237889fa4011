//! Growing an image: a new, longer head that holds everything behind the old end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::files::LayerId;
use super::layer::{Chain, Layer, Map, Opening};
use super::meta::Image;
use super::{LocalStore, OpenThings, files};
use crate::backend::pooled::BLOCK_BYTES;
use crate::backend::{StoreError, fileio};
use crate::block::Buffer;

impl LocalStore {
    /// Makes the image `size_bytes` long. Nobody works on it meanwhile; a crash leaves it as it
    /// was, or grown.
    pub(super) fn grow(
        &self,
        open: &mut OpenThings,
        name: &str,
        mut record: Image,
        size_bytes: u64,
    ) -> Result<(), StoreError> {
        self.check_depth(&record.head)?;
        let core = self.open_image(open, name, &record)?;
        let _nobody_works = core.quiesce();
        core.sync()?;
        let old = core.engine().chain.load_full();
        self.with_new_layer(size_bytes, true, |head| {
            let longer = self.longer_head(head, &old, record.size_bytes, size_bytes);
            // Nothing knows of it yet, and it may be what has filled the disk.
            let new_head = Arc::new(longer.inspect_err(|_| self.dir.remove_layer(head))?);
            let below = std::mem::replace(&mut record.head, *head);
            record.size_bytes = size_bytes;
            self.meta.change(|tables| {
                tables.add_layer(head, Some(below), size_bytes)?;
                // The new head needs it in the place of the image.
                tables.release_layer(&below)?;
                tables.put_image(name, &record)
            })?;
            let layers = std::iter::once(new_head).chain(old.layers.iter().cloned()).collect();
            open.layers.insert(below, Arc::downgrade(old.top_layer()));
            core.engine().chain.store(Arc::new(Chain { layers }));
            core.engine().size_bytes.store(size_bytes, Ordering::Release);
            Ok(())
        })
    }

    /// Opens the new head. It holds the block that the old end is in and all behind it, so that
    /// nothing behind the end of a layer is ever asked of that layer.
    fn longer_head(
        &self,
        id: &LayerId,
        old: &Chain,
        old_bytes: u64,
        new_bytes: u64,
    ) -> Result<Layer, StoreError> {
        let opening = Opening { dir: &self.dir, id, size_bytes: new_bytes, has_parent: true };
        let head = opening.head(self.options.write_cache)?;
        let Map::Head(map) = &head.map else { return Ok(head) };
        let whole = old_bytes / BLOCK_BYTES * BLOCK_BYTES;
        let held = (|| {
            if whole < old_bytes {
                let mut rest = Buffer::unfilled((old_bytes - whole) as usize);
                old.read(whole, &mut rest)?;
                fileio::write(&head.data, whole, &mut rest.io_slices())?;
            }
            map.mark(whole / BLOCK_BYTES, new_bytes.div_ceil(BLOCK_BYTES))?;
            map.sync(|| fileio::sync(&head.data))
        })();
        held.map_err(|error: std::io::Error| {
            let message = format!("cannot grow an image in {}: {error}", self.dir.path().display());
            StoreError::new(files::kind_of(&error), message)
        })?;
        Ok(head)
    }
}
