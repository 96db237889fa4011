//! The record that an open volume keeps beside its data ([`Op::SaveState`](crate::block::Op)).

use parking_lot::Mutex;

use crate::block::{Error, ErrorKind, SavedState, StateRecord};

/// The record as it was read when the volume was opened, or saved since.
pub(super) struct Kept {
    state: Mutex<SavedState>,
    /// Serial of the record that was saved last; held while one is being saved.
    saved: Mutex<u64>,
}

impl Kept {
    pub(super) fn new(state: SavedState) -> Self {
        Self { state: Mutex::new(state), saved: Mutex::new(0) }
    }

    /// What is kept. Never waits for a store.
    pub(super) fn get(&self) -> SavedState {
        self.state.lock().clone()
    }

    /// Has `write` put the record on stable storage, unless a later one is there already. If it
    /// fails, what is kept stays as it was, as far as this volume knows.
    pub(super) fn save(
        &self,
        record: &StateRecord,
        write: impl FnOnce(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut saved = self.saved.lock();
        if record.serial() < *saved {
            return Err(Error::new(ErrorKind::Unavailable, "a later state was saved before"));
        }
        write(record.bytes())?;
        *saved = record.serial();
        *self.state.lock() = SavedState::Record(record.bytes().to_vec());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_record_never_replaces_a_later_one() {
        let record = |byte| StateRecord::new(vec![byte]).unwrap();
        let (early, late, last) = (record(1), record(2), record(3));
        let kept = Kept::new(SavedState::Record(Vec::new()));
        kept.save(&late, |_| Ok(())).unwrap();
        let refused = kept.save(&early, |_| panic!("nothing is written")).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
        kept.save(&last, |_| Err(ErrorKind::NoSpace.into())).unwrap_err();
        assert_eq!(kept.get(), SavedState::Record(vec![2]), "what failed is not kept");
    }
}
