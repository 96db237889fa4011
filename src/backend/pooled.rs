//! A volume out of blocking file operations: range locks, group commit, the pool's threads.
//!
//! An [`Engine`] knows how bytes are stored, and nothing of concurrency: what it is asked to do
//! to a block is never asked twice at a time. A read that the page cache can answer runs on the
//! caller; all else goes to the [`Pool`]. A change that must be on stable storage before it
//! completes waits in the volume's group; one [`Task::Commit`] syncs for all that gathered, and no
//! thread waits for another's.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::check;
use super::pool::{Finished, Job, Pool, Task, Work};
use super::range_lock::{RangeGuard, RangeLock};
use crate::block::{
    Buffer, Completion, CompletionQueue, Done, Error, ErrorKind, Extent, Op, Request, SavedState,
    StateRecord, Volume, VolumeInfo,
};

/// Unit of copy-on-write and of the locks, in bytes.
pub(super) const BLOCK_BYTES: u64 = 4096;
/// Largest atomic compare-and-write, in bytes.
pub(super) const COMPARE_AND_WRITE_BYTES_MAX: u32 = 1 << 20;

/// Why an atomic write is not there.
pub(super) enum AtomicFailure {
    /// It could not begin; nothing has changed.
    Unchanged(Error),
    /// It may be there, in whole or in part, until the volume is opened again and makes it whole.
    Unknown(Error),
}

/// How the bytes of a volume are stored. Ranges are inside the volume; whoever changes something
/// is alone in the blocks that it touches.
pub(super) trait Engine: Send + Sync + 'static {
    /// What the volume is like when open for writing.
    fn info(&self) -> VolumeInfo;
    /// Fills `buf` if that needs no waiting; otherwise false, with anything in `buf`.
    fn read_now(&self, offset: u64, buf: &mut Buffer) -> bool;
    /// Fills `buf`.
    fn read(&self, offset: u64, buf: &mut Buffer) -> Result<(), Error>;
    /// Writes; [`Self::sync`] makes it stable.
    fn write(&self, offset: u64, buf: &Buffer) -> Result<(), Error>;
    /// Makes the range read as zeros and frees space where it can; [`Self::sync`] makes it stable.
    fn zero(&self, offset: u64, len: u64) -> Result<(), Error>;
    /// Writes so that, whenever the power fails, all of it is there afterwards or nothing; on
    /// stable storage when this returns. `sync` is [`Self::sync`], in turn with all others.
    fn write_atomic(
        &self,
        _offset: u64,
        _buf: &Buffer,
        _sync: &dyn Fn() -> Result<(), Error>,
    ) -> Result<(), AtomicFailure> {
        Err(AtomicFailure::Unchanged(ErrorKind::Unsupported.into()))
    }
    /// At most `max` runs, from `offset` on.
    fn extents(&self, offset: u64, len: u64, max: u32) -> Result<Vec<Extent>, Error>;
    /// What [`Self::save_state`] keeps. Never waits.
    fn saved_state(&self) -> SavedState {
        SavedState::Unsupported
    }
    /// Keeps a record beside the data; on stable storage when this returns.
    fn save_state(&self, _record: &StateRecord) -> Result<(), Error> {
        Err(ErrorKind::Unsupported.into())
    }
    /// Puts all changes that returned before on stable storage. After a failure it is not called
    /// again: the kernel may have dropped what it could not write.
    fn sync(&self) -> Result<(), Error>;
    /// The volume that was open for writing is closed.
    fn writer_gone(&self) {}
}

/// An engine with its locks and its group; shared by all volumes on it.
pub(super) struct Core<E: Engine> {
    engine: E,
    pool: Arc<Pool>,
    write_cache: bool,
    ranges: RangeLock,
    group: Mutex<Group>,
    /// Set once a sync failed, with what it said.
    failed: OnceLock<Error>,
    /// One sync at a time: the kernel tells of a failure once, to whoever comes first.
    syncing: Mutex<()>,
    /// An atomic write is there in part, and nobody may see it.
    torn: AtomicBool,
}

/// Requests that have run and wait for stable storage.
#[derive(Default)]
struct Group {
    waiting: Waiting,
    /// The list of the last group, empty: two take turns.
    spare: Waiting,
    /// A [`Task::Commit`] is queued or runs.
    committing: bool,
}

/// Where to say it, and what.
type Waiting = Vec<(Arc<CompletionQueue>, u64, Done)>;

fn blocks(offset: u64, len: u64) -> Range<u64> {
    let end = offset.saturating_add(len);
    offset / BLOCK_BYTES * BLOCK_BYTES..end.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES)
}

impl<E: Engine> Core<E> {
    pub(super) fn new(engine: E, pool: Arc<Pool>) -> Arc<Self> {
        Arc::new(Self {
            write_cache: engine.info().write_cache,
            engine,
            pool,
            ranges: RangeLock::default(),
            group: Mutex::default(),
            failed: OnceLock::new(),
            syncing: Mutex::default(),
            torn: AtomicBool::new(false),
        })
    }

