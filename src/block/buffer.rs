//! Pooled data buffers.
//!
//! A [`Buffer`] is a list of chunks from a few size classes, so a 4 KiB command costs one small
//! chunk and a 16 MiB command no huge contiguous allocation; volumes take it as an iovec. Chunks
//! come from and go back to a free list of the current thread: no lock, no sharing. They are not
//! zeroed, and may hold what others had in them: whoever fills a buffer fills all of it.
//!
//! A store that keeps its data in memory may lend parts of that to a buffer instead of copying
//! ([`Buffer::append`]), and keep memory of a buffer ([`Buffer::share`]). Such memory is never
//! changed: who writes to it, the buffer or the store, writes to a copy of their own.

use std::cell::RefCell;
use std::io::{IoSlice, IoSliceMut};
use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

pub use super::memory::Memory;

/// Chunk sizes in bytes, ascending.
const CLASSES: [usize; 3] = [4 << 10, 16 << 10, CHUNK_BYTES_MAX];
/// Largest chunk: longer buffers are made of several.
pub const CHUNK_BYTES_MAX: usize = super::memory::PAGE_BYTES;
/// Free bytes a thread keeps per size class.
const FREE_BYTES_PER_CLASS_MAX: usize = 8 << 20;

/// A thread's free chunks by size class.
type FreeLists = [Vec<Arc<Memory>>; CLASSES.len()];

thread_local! {
    /// Made when the thread first takes a chunk: threads that only drop what others took (a
    /// store's) keep nothing.
    static FREE: RefCell<Option<FreeLists>> = const { RefCell::new(None) };
}

impl Memory {
    /// Lets go of memory that buffers may use again, if nobody else has it.
    pub fn give_back(mut this: Arc<Self>) {
        let Some(class) = CLASSES.iter().position(|&size| size == this.len()) else { return };
        if Arc::get_mut(&mut this).is_none() {
            return;
        }
        // `try_with`: during thread exit the list is gone.
        let _gone_with_thread = FREE.try_with(|free| {
            if let Some(lists) = free.borrow_mut().as_mut()
                && (lists[class].len() + 1) * CLASSES[class] <= FREE_BYTES_PER_CLASS_MAX
            {
                lists[class].push(this);
            }
        });
    }
}

/// The bytes from `from` on, `len` of them, of one piece of contiguous memory.
struct Chunk {
    mem: Arc<Memory>,
    from: usize,
    len: usize,
}

fn class_of(len: usize) -> usize {
    CLASSES.iter().position(|&size| len <= size).unwrap_or(CLASSES.len() - 1)
}

impl Chunk {
    fn take(len: usize) -> Self {
        let class = class_of(len);
        // `try_with`: during thread exit the list is gone, a plain allocation still works.
        let take = |free: &RefCell<Option<FreeLists>>| {
            free.borrow_mut().get_or_insert_default()[class].pop()
        };
        let mem = FREE.try_with(take).ok().flatten();
        Self {
            mem: mem.unwrap_or_else(|| Arc::new(Memory::unfilled(CLASSES[class]))),
            from: 0,
            len,
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.mem[self.from..self.from + self.len]
    }

    /// For writing: its own from now on.
    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut Arc::make_mut(&mut self.mem)[self.from..self.from + self.len]
    }
}

/// Owned memory of a fixed length for the data of one command. See the [module](self) docs.
pub struct Buffer {
    chunks: SmallVec<[Chunk; 1]>,
    len: usize,
}

impl Buffer {
    /// A buffer of `len` bytes with unspecified (but initialised) contents: fill all of it.
    #[must_use]
    pub fn unfilled(len: usize) -> Self {
        let mut buffer = Self { chunks: SmallVec::new(), len: 0 };
        buffer.grow(len);
        buffer
    }

