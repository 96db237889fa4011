//! The exclusive lock, taken when something is to be written for the first time.
//!
//! Who has an image open and only reads it needs no lock, and is in nobody's way. What changes the
//! image waits until the lock is had, on a thread that may wait for the cluster; from then on
//! nothing waits here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::super::{StoreError, StoreErrorKind, check};
use super::owner;
use super::state::ImageState;
use crate::block::{Completion, CompletionQueue, Done, Error, ErrorKind, Op, Request, Span};
use crate::rbd::Image;

/// How long a write waits while another client has the lock: an operation of somebody's on the
/// image takes it for a moment.
const CLAIM_WITHIN: Duration = Duration::from_secs(10);
/// Between two attempts meanwhile.
const RETRY: Duration = Duration::from_millis(250);

/// Where what changes an image waits for its lock.
pub(super) struct FirstWrite {
    /// The lock is had.
    done: AtomicBool,
    /// Bounded by the commands that sessions may have outstanding.
    waiting: Mutex<Option<Vec<Waiting>>>,
}

struct Waiting {
    request: Request,
    queue: Arc<CompletionQueue>,
}

/// Whether a request needs the lock.
pub(super) fn changes(op: &Op) -> bool {
    Span::written_by(op).is_some() || matches!(op, Op::SaveState(_))
}

impl FirstWrite {
    /// Of an image that has the lock, or not.
    pub(super) fn of(image: &Image) -> Arc<Self> {
        let done = AtomicBool::new(!image.is_lockless());
        Arc::new(Self { done, waiting: Mutex::default() })
    }

    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Keeps a request until the lock is had, and then does `submit` with it; gives it back if it is
    /// had. Never waits.
    pub(super) fn keep(
        self: &Arc<Self>,
        image: &Arc<Image>,
        state: Option<&Arc<ImageState>>,
        request: Request,
        queue: &Arc<CompletionQueue>,
    ) -> Option<Request> {
        let mut waiting = self.waiting.lock();
        if self.is_done() {
            return Some(request);
        }
        let kept = Waiting { request, queue: Arc::clone(queue) };
        match &mut *waiting {
            Some(all) => all.push(kept),
            None => {
                *waiting = Some(vec![kept]);
                drop(waiting);
                let (this, state) = (Arc::clone(self), state.cloned());
                image.later(move |image| this.take(image, state.as_ref()));
            }
        }
        None
    }

    /// Takes the lock; what is to be done once the image is let go of.
    fn take(&self, image: &Arc<Image>, state: Option<&Arc<ImageState>>) -> impl FnOnce() + use<> {
        // Those who wait are told, whatever happens here.
        let claimed = catch_unwind(AssertUnwindSafe(|| claim(image, state)));
        let result = claimed.unwrap_or_else(|_panic| {
            Err(StoreError::new(StoreErrorKind::Io, "a defect in this program"))
        });
        let mut waiting = self.waiting.lock();
        let all = waiting.take().unwrap_or_default();
        self.done.store(result.is_ok(), Ordering::Release);
        drop(waiting);
        let mut refused = Vec::new();
        match result {
            Ok(()) => {
                for Waiting { mut request, queue } in all {
                    match late_answer(image, &mut request.op) {
                        None => submit(image, state, request, &queue),
                        Some(result) => queue.push(Completion { tag: request.tag, result }),
                    }
                }
            }
            Err(error) => {
                tracing::error!(image = image.label(), %error, "a disk cannot be written");
                let kind = kind_of(image, &error);
                if kind == ErrorKind::Fenced {
                    image.set_fenced();
                }
                refused =
                    all.into_iter().map(|waiting| (waiting, error_of(kind, &error))).collect();
            }
        }
        move || {
            for (Waiting { request, queue }, error) in refused {
                queue.push(Completion { tag: request.tag, result: Err(error) });
            }
        }
    }
}

/// To a request that has become impossible while it waited.
fn late_answer(image: &Image, op: &mut Op) -> Option<Result<Done, Error>> {
    if !image.is_current() {
        return Some(Err(image.not_current()));
    }
    check::answer(op, image.size_bytes(), false)
}

/// Hands a request on that changes the image.
pub(super) fn submit(
    image: &Arc<Image>,
    state: Option<&Arc<ImageState>>,
    request: Request,
    queue: &Arc<CompletionQueue>,
) {
    match (request, state) {
        (Request { tag, op: Op::SaveState(record) }, Some(state)) => {
            state.save(image, record, tag, queue);
        }
        (request, _) => image.submit(request, queue),
    }
}

/// Takes the lock, and tells others once it is certain that what is known here still holds.
fn claim(image: &Image, state: Option<&Arc<ImageState>>) -> Result<(), StoreError> {
    let deadline = Instant::now() + CLAIM_WITHIN;
    loop {
        match owner::acquire(image) {
            Err(error) if error.kind() == StoreErrorKind::InUse && Instant::now() < deadline => {
                std::thread::sleep(RETRY);
            }
            result => break result?,
        }
    }
    let left = unchanged(image, state).and_then(|()| owner::leave_note(image));
    left.inspect_err(|_| {
        // Nobody would know whose it is, and who has the image open to read only would have it.
        if let Err(error) = image.release_lock() {
            tracing::warn!(image = image.label(), %error, "its lock is kept until it is closed");
        }
    })
}

/// Another client may have had the image since it was opened: what was told of reservations must
/// still be so, and what initiators remember of the data.
fn unchanged(image: &Image, state: Option<&Arc<ImageState>>) -> Result<(), StoreError> {
    let is_same_record = match state {
        Some(state) => ImageState::load(image)?.get() == state.get(),
        None => true,
    };
    if is_same_record && !image.was_anothers()? {
        return Ok(());
    }
    image.set_fenced();
    let message = "another gateway has used the disk meanwhile";
    Err(StoreError::new(StoreErrorKind::InUse, message))
}

fn kind_of(image: &Image, error: &StoreError) -> ErrorKind {
    match error.kind() {
        _ if image.is_fenced() || image.pool().cluster().is_blocklisted() => ErrorKind::Fenced,
        // Who leaves no note does something with the image, and will be done with it.
        StoreErrorKind::InUse if matches!(image.lasting_owner(), Ok(Some(_))) => ErrorKind::Fenced,
        StoreErrorKind::InUse => ErrorKind::Unavailable,
        StoreErrorKind::NotFound => ErrorKind::Gone,
        StoreErrorKind::NoSpace => ErrorKind::NoSpace,
        StoreErrorKind::Unavailable => ErrorKind::Unavailable,
        _ => ErrorKind::Medium,
    }
}

fn error_of(kind: ErrorKind, error: &StoreError) -> Error {
    Error::new(kind, error.to_string())
}
