//! What stands behind a logical unit: volumes, requests, completions and buffers.
//!
//! This room knows no SCSI and no iSCSI, and imports nothing of the other rooms.
//!
//! A [`Volume`] is driven by batches: the connection driver hands over every request that one turn
//! produced, gets the ones that could be answered at once back in the same call, and finds the
//! rest in its [`CompletionQueue`] later. Nothing in [`Volume::submit`] may block.

pub mod buffer;
pub mod completion;
mod error;
pub mod fence;
mod memory;
pub mod qos;
mod state;

use std::sync::Arc;

pub use buffer::Buffer;
pub use completion::CompletionQueue;
pub use error::{Error, ErrorKind};
pub use fence::{Fenced, Ghost, Limited, Span, Spans};
pub use qos::{Limits, Rates};
pub use state::{STATE_BYTES_MAX, SavedState, StateRecord};

/// What a volume is like. Cheap to make: it is asked for on every READ CAPACITY and VPD answer,
/// and by the device server after a resize.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeInfo {
    /// Size in bytes. Requests never go beyond it; the SCSI layer checks first.
    pub size_bytes: u64,
    /// Writes are refused.
    pub read_only: bool,
    /// A completed write may still be in a volatile cache until a [`Op::Flush`] completes
    /// (reported as WCE, SBC-4 6.5.6). When false, every completed write is on stable storage.
    pub write_cache: bool,
    /// Unit in which the volume is written without read-modify-write, in bytes.
    pub physical_block_bytes: u32,
    /// Best transfer size in bytes (an RBD object, a chunk), 0 if there is none.
    pub optimal_io_bytes: u32,
    /// Granularity in which a discard frees space, in bytes; 0 if discard is not supported.
    pub discard_granularity_bytes: u32,
    /// Largest atomic [`Op::CompareAndWrite`], in bytes; 0 if there is none.
    pub max_compare_and_write_bytes: u32,
    /// Largest [`Op::WriteAtomic`], in bytes; 0 if there is none.
    pub max_atomic_write_bytes: u32,
    /// An [`Op::WriteAtomic`] crosses no multiple of this, in bytes. 0: it may.
    pub atomic_write_boundary_bytes: u32,
    /// Takes [`Op::WriteSame`]. What does not is sent the pattern as often as it is wanted.
    pub has_write_same: bool,
}

/// Space in the store of a volume, as far as that is known cheaply; for the initiator to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes that the volume itself takes, what it shares with a parent not counted.
    pub used_bytes: Option<u64>,
    /// Bytes that are free for all volumes of the store.
    pub available_bytes: Option<u64>,
}

/// One operation on a volume. Offsets and lengths are in bytes, never zero-length, always inside
/// the volume. `fua`: complete only once it is on stable storage.
#[derive(Debug)]
#[allow(missing_docs, reason = "the fields say what they are; the variants say what they mean")]
pub enum Op {
    /// Fill the whole of `buf` from `offset` on. What was never written reads as zeros; a buffer
    /// must never keep what it held before.
    Read { offset: u64, buf: Buffer },
    /// Write the whole of `buf` at `offset`.
    Write { offset: u64, buf: Buffer, fua: bool },
    /// A [`Op::Write`] of which, after a loss of power or a crash at any time, and by every
    /// concurrent read, either all is seen or nothing. Within the limits of [`VolumeInfo`].
    WriteAtomic { offset: u64, buf: Buffer, fua: bool },
    /// Complete once every write completed so far is on stable storage.
    Flush,
    /// The range is not needed any more; it reads as zeros afterwards.
    Discard { offset: u64, len: u64 },
    /// The range reads as zeros afterwards; space may be freed.
    WriteZeroes { offset: u64, len: u64, fua: bool },
    /// Write `pattern` over and over from `offset` on: `len` is a multiple of its length. Only to a
    /// volume that [has it](VolumeInfo::has_write_same).
    WriteSame { offset: u64, len: u64, pattern: Buffer },
    /// Atomically against every other operation: compare `compare` with what is at `offset`, and
    /// write `write` (of the same length) if they are equal; otherwise
    /// [`ErrorKind::Miscompare`] with the offset of the first differing byte.
    CompareAndWrite { offset: u64, compare: Buffer, write: Buffer },
    /// Which parts of the range hold data of this volume, at most `max` answers (GET LBA STATUS).
    Extents { offset: u64, len: u64, max: u32 },
    /// Keep this record beside the data, in the place of the one kept before; complete once it is on
    /// stable storage. It goes where the volume goes, and no clone inherits it. After a failure the
    /// old record or the new one is kept, nothing else.
    SaveState(StateRecord),
}