    /// A buffer of `len` zeros.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let mut buffer = Self::unfilled(len);
        buffer.slices_mut().for_each(|slice| slice.fill(0));
        buffer
    }

    /// A copy of `bytes`.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Self {
        let mut buffer = Self::unfilled(bytes.len());
        buffer.copy_from(0, bytes);
        buffer
    }

    /// Memory that a buffer of `len` bytes occupies.
    #[must_use]
    pub fn footprint(len: usize) -> usize {
        let rest = len % CHUNK_BYTES_MAX;
        len - rest + if rest == 0 { 0 } else { CLASSES[class_of(rest)] }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if the length is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The whole buffer, in order.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.range(0, self.len)
    }

    /// The whole buffer, in order, for writing.
    pub fn slices_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let len = self.len;
        self.range_mut(0, len)
    }

    /// The bytes from `offset` on, `len` of them, in order.
    ///
    /// # Panics
    /// If the range is not inside the buffer: callers check what peers say before.
    pub fn range(&self, offset: usize, len: usize) -> impl Iterator<Item = &[u8]> {
        assert!(offset <= self.len && len <= self.len - offset, "range outside the buffer");
        let mut cut = Cut { skip: offset, left: len };
        self.chunks.iter().filter_map(move |chunk| Some(&chunk.bytes()[cut.next(chunk.len)?]))
    }

    /// As [`Self::range`], for writing.
    ///
    /// # Panics
    /// If the range is not inside the buffer.
    pub fn range_mut(&mut self, offset: usize, len: usize) -> impl Iterator<Item = &mut [u8]> {
        assert!(offset <= self.len && len <= self.len - offset, "range outside the buffer");
        let mut cut = Cut { skip: offset, left: len };
        self.chunks.iter_mut().filter_map(move |chunk| {
            let part = cut.next(chunk.len)?;
            Some(&mut chunk.bytes_mut()[part])
        })
    }

    /// The buffer as an iovec for a vectored write.
    #[must_use]
    pub fn io_slices(&self) -> SmallVec<[IoSlice<'_>; 8]> {
        self.slices().map(IoSlice::new).collect()
    }

    /// The buffer as an iovec for a vectored read.
    pub fn io_slices_mut(&mut self) -> SmallVec<[IoSliceMut<'_>; 8]> {
        self.slices_mut().map(IoSliceMut::new).collect()
    }

    /// Copies `bytes` into the buffer at `offset`.
    ///
    /// # Panics
    /// If they do not fit.
    pub fn copy_from(&mut self, offset: usize, bytes: &[u8]) {
        let mut rest = bytes;
        for slice in self.range_mut(offset, bytes.len()) {
            let (now, later) = rest.split_at(slice.len());
            slice.copy_from_slice(now);
            rest = later;
        }
    }

    /// Fills `bytes` from the buffer at `offset`.
    ///
    /// # Panics
    /// If the range is not inside the buffer.
    pub fn copy_to(&self, offset: usize, bytes: &mut [u8]) {
        let mut at = 0;
        for slice in self.range(offset, bytes.len()) {
            bytes[at..at + slice.len()].copy_from_slice(slice);
            at += slice.len();
        }
    }

    /// The contents as one vector (a copy).
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len);
        self.slices().for_each(|slice| bytes.extend_from_slice(slice));
        bytes
    }

    /// Offset of the first byte in which two buffers differ, as far as the shorter one goes. They need
    /// not be made of the same pieces: one may have parts of a store's memory.
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<usize> {
        let (mut all, mut all_others) = (self.slices(), other.slices());
        let (mut mine, mut others): (&[u8], &[u8]) = (&[], &[]);
        let mut at = 0;
        loop {
            if mine.is_empty() {
                mine = all.next()?;
            }
            if others.is_empty() {
                others = all_others.next()?;
            }
            let (a, b) = (mine, others);
            let len = a.len().min(b.len());
            if a[..len] != b[..len] {
                let within = a.iter().zip(b).position(|(a, b)| a != b)?;
                return Some(at + within);
            }
            at += len;
            (mine, others) = (&a[len..], &b[len..]);
        }
    }

    /// Lengthens the buffer to `len` bytes, what is added being unspecified (but initialised);
    /// shorter than it is: no change.
    pub fn grow(&mut self, len: usize) {
        let Some(mut more) = len.checked_sub(self.len) else { return };
        if let Some(last) = self.chunks.last_mut() {
            let wanted = (last.len + more).min(CHUNK_BYTES_MAX).max(last.len);
            // It may be of too small a class.
            if last.mem.len() - last.from < wanted {
                let mut larger = Chunk::take(wanted);
                larger.len = last.len;
                larger.bytes_mut().copy_from_slice(last.bytes());
                Memory::give_back(std::mem::replace(last, larger).mem);
            }
            more -= wanted - last.len;
            last.len = wanted;
        }
        while more > 0 {
            let part = more.min(CHUNK_BYTES_MAX);
            self.chunks.push(Chunk::take(part));
            more -= part;
        }
        self.len = self.len.max(len);
    }

    /// Shortens the buffer to `len` bytes; longer than it is: no change.
    pub fn truncate(&mut self, len: usize) {
        while self.len > len {
            let Some(last) = self.chunks.last_mut() else { return };
            let kept = last.len.saturating_sub(self.len - len);
            self.len -= last.len - kept;
            last.len = kept;
            if kept == 0 {
                self.chunks.pop().into_iter().for_each(|chunk| Memory::give_back(chunk.mem));
            }
        }
    }

    /// Lengthens the buffer by a part of memory that stays somebody else's, too.
    ///
    /// # Panics
    /// If the part is not inside that memory.
    pub fn append(&mut self, mem: Arc<Memory>, part: Range<usize>) {
        assert!(part.start < part.end && part.end <= mem.len(), "range outside the memory");
        let (from, len) = (part.start, part.len());
        self.chunks.push(Chunk { mem, from, len });
        self.len += len;
    }

    /// The memory of the bytes from `offset` on, `len` of them, to be kept beyond the life of the
    /// buffer, if it holds these and nothing else.
    #[must_use]
    pub fn share(&self, offset: usize, len: usize) -> Option<Arc<Memory>> {
        let mut at = 0;
        for chunk in &self.chunks {
            if at >= offset {
                let is_whole = at == offset && chunk.len == len && chunk.mem.len() == len;
                return is_whole.then(|| Arc::clone(&chunk.mem));
            }
            at += chunk.len;
        }
        None
    }

    /// Bytes of memory that the buffer keeps from being used for anything else: more than its
    /// [`footprint`](Self::footprint) where it has parts of somebody else's.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.mem.len()).sum()
    }

    /// Copies what is somebody else's, so that no more is held than its footprint.
    pub fn detach(&mut self) {
        if self.held_bytes() > Self::footprint(self.len) {
            let mut own = Self::unfilled(self.len);
            let mut at = 0;
            for part in self.slices() {
                own.copy_from(at, part);
                at += part.len();
            }
            *self = own;
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.chunks.drain(..).for_each(|chunk| Memory::give_back(chunk.mem));
    }
}

