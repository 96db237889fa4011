//! The memory of buffers, and of stores that keep data in memory.
//!
//! What is as long as a page of such a store comes out of slabs of a huge page each: where a store
//! has many of them, and is read at random, finding out where in the machine's memory each is
//! would take longer than some of what is done with it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use memmap2::{Advice, MmapMut};
use parking_lot::Mutex;

/// Length of a page of a store.
pub(super) const PAGE_BYTES: usize = 64 << 10;
/// A huge page of most processors.
const SLAB_BYTES: usize = 2 << 20;

/// Pages that nobody has. What was taken from the system stays with the process: who takes the
/// memory is bounded, and will need as much again.
static FREE: Mutex<Vec<&'static mut [u8]>> = Mutex::new(Vec::new());

/// A piece of contiguous memory that may be shared. Apart from its reference count: where there are
/// many, the counts lie close together, and looking at one touches no other page of memory.
pub struct Memory(Bytes);

enum Bytes {
    Own(Box<[u8]>),
    /// A part of a slab.
    Page(&'static mut [u8]),
}

/// A page with unspecified (but initialised) contents; `None`: the system gives no more.
fn page() -> Option<&'static mut [u8]> {
    if let Some(page) = FREE.lock().pop() {
        return Some(page);
    }
    // The list is not locked meanwhile: should two find it empty, there is a slab more than needed.
    let slab = MmapMut::map_anon(SLAB_BYTES).ok()?;
    // Where there are none, it is as any memory.
    let _small_pages = slab.advise(Advice::HugePage);
    let slab = Box::leak(Box::new(slab));
    let mut pages = slab.chunks_exact_mut(PAGE_BYTES);
    let first = pages.next();
    // The next one is the next to be taken.
    FREE.lock().extend(pages.rev());
    first
}

impl Memory {
    /// Zeros, as a store has them for [`Buffer::append`](super::Buffer::append).
    #[must_use]
    pub fn zeros(len: usize) -> Arc<Self> {
        let mut memory = Self::unfilled(len);
        if let Bytes::Page(page) = &mut memory.0 {
            page.fill(0);
        }
        Arc::new(memory)
    }

    /// Memory with unspecified (but initialised) contents, of whoever had it before: for who fills
    /// all that anybody is shown of it.
    pub(super) fn unfilled(len: usize) -> Self {
        let page = if len == PAGE_BYTES { page() } else { None };
        Self(page.map_or_else(|| Bytes::Own(vec![0; len].into_boxed_slice()), Bytes::Page))
    }
}

impl Clone for Memory {
    fn clone(&self) -> Self {
        let page = if self.len() == PAGE_BYTES { page() } else { None };
        Self(match page {
            Some(page) => {
                page.copy_from_slice(self);
                Bytes::Page(page)
            }
            None => Bytes::Own(self[..].into()),
        })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Bytes::Page(page) = std::mem::replace(&mut self.0, Bytes::Own(Box::default())) {
            FREE.lock().push(page);
        }
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Own(bytes) => bytes,
            Bytes::Page(page) => page,
        }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Bytes::Own(bytes) => bytes,
            Bytes::Page(page) => page,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_somebody_had_is_zeros_again() {
        for _ in 0..100 {
            let mut memory = Memory::zeros(PAGE_BYTES);
            assert!(memory.iter().all(|byte| *byte == 0));
            Arc::get_mut(&mut memory).unwrap().fill(7);
        }
    }

    #[test]
    fn no_two_have_the_same_memory() {
        let mut all: Vec<_> = (0..100).map(|_| Memory::zeros(PAGE_BYTES)).collect();
        for (i, memory) in all.iter_mut().enumerate() {
            Arc::get_mut(memory).unwrap().fill(i as u8);
        }
        let copies: Vec<Memory> = all.iter().map(|memory| Memory::clone(memory)).collect();
        for (i, memory) in all.iter_mut().enumerate() {
            Arc::get_mut(memory).unwrap().fill(i as u8 + 100);
            assert!(copies[i].len() == PAGE_BYTES && copies[i].iter().all(|b| *b == i as u8));
        }
        for (i, memory) in all.iter().enumerate() {
            assert!(memory.iter().all(|byte| *byte == i as u8 + 100));
        }
    }

    #[test]
    fn memory_of_any_length_is_zeros_and_can_be_copied() {
        for len in [1, 4096, PAGE_BYTES - 1, PAGE_BYTES, PAGE_BYTES + 1] {
            let mut memory = Memory::zeros(len);
            assert!(memory.len() == len && memory.iter().all(|byte| *byte == 0));
            let other = Arc::clone(&memory);
            Arc::make_mut(&mut memory)[len - 1] = 1;
            assert_eq!((other[len - 1], memory[len - 1]), (0, 1));
        }
    }
}
