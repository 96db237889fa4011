//! A volume that is opened when it is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::super::{OpenMode, Store, StoreError, StoreErrorKind};
use super::opener::Opener;
use crate::block::{
    Completion, CompletionQueue, Error, ErrorKind, Hold, LastState, Left, Request, SavedState,
    Usage, Volume, VolumeInfo,
};

/// How long requests wait while another client has the image, or its store does not answer; an
/// operation of this daemon's own on the image counts as one for a moment.
const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// Between two attempts meanwhile.
const RETRY: Duration = Duration::from_millis(250);
/// For so long after it could not be opened, requests are refused without another attempt.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// What the target has.
pub(super) struct OnDemandVolume(Arc<Shared>);

/// What it shares with those who hold it and those who open it.
pub(super) struct Shared {
    store: Arc<dyn Store>,
    opener: Arc<Opener>,
    image: String,
    opened: ArcSwapOption<Opened>,
    /// There were requests since this was looked at last.
    used: AtomicBool,
    /// What was told of the volume does not hold any more.
    failed: AtomicBool,
    /// Nobody has the volume any more.
    abandoned: AtomicBool,
    state: Mutex<State>,
}

struct Opened(Arc<dyn Volume>);

impl Opened {
    /// As far as opening it anew does not put it right.
    fn has_failed(&self) -> bool {
        self.0.has_failed() && !self.0.is_outdated()
    }
}

struct State {
    /// As it was when the volume was open last, or looked at.
    info: VolumeInfo,
    saved: SavedState,
    /// Of the one that was closed last, which may have been saving a record: asked when that has
    /// ended, as it has when the volume is opened again.
    last: Option<Last>,
    phase: Phase,
    holds: usize,
    /// Of the open volume, as long as there are any.
    held: Option<Hold>,
    /// When it was used last, as far as is known.
    used_at: Instant,
}

/// What was closed last.
struct Last {
    left: LastState,
    /// Sessions that have seen it go on.
    was_held: bool,
    /// What was known of its record when it was closed was told since.
    was_told: bool,
}

enum Phase {
    Closed,
    /// It could not be opened at that time.
    Refused(Instant, ErrorKind),
    Opening(Vec<Waiting>),
    Open,
}

struct Waiting {
    requests: Vec<Request>,
    queue: Arc<CompletionQueue>,
}

/// Requests that are to be refused as soon as the state is not locked any more.
#[must_use]
struct Refused(Vec<Waiting>, ErrorKind);

impl State {
    /// What waits until it is opened is to be refused, as what comes for a time from now on.
    fn refuse(&mut self, kind: ErrorKind) -> Option<Refused> {
        let Phase::Opening(waiting) = &mut self.phase else { return None };
        let refused = Refused(std::mem::take(waiting), kind);
        self.phase = Phase::Refused(Instant::now(), kind);
        Some(refused)
    }
}

impl OnDemandVolume {
    /// A closed volume of what has been `seen` of it.
    pub(super) fn new(
        store: &Arc<dyn Store>,
        opener: &Arc<Opener>,
        image: &str,
        (info, saved): (VolumeInfo, SavedState),
    ) -> Self {
        let state = State {
            info,
            saved,
            last: None,
            phase: Phase::Closed,
            holds: 0,
            held: None,
            used_at: Instant::now(),
        };
        let shared = Arc::new(Shared {
            store: Arc::clone(store),
            opener: Arc::clone(opener),
            image: image.to_owned(),
            opened: ArcSwapOption::empty(),
            used: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            state: Mutex::new(state),
        });
        opener.watch(&shared);
        Self(shared)
    }
}

impl Drop for OnDemandVolume {
    fn drop(&mut self) {
        // Whoever opens it now closes it again.
        self.0.abandoned.store(true, Ordering::SeqCst);
        let _closed = self.0.opened.swap(None);
        let _held = self.0.state.lock().held.take();
    }
}

impl Volume for OnDemandVolume {
    fn info(&self) -> VolumeInfo {
        let opened = self.0.opened.load();
        opened.as_ref().map_or_else(|| self.0.state.lock().info, |opened| opened.0.info())
    }

    fn usage(&self) -> Usage {
        self.0.opened.load().as_ref().map_or_else(Usage::default, |opened| opened.0.usage())
    }

    fn has_failed(&self) -> bool {
        let failed = || self.0.opened.load().as_ref().is_some_and(|opened| opened.has_failed());
        self.0.failed.load(Ordering::Acquire) || failed()
    }