    pub(super) fn engine(&self) -> &E {
        &self.engine
    }

    /// A sync has failed: nothing is written through this any more.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.get().is_some()
    }

    /// Waits until no request is at work and keeps others out as long as the guard lives.
    pub(super) fn quiesce(&self) -> RangeGuard<'_> {
        self.ranges.exclusive(0..u64::MAX)
    }

    /// Waits until no request is at work in the blocks of a range and keeps others out of them.
    pub(super) fn alone_in(&self, offset: u64, len: u64) -> RangeGuard<'_> {
        self.ranges.exclusive(blocks(offset, len))
    }

    /// Does something to the blocks of a range while nobody else is at them, on this thread; not
    /// stable yet.
    pub(super) fn work_in(
        &self,
        offset: u64,
        len: u64,
        work: impl FnOnce(&E) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let _alone = self.alone_in(offset, len);
        self.check_failed()?;
        work(&self.engine)
    }

    /// Writes, on this thread; not stable yet.
    pub(super) fn write(&self, offset: u64, buf: &Buffer) -> Result<(), Error> {
        self.work_in(offset, buf.len() as u64, |engine| engine.write(offset, buf))
    }

    /// Puts everything that completed on stable storage. A failure is final: the kernel may have
    /// dropped the pages it could not write, and a second sync would succeed without them.
    pub(super) fn sync(&self) -> Result<(), Error> {
        let _one_at_a_time = self.syncing.lock();
        self.check_failed()?;
        self.engine.sync().inspect_err(|error| self.fail(error))
    }

    fn fail(&self, error: &Error) {
        if self.failed.set(again(error)).is_ok() {
            tracing::error!(%error, "a volume takes no more writes until it is opened again");
        }
    }

    fn write_atomic(&self, offset: u64, buf: &Buffer) -> Result<(), Error> {
        let _alone = self.alone_in(offset, buf.len() as u64);
        self.check_failed()?;
        self.engine.write_atomic(offset, buf, &|| self.sync()).map_err(|failure| match failure {
            AtomicFailure::Unchanged(error) => error,
            AtomicFailure::Unknown(error) => {
                self.torn.store(true, Ordering::Release);
                self.fail(&error);
                error
            }
        })
    }

    fn check_torn(&self) -> Result<(), Error> {
        if self.torn.load(Ordering::Acquire) { self.check_failed() } else { Ok(()) }
    }

    /// Refuses once a sync has failed.
    pub(super) fn check_failed(&self) -> Result<(), Error> {
        self.failed.get().map_or(Ok(()), |error| Err(again(error)))
    }

    /// Whether `op` is done only when it is on stable storage.
    fn must_be_stable(&self, op: &Op) -> bool {
        match op {
            // A record and an atomic write are stable by themselves.
            Op::Read { .. } | Op::Extents { .. } | Op::SaveState(_) | Op::WriteAtomic { .. } => {
                false
            }
            Op::Write { fua, .. } | Op::WriteZeroes { fua, .. } => *fua || !self.write_cache,
            Op::Flush => true,
            Op::Discard { .. } | Op::WriteSame { .. } | Op::CompareAndWrite { .. } => {
                !self.write_cache
            }
        }
    }

    fn run(&self, op: Op) -> Result<Done, Error> {
        match op {
            Op::Read { offset, mut buf } => {
                let _held = self.ranges.shared(offset..offset + buf.len() as u64);
                self.check_torn()?;
                self.engine.read(offset, &mut buf)?;
                return Ok(Done::Data(buf));
            }
            Op::Extents { offset, len, max } => {
                let _held = self.ranges.shared(offset..offset + len);
                return self.engine.extents(offset, len, max.max(1)).map(Done::Extents);
            }
            Op::Flush => self.check_failed()?,
            Op::SaveState(record) => {
                self.check_failed()?;
                self.engine.save_state(&record)?;
            }
            Op::Write { offset, buf, .. } => {
                self.write(offset, &buf)?;
                return Ok(Done::Written(buf));
            }
            Op::WriteAtomic { offset, buf, .. } => {
                self.write_atomic(offset, &buf)?;
                return Ok(Done::Written(buf));
            }
            Op::Discard { offset, len } | Op::WriteZeroes { offset, len, .. } => {
                let _alone = self.alone_in(offset, len);
                self.check_failed()?;
                self.engine.zero(offset, len)?;
            }
            Op::WriteSame { .. } => return Err(ErrorKind::Unsupported.into()),
            Op::CompareAndWrite { offset, compare, write } => {
                let _alone = self.alone_in(offset, compare.len() as u64);
                self.check_failed()?;
                let mut stored = Buffer::unfilled(compare.len());
                self.engine.read(offset, &mut stored)?;
                if let Some(at) = stored.first_difference(&compare) {
                    return Err(ErrorKind::Miscompare { offset: at as u64 }.into());
                }
                self.engine.write(offset, &write)?;
            }
        }
        Ok(Done::Unit)
    }

    fn commit(self: Arc<Self>, finished: &mut Finished) {
        // What is done already shall not wait for the disk.
        finished.deliver();
        let mut waiting = {
            let Group { waiting, spare, .. } = &mut *self.group.lock();
            std::mem::replace(waiting, std::mem::take(spare))
        };
        let result = self.sync();
        for (queue, tag, done) in waiting.drain(..) {
            let result = result.as_ref().map(|()| done).map_err(again);
            finished.push(queue, Completion { tag, result });
        }
        let mut group = self.group.lock();
        group.spare = waiting;
        if group.waiting.is_empty() {
            group.committing = false;
        } else {
            drop(group);
            self.submit_one(Task::Commit);
        }
    }

    fn submit_one(self: Arc<Self>, task: Task) {
        let pool = Arc::clone(&self.pool);
        pool.submit([Job { work: self, task }]);
    }
}