/// Cuts a range out of chunks that follow one another.
struct Cut {
    skip: usize,
    left: usize,
}

impl Cut {
    /// The part of the next chunk that lies in the range.
    fn next(&mut self, len: usize) -> Option<Range<usize>> {
        let from = self.skip.min(len);
        self.skip -= from;
        let part = self.left.min(len - from);
        self.left -= part;
        (part > 0).then(|| from..from + part)
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_buffer_is_read_and_written_across_chunks() {
        let len = 2 * CHUNK_BYTES_MAX + 1000;
        let mut buffer = Buffer::unfilled(len);
        let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        buffer.copy_from(0, &bytes);
        assert_eq!(buffer.to_vec(), bytes);
        assert_eq!(buffer.slices().count(), 3);

        let at = CHUNK_BYTES_MAX - 3;
        buffer.copy_from(at, b"abcdef");
        let mut out = [0; 6];
        buffer.copy_to(at, &mut out);
        assert_eq!(&out, b"abcdef");

        buffer.truncate(CHUNK_BYTES_MAX + 3);
        assert_eq!(buffer.slices().map(<[u8]>::len).collect::<Vec<_>>(), [CHUNK_BYTES_MAX, 3]);
    }

    #[test]
    fn a_buffer_grows_and_keeps_what_it_held() {
        for (from, to) in
            [(0, 5000), (3000, 4000), (3000, 90_000), (3000, 600_000), (300_000, 600_000)]
        {
            let mut buffer = Buffer::unfilled(from);
            let bytes: Vec<u8> = (0..from).map(|i| (i % 251) as u8).collect();
            buffer.copy_from(0, &bytes);
            buffer.grow(to);
            assert_eq!(buffer.len(), to);
            assert_eq!(buffer.slices().map(<[u8]>::len).sum::<usize>(), to);
            assert_eq!(buffer.to_vec()[..from], bytes);
            buffer.copy_from(to - 1, &[1]);
        }
    }

    #[test]
    fn memory_comes_back_from_the_free_list() {
        let address = |b: &Buffer| b.slices().next().map(<[u8]>::as_ptr);
        let first = Buffer::unfilled(4096);
        let at = address(&first);
        drop(first);
        let second = Buffer::unfilled(100);
        assert_eq!(address(&second), at);
        assert_eq!(Buffer::zeroed(4096).to_vec(), vec![0; 4096]);
    }

    #[test]
    fn a_footprint_is_what_is_taken() {
        for len in [0, 1, 512, 4096, 4097, 20_000, 65_537, CHUNK_BYTES_MAX, CHUNK_BYTES_MAX + 1] {
            assert_eq!(Buffer::footprint(len), Buffer::unfilled(len).held_bytes(), "{len}");
        }
    }

    #[test]
    fn a_difference_is_found_wherever_the_pieces_are_cut() {
        let bytes: Vec<u8> = (0..3 * CHUNK_BYTES_MAX).map(|i| (i % 251) as u8).collect();
        let whole = Buffer::from_slice(&bytes);
        for cut in [1, 512, 4096, CHUNK_BYTES_MAX - 1] {
            for at in [0, cut - 1, cut, CHUNK_BYTES_MAX, bytes.len() - 1] {
                let mut other = bytes.clone();
                other[at] ^= 1;
                let mut pieces = Buffer::unfilled(0);
                for piece in std::iter::once(&other[..cut]).chain(other[cut..].chunks(10_000)) {
                    let mut mem = Memory::zeros(piece.len() + 7);
                    Arc::get_mut(&mut mem).unwrap()[7..].copy_from_slice(piece);
                    pieces.append(mem, 7..7 + piece.len());
                }
                assert_eq!(whole.first_difference(&pieces), Some(at), "{cut}");
                assert_eq!(pieces.first_difference(&whole), Some(at), "{cut}");
                pieces.copy_from(at, &bytes[at..=at]);
                assert_eq!(whole.first_difference(&pieces), None);
            }
        }
    }

    #[test]
    fn what_is_lent_is_copied_by_who_writes_to_it() {
        let mut lent = Memory::zeros(CHUNK_BYTES_MAX);
        let bytes = Arc::get_mut(&mut lent).unwrap();
        bytes.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i % 251) as u8);
        let mut buffer = Buffer::from_slice(b"ab");
        buffer.append(Arc::clone(&lent), 1000..5000);
        buffer.append(Arc::clone(&lent), 0..1);
        let wanted = [&b"ab"[..], &lent[1000..5000], &lent[..1]].concat();
        assert_eq!(buffer.to_vec(), wanted);
        assert_eq!(buffer.range(1, 2).map(<[u8]>::len).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(buffer.held_bytes(), 4096 + 2 * CHUNK_BYTES_MAX);

        buffer.copy_from(2, b"x");
        assert_eq!((lent[1000], buffer.to_vec()[2]), ((1000 % 251) as u8, b'x'));
        buffer.detach();
        assert_eq!(buffer.held_bytes(), 4096);
        assert_eq!(buffer.to_vec()[3..], wanted[3..]);
        assert_eq!(Arc::strong_count(&lent), 1);
    }