    fn saved_state(&self) -> SavedState {
        match self.0.opened.load().as_ref() {
            Some(opened) => opened.0.saved_state(),
            None => {
                let mut state = self.0.state.lock();
                state.last.iter_mut().for_each(|last| last.was_told = true);
                state.saved.clone()
            }
        }
    }

    fn hold(&self) -> Option<Hold> {
        let mut state = self.0.state.lock();
        state.holds += 1;
        if state.holds == 1
            && let Some(opened) = self.0.opened.load().as_ref()
        {
            state.held = opened.0.hold();
        }
        if let Phase::Closed | Phase::Refused(..) = state.phase {
            let refused = self.0.start_opening(&mut state, Vec::new());
            drop(state);
            self.0.answer(refused);
        }
        Some(Box::new(Holder(Arc::clone(&self.0))))
    }

    fn submit(
        &self,
        requests: &mut Vec<Request>,
        done: &mut Vec<Completion>,
        queue: &Arc<CompletionQueue>,
    ) {
        if let Some(opened) = self.0.opened.load().as_ref() {
            if !self.0.used.load(Ordering::Relaxed) {
                self.0.used.store(true, Ordering::Relaxed);
            }
            if !opened.0.is_outdated() {
                return opened.0.submit(requests, done, queue);
            }
        }
        self.0.submit_closed(requests, done, queue);
    }
}

/// Keeps the volume open.
struct Holder(Arc<Shared>);

impl Drop for Holder {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.holds -= 1;
        state.used_at = Instant::now();
        let mut held = None;
        if state.holds == 0 {
            held = state.held.take();
            state.last.iter_mut().for_each(|last| last.was_held = false);
        }
        drop(state);
        drop(held);
    }
}

impl Shared {
    pub(super) fn image(&self) -> &str {
        &self.image
    }

    fn submit_closed(
        self: &Arc<Self>,
        requests: &mut Vec<Request>,
        done: &mut Vec<Completion>,
        queue: &Arc<CompletionQueue>,
    ) {
        let mut state = self.state.lock();
        let waiting = |requests: &mut Vec<Request>| Waiting {
            requests: std::mem::take(requests),
            queue: Arc::clone(queue),
        };
        match &mut state.phase {
            Phase::Opening(all) => all.push(waiting(requests)),
            Phase::Refused(at, kind) if at.elapsed() < REFUSED_FOR => {
                let refuse = |request: Request| Completion {
                    tag: request.tag,
                    result: Err(self.refusal(*kind)),
                };
                done.extend(requests.drain(..).map(refuse));
            }
            Phase::Closed | Phase::Refused(..) => {
                let first = waiting(requests);
                let refused = self.start_opening(&mut state, vec![first]);
                drop(state);
                self.answer(refused);
            }
            // Opened since it was looked at; whoever closes it holds the lock.
            Phase::Open => {
                let Some(opened) = self.opened.load_full() else { return };
                if !opened.0.is_outdated() {
                    drop(state);
                    return opened.0.submit(requests, done, queue);
                }
                let held = self.close(&mut state, &opened);
                let first = waiting(requests);
                let refused = self.start_opening(&mut state, vec![first]);
                drop(state);
                drop(held);
                self.answer(refused);
            }
        }
    }

    /// What it gives is to be dropped when the state is not locked any more.
    #[must_use]
    fn close(&self, state: &mut State, opened: &Opened) -> Option<Hold> {
        self.opened.store(None);
        // What has failed is not forgotten by closing it.
        self.failed.fetch_or(opened.has_failed(), Ordering::AcqRel);
        (state.info, state.saved) = (opened.0.info(), opened.0.saved_state());
        let (left, was_held) = (opened.0.last_state(), state.holds > 0);
        state.last = Some(Last { left, was_held, was_told: false });
        state.phase = Phase::Closed;
        state.held.take()
    }

    fn refusal(&self, kind: ErrorKind) -> Error {
        Error::new(kind, format!("image {} cannot be opened", self.image))
    }

    /// Gives back what waits if there is no thread to open it: nobody answers that, then.
    fn start_opening(
        self: &Arc<Self>,
        state: &mut State,
        waiting: Vec<Waiting>,
    ) -> Option<Refused> {
        // The state is locked until this is over: what the thread finds is what is left here.
        state.phase = Phase::Opening(waiting);
        let error = self.opener.open(Arc::clone(self)).err()?;
        tracing::error!(%error, image = self.image, "a disk in use cannot be opened");
        state.refuse(ErrorKind::Unavailable)
    }

