//! The data path: requests to librbd and back, without a copy or a wait.
//!
//! A request and everything librbd needs while it runs (buffers, iovec, a reference to the image)
//! lie in one allocation, whose address is the callback's argument. The callback runs on one of
//! librbd's threads: it takes the result, pushes it and returns.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use rustix::io::Errno;
use smallvec::SmallVec;

use super::ffi::{IoVec, RbdCompletion};
use super::{Error, Image};
use crate::block::{self, Buffer, Completion, CompletionQueue, Done, ErrorKind, Op, Request};

/// Objects zeroed by one call of librbd, which keeps some state for each while it runs; a longer
/// range takes several calls.
const ZERO_OBJECTS_MAX: u64 = 256;

/// Largest compare-and-write: more than one sector librbd refuses.
pub(super) const COMPARE_AND_WRITE_BYTES: usize = 512;

/// A request in librbd's hands.
struct Pending {
    image: Arc<Image>,
    queue: Arc<CompletionQueue>,
    tag: u64,
    op: Op,
    /// Points into the buffers of `op`.
    iov: SmallVec<[IoVec; 4]>,
    mismatch: u64,
}

impl Image {
    /// Largest compare-and-write in bytes.
    pub const COMPARE_AND_WRITE_BYTES: usize = COMPARE_AND_WRITE_BYTES;

    /// Longest range that a pattern is written to by one request, in bytes.
    pub const WRITE_SAME_BYTES_MAX: u64 = 1 << 30;

    /// Starts a request; its completion is pushed onto `queue` exactly once. Discarding zeroes
    /// the range. [`Op::Extents`] and
    /// [`Op::SaveState`] are not supported.
    ///
    /// The range must be inside the image: librbd silently cuts one that is not.
    ///
    /// Refused as [`ErrorKind::Unavailable`] unless the image [is current](Self::is_current).
    pub fn submit(self: &Arc<Self>, request: Request, queue: &Arc<CompletionQueue>) {
        // Until librbd has it: whoever finds the image out of date later waits for it.
        let Some(_asking) = self.lineage().ask() else {
            let result = Err(self.not_current());
            return queue.push(Completion { tag: request.tag, result });
        };
        let pending = Box::new(Pending {
            image: Arc::clone(self),
            queue: Arc::clone(queue),
            tag: request.tag,
            op: request.op,
            iov: SmallVec::new(),
            mismatch: 0,
        });
        // SAFETY: a leaked box, given to nobody else.
        unsafe { start(Box::into_raw(pending)) };
    }

    fn outcome(&self, op: Op, code: i64, mismatch: u64) -> Result<Done, block::Error> {
        if code < 0 {
            return Err(self.failure(&op, code, mismatch));
        }
        match op {
            // librbd cuts what goes beyond the end: the image has just become smaller.
            Op::Read { offset, buf } if code != buf.len() as i64 => {
                let message =
                    format!("{}: {code} of {} bytes at {offset}", self.label(), buf.len());
                Err(block::Error::new(ErrorKind::OutOfRange, message))
            }
            // What it read may have been gone.
            Op::Read { .. } if !self.is_current() => Err(self.not_current()),
            Op::Read { buf, .. } => Ok(Done::Data(buf)),
            Op::Write { buf, .. } | Op::WriteAtomic { buf, .. } => Ok(Done::Written(buf)),
            _ => Ok(Done::Unit),
        }
    }

    /// Why nothing is read, or written, through this handle.
    #[must_use]
    pub fn not_current(&self) -> block::Error {
        let message = format!("{}: an image behind it may have changed", self.label());
        block::Error::new(ErrorKind::Unavailable, message)
    }