impl<E: Engine> Work for Core<E> {
    fn run(self: Arc<Self>, task: Task, finished: &mut Finished) {
        match task {
            Task::Run(Request { tag, op }, queue) => {
                let stable = self.must_be_stable(&op);
                let done = match Core::run(&self, op) {
                    Ok(done) if stable => done,
                    result => return finished.push(queue, Completion { tag, result }),
                };
                let mut group = self.group.lock();
                group.waiting.push((queue, tag, done));
                if !std::mem::replace(&mut group.committing, true) {
                    drop(group);
                    // Behind what is queued, so that the changes among it join the group.
                    self.submit_one(Task::Commit);
                }
            }
            Task::Commit => self.commit(finished),
            Task::Close => {
                // Nobody waits for the result, and `sync` logs it.
                let _logged = self.sync();
            }
        }
    }
}

/// The same failure for another request of the group.
fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.to_string())
}

/// A [`Core`] as a volume. Dropping the one that is open for writing lets the engine know and, if
/// there is a write cache, has it written back in the background.
pub(super) struct Pooled<E: Engine> {
    core: Arc<Core<E>>,
    read_only: bool,
}

impl<E: Engine> Pooled<E> {
    pub(super) fn new(core: Arc<Core<E>>, read_only: bool) -> Self {
        Self { core, read_only }
    }

    pub(super) fn core(&self) -> &Core<E> {
        &self.core
    }

    /// Answers what needs no waiting; `None`: it is a job.
    fn answer_now(&self, op: &mut Op) -> Option<Result<Done, Error>> {
        let size_bytes = self.core.engine.info().size_bytes;
        if let Some(result) = check::answer(op, size_bytes, self.read_only) {
            return Some(result);
        }
        match op {
            Op::Read { offset, buf } => {
                let range = *offset..*offset + buf.len() as u64;
                let _held = self.core.ranges.try_shared(range)?;
                let is_there =
                    self.core.check_torn().is_ok() && self.core.engine.read_now(*offset, buf);
                is_there.then(|| Ok(Done::Data(std::mem::replace(buf, Buffer::unfilled(0)))))
            }
            // Without a write cache all that completed is on stable storage.
            Op::Flush if !self.core.write_cache => {
                Some(self.core.check_failed().map(|()| Done::Unit))
            }
            _ => None,
        }
    }
}

impl<E: Engine> Volume for Pooled<E> {
    fn info(&self) -> VolumeInfo {
        let info = self.core.engine.info();
        VolumeInfo { read_only: self.read_only, ..info }
    }

    fn has_failed(&self) -> bool {
        self.core.has_failed()
    }

    fn saved_state(&self) -> SavedState {
        self.core.engine.saved_state()
    }

    fn submit(
        &self,
        requests: &mut Vec<Request>,
        done: &mut Vec<Completion>,
        queue: &Arc<CompletionQueue>,
    ) {
        requests.retain_mut(|Request { tag, op }| match self.answer_now(op) {
            Some(result) => {
                done.push(Completion { tag: *tag, result });
                false
            }
            None => true,
        });
        if !requests.is_empty() {
            let work = || Arc::clone(&self.core) as Arc<dyn Work>;
            self.core.pool.submit(requests.drain(..).map(|request| {
                let task = Task::Run(request, Arc::clone(queue));
                Job { work: work(), task }
            }));
        }
    }
}

impl<E: Engine> Drop for Pooled<E> {
    fn drop(&mut self) {
        if self.read_only {
            return;
        }
        self.core.engine.writer_gone();
        if self.core.write_cache {
            Arc::clone(&self.core).submit_one(Task::Close);
        }
    }
}