/// An operation and the tag by which its submitter knows it.
#[derive(Debug)]
pub struct Request {
    /// Opaque to the volume; comes back in the [`Completion`].
    pub tag: u64,
    /// What to do.
    pub op: Op,
}

/// What a successful operation brings back.
#[derive(Debug)]
pub enum Done {
    /// Nothing but success.
    Unit,
    /// The filled buffer of a [`Op::Read`].
    Data(Buffer),
    /// The buffer of an operation that another thread has executed (a write, mostly): dropped by
    /// the one that submitted it, it serves the next command there.
    Written(Buffer),
    /// The answer to [`Op::Extents`]: consecutive, ascending, starting at the asked offset.
    Extents(Vec<Extent>),
}

/// A run of bytes of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
    /// The volume (or a parent of it) holds data here; otherwise it reads as zeros.
    pub mapped: bool,
}

/// The end of a request.
#[derive(Debug)]
pub struct Completion {
    /// The tag of the [`Request`].
    pub tag: u64,
    /// How it went.
    pub result: Result<Done, Error>,
}

/// See [`Volume::hold`].
pub type Hold = Box<dyn std::any::Any + Send + Sync>;

/// See [`Volume::last_state`].
pub type LastState = Box<dyn FnOnce() -> Left + Send>;

/// What a volume that was given up has left, to be compared with what it has when it is opened again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// As [`Volume::saved_state`].
    pub saved: SavedState,
    /// The mark of who had written to it last when it was opened, where such are kept: another one
    /// each time that somebody begins to.
    pub found: Option<String>,
    /// The same as it was left: its own, if it was written to through this. Who finds another one
    /// knows that somebody has used the volume in between.
    pub mark: Option<String>,
}

/// A block device as the target sees it.
///
/// Implementations are shared by all shards. They must be ready for any mix of concurrent
/// requests; an overlapping write and read may see either order, but one request never sees half
/// a block of another.
pub trait Volume: Send + Sync + 'static {
    /// Size and abilities, as they are now (a resize changes them).
    fn info(&self) -> VolumeInfo;

    /// What it takes in its store. Asked for once in a while, and must not wait for a network.
    fn usage(&self) -> Usage {
        Usage::default()
    }

    /// True once the volume is of no more use through this handle and has to be opened anew:
    /// another client owns it ([`ErrorKind::Fenced`]), or a sync has failed and what is on stable
    /// storage is not known. Cheap; it never becomes false again.
    fn has_failed(&self) -> bool {
        false
    }

    /// Nothing is wrong but this handle: opened anew, the volume is what it was. Implies
    /// [`Self::has_failed`]. Cheap; it never becomes false again.
    fn is_outdated(&self) -> bool {
        false
    }

    /// What [`Op::SaveState`] has kept, as it is now. Never blocks.
    fn saved_state(&self) -> SavedState {
        SavedState::Unsupported
    }

    /// For who gives the volume up: what it has left once all that was asked of it has ended. A
    /// record may be on its way to the store. Keeps nothing open.
    fn last_state(&self) -> LastState {
        let saved = self.saved_state();
        Box::new(|| Left { saved, found: None, mark: None })
    }

    /// Keeps the volume ready for requests until what this gives is dropped: a session has begun
    /// that may use it. Without one, a volume may let go of what it takes to be open, and the next
    /// request waits until it has it again. Never blocks.
    fn hold(&self) -> Option<Hold> {
        None
    }

    /// Takes every request out of `requests`. Those that can be answered without waiting are
    /// pushed onto `done`; each of the others is pushed onto `queue` exactly once, later, from any
    /// thread. Never blocks.
    fn submit(
        &self,
        requests: &mut Vec<Request>,
        done: &mut Vec<Completion>,
        queue: &Arc<CompletionQueue>,
    );
}