    fn failure(&self, op: &Op, code: i64, mismatch: u64) -> block::Error {
        if matches!(op, Op::CompareAndWrite { .. })
            && code == -i64::from(Errno::ILSEQ.raw_os_error())
        {
            // Ceph 16 counts it from the start of the object that the sector is in, other versions
            // may count from the sector or the image: all of these are multiples of a sector.
            let offset = mismatch % COMPARE_AND_WRITE_BYTES as u64;
            return ErrorKind::Miscompare { offset }.into();
        }
        let (what, offset) = match op {
            Op::Read { offset, .. } => ("read", *offset),
            Op::Write { offset, .. } | Op::WriteAtomic { offset, .. } => ("write", *offset),
            Op::Flush => ("flush", 0),
            Op::Discard { offset, .. } | Op::WriteZeroes { offset, .. } => ("zeroing", *offset),
            Op::WriteSame { offset, .. } => ("write-same", *offset),
            Op::CompareAndWrite { offset, .. } => ("compare-and-write", *offset),
            Op::Extents { offset, .. } => ("extents", *offset),
            Op::SaveState(_) => ("saving the state", 0),
        };
        let error = Error::from_code(code, format!("{what} of {} at {offset}", self.label()));
        let error = self.pool().cluster().note(error);
        if error.kind() == ErrorKind::Fenced {
            self.set_fenced();
        }
        error.into()
    }
}

impl Pending {
    /// How much of a long zeroing the next call does.
    fn zero_step(&self, offset: u64, len: u64) -> u64 {
        let step = self.image.object_bytes().max(1).saturating_mul(ZERO_OBJECTS_MAX);
        // Up to an object's boundary: no object is touched twice.
        len.min(step - offset % step)
    }

    /// After a call that succeeded: whether there is more to do.
    fn advance(&mut self) -> bool {
        let (Op::Discard { offset, len } | Op::WriteZeroes { offset, len, .. }) = self.op else {
            return false;
        };
        let step = self.zero_step(offset, len);
        if let Op::Discard { offset, len } | Op::WriteZeroes { offset, len, .. } = &mut self.op {
            *offset += step;
            *len -= step;
        }
        step < len
    }

    /// Reports the end of the request.
    fn finish(self, code: i64) {
        self.end(|image, op, mismatch| image.outcome(op, code, mismatch));
    }

    fn end(self, outcome: impl FnOnce(&Image, Op, u64) -> Result<Done, block::Error>) {
        let Self { image, queue, tag, op, mismatch, .. } = self;
        let result = outcome(&image, op, mismatch);
        // First: whoever sees the completion and drops the volume then finds the image closing.
        drop(image);
        queue.push(Completion { tag, result });
    }
}

/// Hands a request to librbd, or reports why that failed.
///
/// # Safety
/// `pending` comes from `Box::into_raw`, and the caller does not use it afterwards.
unsafe fn start(pending: *mut Pending) {
    // SAFETY: the caller's promise.
    let code = unsafe { issue(pending) };
    if code < 0 {
        // SAFETY: librbd refused it and will not call back: it is ours again.
        (*unsafe { Box::from_raw(pending) }).finish(code);
    }
}