    fn answer(&self, refused: Option<Refused>) {
        let Some(Refused(waiting, kind)) = refused else { return };
        for Waiting { requests, queue } in waiting {
            let refuse =
                |request: Request| Completion { tag: request.tag, result: Err(self.refusal(kind)) };
            queue.push_all(requests.into_iter().map(refuse));
        }
    }

    /// Opens it; waits for the store.
    pub(super) fn open(&self) {
        let deadline = Instant::now() + OPEN_WITHIN;
        let may_heal = |error: &StoreError| {
            matches!(error.kind(), StoreErrorKind::InUse | StoreErrorKind::Unavailable)
                && Instant::now() < deadline
                && !self.abandoned.load(Ordering::SeqCst)
        };
        let opened = loop {
            match self.store.open(&self.image, None, OpenMode::ReadWrite) {
                Err(error) if may_heal(&error) => std::thread::sleep(RETRY),
                result => break result,
            }
        };
        match opened {
            Ok(volume) => self.has_opened(&volume),
            Err(error) => {
                let kind = match error.kind() {
                    StoreErrorKind::NotFound => ErrorKind::Gone,
                    StoreErrorKind::Corrupt | StoreErrorKind::Io => ErrorKind::Medium,
                    StoreErrorKind::NoSpace => ErrorKind::NoSpace,
                    // What may heal, or can be put right.
                    _ => ErrorKind::Unavailable,
                };
                tracing::error!(%error, image = self.image, "a disk in use cannot be opened");
                self.refuse(kind);
            }
        }
    }

    /// Opening it came to nothing, by a defect.
    pub(super) fn cannot_open(&self) {
        tracing::error!(image = self.image, "a disk in use was not opened, by a defect");
        self.refuse(ErrorKind::Medium);
    }

    fn refuse(&self, kind: ErrorKind) {
        let refused = self.state.lock().refuse(kind);
        self.answer(refused);
    }

    fn has_opened(&self, volume: &Arc<dyn Volume>) {
        let Left { saved, found, .. } = volume.last_state()();
        let mut state = self.state.lock();
        // What initiators remember of the data, and their reservations, are what the target
        // believes; otherwise it has to begin anew.
        let is_another = match state.last.take() {
            None => saved != state.saved,
            Some(Last { left, was_held, was_told }) => {
                let left = left();
                let was_told_otherwise = was_told && state.saved != left.saved;
                state.saved = left.saved;
                saved != state.saved || was_told_otherwise || (was_held && found != left.mark)
            }
        };
        if is_another {
            drop(state);
            tracing::warn!(image = self.image, "another gateway has used the disk meanwhile");
            self.failed.store(true, Ordering::Release);
            return self.refuse(ErrorKind::Unavailable);
        }
        state.used_at = Instant::now();
        self.opened.store(Some(Arc::new(Opened(Arc::clone(volume)))));
        let before = std::mem::replace(&mut state.phase, Phase::Open);
        let is_held = state.holds > 0;
        drop(state);
        if is_held {
            let held = volume.hold();
            let mut state = self.state.lock();
            if state.holds > 0 {
                state.held = held;
            }
        }
        if self.abandoned.load(Ordering::SeqCst) {
            let _closed = self.opened.swap(None);
        }
        let Phase::Opening(waiting) = before else { return };
        for Waiting { mut requests, queue } in waiting {
            let mut done = Vec::new();
            volume.submit(&mut requests, &mut done, &queue);
            if !done.is_empty() {
                queue.push_all(done);
            }
        }
    }

    pub(super) fn has_grown(&self, size_bytes: u64) {
        let mut state = self.state.lock();
        state.info.size_bytes = state.info.size_bytes.max(size_bytes);
    }

    /// Closes it if nobody holds it, and there was no request for `idle`.
    pub(super) fn close_if_idle(&self, idle: Duration) {
        let mut state = self.state.lock();
        if self.used.swap(false, Ordering::Relaxed) {
            state.used_at = Instant::now();
        }
        let is_open = matches!(state.phase, Phase::Open);
        if !is_open || state.holds > 0 || state.used_at.elapsed() < idle {
            return;
        }
        let Some(opened) = self.opened.load_full() else { return };
        let held = self.close(&mut state, &opened);
        drop(state);
        drop((held, opened));
    }
}
