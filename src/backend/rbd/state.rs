//! The record kept beside the data of an image: a value of its metadata.
//!
//! `1 ID BASE64`: librbd copies the metadata of an image into its clones, so the value names the
//! image that it belongs to, and is none of any other's. It is in the same object as the exclusive
//! lock: what a client that lost the lock sends later, the cluster refuses.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;

use super::super::StoreError;
use super::super::kept::Kept;
use super::contained;
use crate::block::{
    Completion, CompletionQueue, Done, Error, ErrorKind, STATE_BYTES_MAX, SavedState, StateRecord,
};
use crate::rbd::Image;

const KEY: &str = "stirrup.state";

/// The record of an open image.
pub(super) struct ImageState {
    id: String,
    kept: Kept,
    saves: Mutex<Saves>,
}

/// Saving waits for the cluster, which may hang: one thread at most does so for an image, with one
/// record that waits behind it.
#[derive(Default)]
struct Saves {
    running: bool,
    next: Option<Save>,
}

/// A record, and where to tell what became of it.
struct Save {
    record: StateRecord,
    tag: u64,
    queue: Arc<CompletionQueue>,
}

impl Save {
    fn end(self, result: Result<(), Error>) {
        self.queue.push(Completion { tag: self.tag, result: result.map(|()| Done::Unit) });
    }
}

impl ImageState {
    /// Reads it; of an image that is open for writing after the lock was taken.
    pub(super) fn load(image: &Image) -> Result<Self, StoreError> {
        let id = image.id()?;
        let state = match image.metadata(KEY)? {
            None => SavedState::Record(Vec::new()),
            Some(value) => decode(&value, &id),
        };
        if state == SavedState::Unreadable {
            tracing::error!(image = image.label(), "the record in {KEY} cannot be read");
        }
        Ok(Self { id, kept: Kept::new(state), saves: Mutex::default() })
    }

    pub(super) fn get(&self) -> SavedState {
        self.kept.get()
    }

    /// Saves on a thread that may wait; completes in `queue`. A record that still waits is given
    /// up for a later one.
    pub(super) fn save(
        self: &Arc<Self>,
        image: &Arc<Image>,
        record: StateRecord,
        tag: u64,
        queue: &Arc<CompletionQueue>,
    ) {
        let save = Save { record, tag, queue: Arc::clone(queue) };
        let mut saves = self.saves.lock();
        if saves.running {
            let replaced = match &saves.next {
                Some(next) if next.record.serial() > save.record.serial() => Some(save),
                _ => saves.next.replace(save),
            };
            drop(saves);
            if let Some(replaced) = replaced {
                replaced.end(Err(Error::new(ErrorKind::Unavailable, "a later state is saved")));
            }
            return;
        }
        saves.running = true;
        drop(saves);
        self.save_on_thread(image, save);
    }

    fn save_on_thread(self: &Arc<Self>, image: &Arc<Image>, save: Save) {
        let state = Arc::clone(self);
        image.later(move |image| {
            let result = contained(|| {
                state.kept.save(&save.record, |bytes| {
                    Ok(image.set_metadata(KEY, &encode(bytes, &state.id))?)
                })
            });
            let next = {
                let mut saves = state.saves.lock();
                saves.running = saves.next.is_some();
                saves.next.take()
            };
            if let Some(next) = next {
                state.save_on_thread(image, next);
            }
            move || save.end(result)
        });
    }
}

fn encode(bytes: &[u8], id: &str) -> String {
    format!("1 {id} {}", STANDARD.encode(bytes))
}

fn decode(value: &str, id: &str) -> SavedState {
    let fields: Vec<&str> = value.split(' ').collect();
    let ["1", owner, text] = fields[..] else { return SavedState::Unreadable };
    if owner != id {
        return SavedState::Record(Vec::new());
    }
    match STANDARD.decode(text) {
        Ok(bytes) if bytes.len() <= STATE_BYTES_MAX => SavedState::Record(bytes),
        _ => SavedState::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_by_its_image_only() {
        for bytes in [vec![], vec![0, 255, 32, 10], vec![7; STATE_BYTES_MAX]] {
            let value = encode(&bytes, "10ab");
            assert_eq!(decode(&value, "10ab"), SavedState::Record(bytes));
            assert_eq!(decode(&value, "10ac"), SavedState::Record(vec![]), "a clone's");
        }
    }

    #[test]
    fn a_panic_is_told_as_any_error() {
        let panics: fn() -> Result<(), Error> = || panic!("this test wants a panic");
        assert_eq!(contained(panics).unwrap_err().kind(), ErrorKind::Medium);
        assert!(contained(|| Ok(7)).is_ok());
    }

    #[test]
    fn what_makes_no_sense_is_unreadable() {
        let long = encode(&[7; STATE_BYTES_MAX + 1], "10ab");
        for bad in ["", "1", "1 10ab", "2 10ab AAAA", "1 10ab A", "1 10ab AAAA x", &long] {
            assert_eq!(decode(bad, "10ab"), SavedState::Unreadable, "{bad:.20}");
        }
    }
}
