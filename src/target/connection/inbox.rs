//! What a connection has received and not taken in yet.

use std::cell::RefCell;

use crate::iscsi::pdu::BHS_BYTES;
use crate::iscsi::pdu::frame::DIGEST_BYTES;

/// Bytes read at a time: 32 writes of 4 KiB.
const BYTES: usize = 132 << 10;
/// Longest header: BHS, 255 words of AHS, digest.
const HEADER_BYTES_MAX: usize = BHS_BYTES + 255 * 4 + DIGEST_BYTES;
/// Memory that a thread keeps: its connections use the same over and over, one after the other. One
/// that has got half a header keeps a copy of that meanwhile, and no more.
const FREE_MAX: usize = 4;

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes in the order they came. It has memory only while there are any, or about to be.
#[derive(Default)]
pub(super) struct Inbox {
    memory: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Inbox {
    /// What is there.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    /// Nothing is there.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Where to read more to; [`Self::came`] follows.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.memory.len() < BYTES {
            // `try_with`: at the end of the thread the list is gone.
            let free = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
            let mut memory = free.unwrap_or_else(|| vec![0; BYTES].into_boxed_slice());
            let rest = self.bytes().len();
            memory[..rest].copy_from_slice(self.bytes());
            *self = Self { memory, start: 0, end: rest };
        }
        &mut self.memory[self.end..]
    }

    /// So many bytes were read.
    pub(super) fn came(&mut self, bytes: usize) {
        self.end += bytes;
    }

    /// So many were taken in.
    pub(super) fn taken(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// All that can be is taken in: makes room for what comes next.
    pub(super) fn settle(&mut self) {
        if self.is_empty() {
            self.give_back();
        } else if self.memory.len() == BYTES && self.bytes().len() < HEADER_BYTES_MAX {
            // Nobody knows when the rest comes.
            let rest: Box<[u8]> = self.bytes().into();
            self.give_back();
            (self.end, self.memory) = (rest.len(), rest);
        } else if self.memory.len() - self.start < HEADER_BYTES_MAX {
            self.memory.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
    }

    fn give_back(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        (self.start, self.end) = (0, 0);
        if memory.len() < BYTES {
            return;
        }
        let _gone_with_thread = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < FREE_MAX {
                free.push(memory);
            }
        });
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_nothing_has_no_memory() {
        let (mut one, mut other) = (Inbox::default(), Inbox::default());
        one.room()[..3].copy_from_slice(b"abc");
        one.came(3);
        one.taken(2);
        let at = one.memory.as_ptr();
        one.settle();
        assert_eq!(one.bytes(), b"c");
        assert_eq!(one.memory.len(), 1, "no more than it needs");
        assert_eq!(one.room().as_ptr(), at.wrapping_add(1), "it has the memory again");
        one.room()[..2].copy_from_slice(b"de");
        one.came(2);
        assert_eq!(one.bytes(), b"cde");
        one.taken(3);
        one.settle();
        assert!(one.is_empty() && one.memory.is_empty());
        assert_eq!(other.room().as_ptr(), at, "the next one has it");
    }

    #[test]
    fn there_is_always_room_for_the_rest_of_a_header() {
        let mut inbox = Inbox::default();
        let len = inbox.room().len();
        inbox.room()[len - 1] = 7;
        inbox.came(len);
        inbox.taken(len - 1);
        assert!(inbox.room().is_empty());
        inbox.settle();
        assert_eq!(inbox.bytes(), [7]);
        assert!(inbox.room().len() >= HEADER_BYTES_MAX);
    }
}
