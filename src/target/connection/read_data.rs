//! Data for the initiator, from the end of a read until it is sent.

use std::cell::RefCell;
use std::rc::Rc;

use crate::block::Buffer;
use crate::target::budget::Lease;

/// Empty handles that a thread keeps: as many reads as a busy shard has under way.
const FREE_MAX: usize = 1024;

thread_local! {
    /// Handles without contents, so that a read allocates none.
    static FREE: RefCell<Vec<Rc<Content>>> = const { RefCell::new(Vec::new()) };
}

/// A handle of it, shared by the Data-In PDUs that carry its parts.
#[derive(Debug, Clone)]
pub(super) struct ReadData(Rc<Content>);

#[derive(Debug)]
enum Content {
    None,
    /// A short answer.
    Bytes(Vec<u8>),
    /// Blocks, with the memory they were lent.
    Blocks(Buffer, #[allow(dead_code, reason = "held until the data is sent")] Option<Lease>),
}

impl ReadData {
    /// A short answer.
    pub(super) fn of_bytes(bytes: Vec<u8>) -> Self {
        Self::new(Content::Bytes(bytes))
    }

    /// Blocks, with the memory they were lent.
    pub(super) fn of_blocks(buffer: Buffer, lease: Option<Lease>) -> Self {
        Self::new(Content::Blocks(buffer, lease))
    }

    fn new(content: Content) -> Self {
        // `try_with`: at the end of the thread the list is gone.
        let free = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
        let mut handle = free.unwrap_or_else(|| Rc::new(Content::None));
        match Rc::get_mut(&mut handle) {
            Some(empty) => *empty = content,
            None => handle = Rc::new(content),
        }
        Self(handle)
    }

    /// A part of it, in order.
    pub(super) fn range(&self, offset: usize, len: usize) -> impl Iterator<Item = &[u8]> {
        let (bytes, blocks) = match &*self.0 {
            Content::None => (None, None),
            Content::Bytes(bytes) => (Some(&bytes[offset..offset + len]), None),
            Content::Blocks(buffer, _) => (None, Some(buffer.range(offset, len))),
        };
        bytes.into_iter().chain(blocks.into_iter().flatten())
    }
}

impl Drop for ReadData {
    fn drop(&mut self) {
        // The last one gives back what it holds, and stays for another read.
        let Some(content) = Rc::get_mut(&mut self.0) else { return };
        *content = Content::None;
        let _gone_with_thread = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < FREE_MAX {
                free.push(Rc::clone(&self.0));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::budget::{Budget, Claim};

    #[test]
    fn what_was_lent_comes_back_with_the_last_part() {
        let budget = Budget::new(8192);
        let share = budget.share();
        let lease = share.lend(4096, Claim::Fair);
        let whole = ReadData::of_blocks(Buffer::from_slice(&[7; 4096]), lease);
        let part = whole.clone();
        drop(whole);
        assert!(part.range(1000, 96).eq([&[7; 96][..]]));
        assert_eq!(share.leases(), 1);
        drop(part);
        assert_eq!(share.leases(), 0);
    }

    #[test]
    fn a_handle_is_used_again_and_keeps_nothing() {
        let first = ReadData::of_bytes(b"secret".to_vec());
        let at = Rc::as_ptr(&first.0);
        drop(first);
        FREE.with_borrow(|free| assert!(matches!(**free.last().unwrap(), Content::None)));
        let (second, third) = (ReadData::of_bytes(b"one".to_vec()), ReadData::of_bytes(Vec::new()));
        assert_eq!(Rc::as_ptr(&second.0), at);
        assert_ne!(Rc::as_ptr(&third.0), at);
        assert!(second.range(0, 3).eq([b"one"]) && third.range(0, 0).eq([b""]));
    }
}