/// Returns less than 0 if librbd did not take the request. Otherwise the callback owns it, and
/// may have freed it already.
///
/// # Safety
/// As for [`start`].
unsafe fn issue(pending: *mut Pending) -> i64 {
    // SAFETY: valid, and ours alone until a call below takes it.
    let this = unsafe { &mut *pending };
    let (api, image) = (this.image.api(), this.image.handle());
    let mut completion = std::ptr::null_mut();
    // SAFETY: `on_complete` takes exactly such an argument.
    let code = unsafe {
        (api.rbd_aio_create_completion)(pending.cast(), on_complete, &raw mut completion)
    };
    if code < 0 {
        return code.into();
    }
    // SAFETY: the image is open (`this` has a reference). Buffers, iovec and `mismatch` lie in
    // `*pending` or belong to it, which stays where it is until the callback has run.
    let code = unsafe {
        match &mut this.op {
            Op::Read { offset, buf } => {
                this.iov =
                    buf.slices_mut().map(|part| iovec(part.as_mut_ptr(), part.len())).collect();
                (api.rbd_aio_readv)(image, this.iov.as_ptr(), count(&this.iov), *offset, completion)
                    .into()
            }
            Op::Write { offset, buf, .. } | Op::WriteAtomic { offset, buf, .. } => {
                // librbd does not write through these pointers.
                this.iov =
                    buf.slices().map(|part| iovec(part.as_ptr().cast_mut(), part.len())).collect();
                (api.rbd_aio_writev)(
                    image,
                    this.iov.as_ptr(),
                    count(&this.iov),
                    *offset,
                    completion,
                )
                .into()
            }
            Op::Flush => (api.rbd_aio_flush)(image, completion).into(),
            // `rbd_aio_discard` skips what is smaller than its granularity; this frees as much
            // and always reads as zeros afterwards.
            &mut (Op::Discard { offset, len } | Op::WriteZeroes { offset, len, .. }) => {
                let step = this.zero_step(offset, len);
                (api.rbd_aio_write_zeroes)(image, offset, step as usize, completion, 0, 0).into()
            }
            Op::WriteSame { offset, len, pattern } => match in_one(pattern) {
                // A pattern of zeros frees as `rbd_aio_write_zeroes` does.
                Some(pattern) => (api.rbd_aio_writesame)(
                    image,
                    *offset,
                    *len as usize,
                    pattern.as_ptr().cast(),
                    pattern.len(),
                    completion,
                    0,
                )
                .into(),
                None => -i64::from(Errno::OPNOTSUPP.raw_os_error()),
            },
            Op::CompareAndWrite { offset, compare, write } => {
                match (whole(compare), whole(write)) {
                    (Some(compare), Some(write)) => (api.rbd_aio_compare_and_write)(
                        image,
                        *offset,
                        COMPARE_AND_WRITE_BYTES,
                        compare.as_ptr().cast(),
                        write.as_ptr().cast(),
                        completion,
                        &raw mut this.mismatch,
                        0,
                    ) as i64,
                    _ => -i64::from(Errno::OPNOTSUPP.raw_os_error()),
                }
            }
            Op::Extents { .. } | Op::SaveState(_) => -i64::from(Errno::OPNOTSUPP.raw_os_error()),
        }
    };
    if code < 0 {
        // SAFETY: librbd did not take it: our reference is the only one.
        unsafe { (api.rbd_aio_release)(completion) };
    }
    code.min(0)
}

unsafe extern "C" fn on_complete(completion: *mut RbdCompletion, arg: *mut c_void) {
    let pending = arg.cast::<Pending>();
    // SAFETY: `arg` is the request that `issue` handed over; librbd calls back once and is done
    // with it.
    let this = unsafe { &mut *pending };
    let api = this.image.api();
    // SAFETY: the completion is complete; the reference given back is the one `issue` got.
    let code = unsafe {
        let code = (api.rbd_aio_get_return_value)(completion);
        (api.rbd_aio_release)(completion);
        code as i64
    };
    if code >= 0 && this.advance() {
        let image = Arc::clone(&this.image);
        if let Some(_asking) = image.lineage().ask() {
            // SAFETY: as it came from `issue`; not used below.
            unsafe { start(pending) };
        } else {
            // SAFETY: librbd is done with it.
            let pending = *unsafe { Box::from_raw(pending) };
            pending.end(|image, _, _| Err(image.not_current()));
        }
    } else {
        // SAFETY: librbd is done with it.
        (*unsafe { Box::from_raw(pending) }).finish(code);
    }
}

fn iovec(base: *mut u8, len: usize) -> IoVec {
    IoVec { base: base.cast(), len }
}

fn count(iov: &[IoVec]) -> c_int {
    c_int::try_from(iov.len()).unwrap_or(c_int::MAX)
}

/// The buffer as one piece, if it is a sector.
fn whole(buffer: &Buffer) -> Option<&[u8]> {
    in_one(buffer).filter(|part| part.len() == COMPARE_AND_WRITE_BYTES)
}

/// The buffer, if it is one piece.
fn in_one(buffer: &Buffer) -> Option<&[u8]> {
    buffer.slices().next().filter(|part| part.len() == buffer.len())
}
