//! An open image as a volume.

use std::sync::Arc;

use parking_lot::Mutex;

use super::super::check;
use super::super::{StoreError, StoreErrorKind};
use super::extents::{self, Question, Questions};
use super::first_write::{self, FirstWrite};
use super::state::ImageState;
use crate::block::{
    Completion, CompletionQueue, Done, Error, ErrorKind, LastState, Left, Op, Request, SavedState,
    Volume, VolumeInfo,
};
use crate::rbd::{Access, Image, RBD_OPTIONS};

/// What BlueStore writes without reading, with its usual allocation unit.
const PHYSICAL_BLOCK_BYTES: u32 = 4096;
/// Any range is zeroed exactly; smaller ones than this rarely free anything.
const DISCARD_GRANULARITY_BYTES: u32 = 64 << 10;

/// Larger writes than this in one piece are nothing that anybody needs.
const ATOMIC_WRITE_BYTES_MAX: u32 = 1 << 20;

/// Answers what librbd must not see; the rest goes there.
pub(super) struct RbdVolume {
    image: Arc<Image>,
    info: VolumeInfo,
    /// The record kept beside the data; snapshots have none.
    state: Option<Arc<ImageState>>,
    questions: Arc<Mutex<Questions>>,
    first_write: Arc<FirstWrite>,
}

impl Drop for RbdVolume {
    /// Requests that are under way hold the image on.
    fn drop(&mut self) {
        self.image.retire();
    }
}

impl RbdVolume {
    pub(super) fn of_image(image: Arc<Image>) -> Result<Self, StoreError> {
        let state = ImageState::load(&image).inspect_err(|_| image.retire())?;
        Ok(Self::new(image, Some(Arc::new(state))))
    }

    pub(super) fn of_snapshot(image: Arc<Image>) -> Self {
        Self::new(image, None)
    }

    fn new(image: Arc<Image>, state: Option<Arc<ImageState>>) -> Self {
        // A write inside one object is one transaction of its placement group, whatever happens,
        // and also with the copy of a parent's object that may come before it.
        // Not if it is encrypted: then it may be several.
        let object_bytes =
            if image.is_striped() || image.is_decrypted() { 0 } else { image.object_bytes() };
        let object_bytes = u32::try_from(object_bytes).unwrap_or(0);
        let info = VolumeInfo {
            size_bytes: image.size_bytes(),
            read_only: image.access() == Access::ReadOnly,
            write_cache: false,
            physical_block_bytes: PHYSICAL_BLOCK_BYTES,
            optimal_io_bytes: u32::try_from(image.object_bytes()).unwrap_or(0),
            discard_granularity_bytes: DISCARD_GRANULARITY_BYTES,
            max_compare_and_write_bytes: Image::COMPARE_AND_WRITE_BYTES as u32,
            max_atomic_write_bytes: object_bytes.min(ATOMIC_WRITE_BYTES_MAX),
            atomic_write_boundary_bytes: object_bytes,
            has_write_same: true,
        };
        let first_write = FirstWrite::of(&image);
        Self { image, info, state, questions: Arc::default(), first_write }
    }

    /// Another client owns it.
    fn is_lost(&self) -> bool {
        self.image.is_fenced() || self.image.pool().cluster().is_blocklisted()
    }

    /// The answer to a request that does not go to librbd: one it would misunderstand (an empty
    /// one aborts the process, one beyond the end is cut) or need not see.
    fn answer(&self, op: &mut Op) -> Option<Result<Done, Error>> {
        const SECTOR: usize = Image::COMPARE_AND_WRITE_BYTES;
        if self.image.is_fenced() {
            let message = format!("{} has another owner now", self.image.label());
            return Some(Err(Error::new(ErrorKind::Fenced, message)));
        }
        if !self.image.is_current() {
            return Some(Err(self.image.not_current()));
        }
        if let Some(answer) = check::answer(op, self.image.size_bytes(), self.info.read_only) {
            return Some(answer);
        }
        match op {
            Op::CompareAndWrite { offset, compare, .. }
                if *offset % SECTOR as u64 != 0 || compare.len() != SECTOR =>
            {
                Some(Err(ErrorKind::Unsupported.into()))
            }
            // Nothing was written; librbd would take the lock for it.
            Op::Flush if !self.first_write.is_done() => Some(Ok(Done::Unit)),
            Op::WriteSame { len, .. } if *len > Image::WRITE_SAME_BYTES_MAX => {
                Some(Err(ErrorKind::Unsupported.into()))
            }
            Op::SaveState(_) if self.state.is_none() => Some(Err(ErrorKind::Unsupported.into())),
            _ => None,
        }
    }
}