    #[test]
    fn memory_is_shared_only_where_there_is_nothing_else_in_it() {
        let mut buffer = Buffer::unfilled(2 * CHUNK_BYTES_MAX + 4096);
        let kept = buffer.share(CHUNK_BYTES_MAX, CHUNK_BYTES_MAX).unwrap();
        buffer.copy_from(CHUNK_BYTES_MAX, &[kept[0] ^ 1]);
        assert_ne!(kept[0], buffer.to_vec()[CHUNK_BYTES_MAX]);
        for (offset, len) in [(1, CHUNK_BYTES_MAX), (0, 4096), (0, 2 * CHUNK_BYTES_MAX)] {
            assert!(buffer.share(offset, len).is_none(), "{offset} {len}");
        }
        assert!(buffer.share(2 * CHUNK_BYTES_MAX, 4096).is_some());
        buffer.truncate(2 * CHUNK_BYTES_MAX + 4095);
        assert!(buffer.share(2 * CHUNK_BYTES_MAX, 4095).is_none());
        assert!(buffer.share(2 * CHUNK_BYTES_MAX + 4096, 1).is_none());
    }

    #[test]
    fn memory_that_somebody_has_is_not_used_again() {
        let buffer = Buffer::from_slice(&[7; 4096]);
        let kept = buffer.share(0, 4096).unwrap();
        drop(buffer);
        let mut next = Buffer::unfilled(4096);
        next.copy_from(0, &[8; 4096]);
        assert_eq!(kept[..], [7; 4096]);
        let at = kept.as_ptr();
        Memory::give_back(kept);
        assert_eq!(Buffer::unfilled(1).slices().next().map(<[u8]>::as_ptr), Some(at));
    }

    #[test]
    fn an_empty_buffer_has_no_slices() {
        assert_eq!(Buffer::unfilled(0).slices().count(), 0);
    }
}
