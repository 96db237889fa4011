//! The threads that open volumes, and the one that closes those that are idle.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::volume::Shared;

/// Volumes of a store that are opened at the same time.
const THREADS_MAX: usize = 16;

/// Has something done on a thread of its own.
pub(super) type Spawn = fn(Box<dyn FnOnce() + Send>) -> io::Result<()>;

fn spawn(work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    std::thread::Builder::new().name("volume-open".to_owned()).spawn(work).map(drop)
}

/// Of one store.
pub(super) struct Opener {
    idle: Option<Duration>,
    spawn: Spawn,
    work: Mutex<Work>,
    /// A volume was opened, or could not be.
    ended: Condvar,
}

#[derive(Default)]
struct Work {
    threads: usize,
    waiting: VecDeque<Arc<Shared>>,
    /// Images that are being opened, those that wait included.
    opening: Vec<String>,
    volumes: Vec<Weak<Shared>>,
    watched: bool,
}

impl Work {
    fn end(&mut self, image: &str) {
        if let Some(at) = self.opening.iter().position(|name| name == image) {
            self.opening.swap_remove(at);
        }
    }
}

impl Opener {
    pub(super) fn new(idle: Option<Duration>) -> Arc<Self> {
        Self::with_threads(idle, spawn)
    }

    pub(super) fn with_threads(idle: Option<Duration>, spawn: Spawn) -> Arc<Self> {
        Arc::new(Self { idle, spawn, work: Mutex::default(), ended: Condvar::new() })
    }

    /// From now on the volume is closed when it has been idle.
    pub(super) fn watch(self: &Arc<Self>, volume: &Arc<Shared>) {
        let mut work = self.work.lock();
        if work.volumes.len().is_power_of_two() {
            work.volumes.retain(|volume| volume.strong_count() > 0);
        }
        work.volumes.push(Arc::downgrade(volume));
        let Some(idle) = self.idle.filter(|_| !work.watched) else { return };
        let this = Arc::downgrade(self);
        let thread = std::thread::Builder::new().name("volumes-idle".to_owned());
        // Without it nothing is lost but memory; the next volume tries again.
        work.watched = thread.spawn(move || close_idle(&this, idle)).is_ok();
    }

    /// The open volumes of an image have another size.
    pub(super) fn has_grown(&self, image: &str, size_bytes: u64) {
        let volumes = self.work.lock().volumes.clone();
        for volume in volumes.iter().filter_map(Weak::upgrade) {
            if volume.image() == image {
                volume.has_grown(size_bytes);
            }
        }
    }

    /// Has the volume opened by a thread, which tells it what came of that. Asks nothing of the
    /// volume itself: it is locked meanwhile.
    ///
    /// # Errors
    /// When there is no thread to be had: then nobody tells it anything.
    pub(super) fn open(self: &Arc<Self>, volume: Arc<Shared>) -> io::Result<()> {
        let image = volume.image().to_owned();
        let mut work = self.work.lock();
        if work.threads < THREADS_MAX {
            let this = Arc::clone(self);
            (self.spawn)(Box::new(move || this.open_all(volume)))?;
            work.threads += 1;
        } else {
            work.waiting.push_back(volume);
        }
        work.opening.push(image);
        Ok(())
    }

    /// Waits until nobody is opening the image.
    pub(super) fn wait_opened(&self, image: &str) {
        let mut work = self.work.lock();
        self.ended.wait_while(&mut work, |work| work.opening.iter().any(|name| name == image));
    }

    fn open_all(&self, first: Arc<Shared>) {
        let mut next = Some(first);
        while let Some(volume) = next {
            // Who waits for it is told, and the next one is opened, whatever happens here.
            if catch_unwind(AssertUnwindSafe(|| volume.open())).is_err() {
                volume.cannot_open();
            }
            let image = volume.image().to_owned();
            drop(volume);
            let mut work = self.work.lock();
            work.end(&image);
            self.ended.notify_all();
            next = work.waiting.pop_front();
            if next.is_none() {
                work.threads -= 1;
            }
        }
    }
}

fn close_idle(opener: &Weak<Opener>, idle: Duration) {
    // A volume is open for a quarter longer at most.
    let pause = (idle / 4).max(Duration::from_millis(1));
    loop {
        let Some(this) = opener.upgrade() else { return };
        let volumes = this.work.lock().volumes.clone();
        volumes.iter().filter_map(Weak::upgrade).for_each(|volume| volume.close_if_idle(idle));
        drop((volumes, this));
        std::thread::sleep(pause);
    }
}