impl Volume for RbdVolume {
    fn info(&self) -> VolumeInfo {
        VolumeInfo { size_bytes: self.image.size_bytes(), ..self.info }
    }

    fn has_failed(&self) -> bool {
        self.is_lost() || self.image.is_outdated()
    }

    fn is_outdated(&self) -> bool {
        self.image.is_outdated() && !self.is_lost()
    }

    fn saved_state(&self) -> SavedState {
        self.state.as_ref().map_or(SavedState::Unsupported, |state| state.get())
    }

    fn last_state(&self) -> LastState {
        let (state, marks) = (self.state.clone(), Arc::clone(self.image.marks()));
        Box::new(move || {
            let saved = state.map_or(SavedState::Unsupported, |state| state.get());
            Left { saved, found: marks.found(), mark: marks.last() }
        })
    }

    fn submit(
        &self,
        requests: &mut Vec<Request>,
        done: &mut Vec<Completion>,
        queue: &Arc<CompletionQueue>,
    ) {
        for mut request in requests.drain(..) {
            if let Some(result) = self.answer(&mut request.op) {
                done.push(Completion { tag: request.tag, result });
                continue;
            }
            if let Request { tag, op: Op::Extents { offset, len, max } } = request {
                let queue = Arc::clone(queue);
                let question = Question { offset, len, max, tag, queue };
                extents::ask(&self.questions, &self.image, question);
                continue;
            }
            let (image, state) = (&self.image, self.state.as_ref());
            if !self.first_write.is_done() && first_write::changes(&request.op) {
                match self.first_write.keep(image, state, request, queue) {
                    None => continue,
                    Some(had) => request = had,
                }
            }
            first_write::submit(image, state, request, queue);
        }
    }
}

/// Refuses an image that librbd handles otherwise than [`RBD_OPTIONS`] say, because of the image's
/// own configuration or its pool's: with a cache, what it acknowledged would be lost in a crash.
pub(super) fn check_options(image: &Image) -> Result<(), StoreError> {
    for (option, wanted) in RBD_OPTIONS {
        let key = format!("conf_{option}");
        let (found, what, name) = match image.metadata(&key)? {
            Some(value) => (value, "image", image.label()),
            None => match image.pool().metadata(&key)? {
                Some(value) => (value, "pool", image.pool().name().to_owned()),
                None => continue,
            },
        };
        if !means(&found, wanted) {
            let message = format!(
                "{name} is configured with {option} = {found:?}, which must be {wanted:?}: \
                 rbd config {what} remove {name} {option}"
            );
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
    }
    Ok(())
}

/// Whether the value of an option is `wanted`, in one of Ceph's ways to write it.
fn means(value: &str, wanted: &str) -> bool {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" => wanted == "true",
        "0" | "no" => wanted == "false",
        value => value == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_mean_the_same_however_they_are_written() {
        let same = [("false", "false"), ("No", "false"), ("0", "false"), ("TRUE", "true")];
        assert!(same.iter().all(|(value, wanted)| means(value, wanted)));
        assert!(means("1", "true") && means("yes", "true") && means("", ""));
        for (value, wanted) in [("true", "false"), ("ssd", "disabled"), ("x", ""), ("", "false")] {
            assert!(!means(value, wanted), "{value:?}");
        }
    }
}
