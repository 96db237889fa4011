//! How long ago an image's exclusive lock was seen to be ours.
//!
//! A lost lock is told to nobody who sends no request. So a thread asks for the lock of each image
//! that somebody answers for without the cluster ([`Image::keep_lease`]), and who answers looks how
//! old the last good answer is: the time is looked at there, so a thread that hangs in librbd lets
//! the lease run out.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Once, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Error, Image, closer};

/// How often the cluster is asked.
const EVERY: Duration = Duration::from_secs(5);
/// How long an answer counts, from before the question was sent. Less than the 30 s
/// (`osd_client_watch_timeout`) after which another client may take over a lock whose owner is not
/// heard of.
const LEASE: Duration = Duration::from_secs(20);

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
static IMAGES: Mutex<Vec<Weak<Image>>> = Mutex::new(Vec::new());

/// The time of the last good answer.
#[derive(Default)]
pub(super) struct Lease {
    /// Milliseconds since [`START`] until which it counts; 0: there is none.
    until: AtomicU64,
    /// Somebody wants to know.
    wanted: AtomicBool,
    /// The image is open without its lock.
    lockless: AtomicBool,
    marks: Arc<Marks>,
}

/// Marks of those who take an image's lock for long: a value of its metadata, another one each time.
/// They outlive the handle.
#[derive(Default)]
pub struct Marks {
    /// Where they are left, and which was found before this took the lock.
    found: OnceLock<(&'static str, Option<String>)>,
    /// The one that this has left last.
    left: Mutex<Option<String>>,
}

impl Marks {
    /// The one that was there when the image was opened.
    #[must_use]
    pub fn found(&self) -> Option<String> {
        self.found.get().and_then(|(_, found)| found.clone())
    }

    /// The one that is there if nobody else has had the lock for long since.
    #[must_use]
    pub fn last(&self) -> Option<String> {
        self.left.lock().clone().or_else(|| self.found())
    }
}

impl Lease {
    pub(super) fn set_lockless(&self, lockless: bool) {
        self.lockless.store(lockless, Ordering::Release);
    }

    fn renew(&self, asked: Instant) {
        let until = asked.saturating_duration_since(*START) + LEASE;
        let until = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
        self.until.store(until, Ordering::Release);
    }

    /// There is none from now on; whether there was one.
    fn end(&self) -> bool {
        self.until.swap(0, Ordering::AcqRel) != 0
    }

    fn is_good(&self, now: Instant) -> bool {
        let until = Duration::from_millis(self.until.load(Ordering::Acquire));
        now.saturating_duration_since(*START) < until
    }
}

impl Image {
    /// The exclusive lock was this client's a short time ago, so no other has it yet.
    /// Never waits.
    #[must_use]
    pub fn has_lease(&self) -> bool {
        self.lease().is_good(Instant::now())
    }

    /// From now on a thread asks again and again, for as long as the image is open. Blocks for the
    /// first answer.
    ///
    /// # Errors
    /// When the cluster does not answer the first time.
    pub fn keep_lease(self: &Arc<Self>) -> Result<(), Error> {
        self.renew_lease()?;
        self.lease().wanted.store(true, Ordering::Release);
        look_after(self);
        Ok(())
    }

    /// What is known of who had the lock for long.
    #[must_use]
    pub fn marks(&self) -> &Arc<Marks> {
        &self.lease().marks
    }

    /// Such marks are left under that key of the metadata. `found` is that value, read after this
    /// has taken the lock, or before it was looked who has it. Counts the first time.
    pub fn set_found(&self, key: &'static str, found: Option<String>) {
        let _first = self.marks().found.set((key, found));
    }

    /// Leaves a mark, which nobody has left before. To be called by who has the lock.
    ///
    /// # Errors
    /// As [`Self::set_metadata`].
    pub fn leave_mark(&self, key: &'static str, mark: String) -> Result<(), Error> {
        self.set_metadata(key, &mark)?;
        *self.marks().left.lock() = Some(mark);
        Ok(())
    }

    /// This is open for writing without the lock, which is taken when there is something to write.
    /// From now on a thread looks whether another client takes it that leaves its address under
    /// that key of the metadata: then [`Self::is_fenced`]. Others take it for a moment. `found` is
    /// that value, read before it was looked who has the lock.
    pub fn await_lock(self: &Arc<Self>, key: &'static str, found: Option<String>) {
        self.set_found(key, found);
        self.lease().set_lockless(true);
        look_after(self);
    }

    /// [`Self::await_lock`] was called, and the lock was not taken since.
    #[must_use]
    pub fn is_lockless(&self) -> bool {
        self.lease().lockless.load(Ordering::Acquire)
    }

    fn renew_lease(&self) -> Result<(), Error> {
        let asked = Instant::now();
        let owns = self.owns_lock();
        if matches!(owns, Ok(true)) {
            self.lease().renew(asked);
            return Ok(());
        }
        if self.lease().end() {
            // It may have been another's meanwhile, should it be ours again.
            self.set_changed();
        }
        owns.map(drop)
    }

    /// The live owner of the lock, if it has left its note.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn lasting_owner(&self) -> Result<Option<String>, Error> {
        let (Some(owner), Some((key, _))) = (self.live_owner()?, self.marks().found.get()) else {
            return Ok(None);
        };
        let left = self.metadata(key)?;
        Ok(left.is_some_and(|left| names(&left, &owner)).then_some(owner))
    }

    /// Whether another client has had the lock for long since [`Self::await_lock`], however shortly:
    /// what was read here before may have changed. To be asked by who has the lock.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn was_anothers(&self) -> Result<bool, Error> {
        let Some((key, found)) = self.marks().found.get() else { return Ok(false) };
        let left = self.metadata(key)?;
        let is_ours = |left: &str| names(left, self.pool().cluster().address());
        Ok(left != *found && !left.as_deref().is_some_and(is_ours))
    }

    /// An owner that is this client itself makes a snapshot of it, or the like.
    fn look_for_owner(&self) {
        match self.lasting_owner() {
            Ok(Some(owner)) if owner != self.pool().cluster().address() && self.is_lockless() => {
                tracing::warn!(image = self.label(), owner, "another client writes to the image");
                self.set_fenced();
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the lock of an image is not known"),
        }
    }

    /// As the thread does it: after a time without the lock everything is asked for anew.
    fn renew_or_refresh(&self) {
        if self.is_lockless() {
            return self.look_for_owner();
        }
        if !self.lease().wanted.load(Ordering::Acquire) {
            return;
        }
        let result = self.renew_lease().and_then(|()| match self.settled() {
            None => self.refresh(),
            Some(_) => Ok(()),
        });
        if let Err(error) = result {
            tracing::debug!(%error, "the lock of an image is not known");
        }
    }
}

/// Whether a note is of the client with this address.
fn names(note: &str, address: &str) -> bool {
    note.split(' ').any(|field| field == address)
}

/// Has the thread look after the image.
fn look_after(image: &Arc<Image>) {
    static THREAD: Once = Once::new();
    THREAD.call_once(|| {
        let thread = std::thread::Builder::new().name("rbd-lease".to_owned());
        // Without it leases run out.
        if let Err(error) = thread.spawn(keep) {
            tracing::warn!(%error, "nothing of disks is served from memory");
        }
    });
    let mut images = IMAGES.lock();
    if images.len().is_power_of_two() {
        images.retain(|image| image.strong_count() > 0);
    }
    images.push(Arc::downgrade(image));
}

fn keep() {
    loop {
        std::thread::sleep(EVERY);
        let images: Vec<_> = IMAGES.lock().clone();
        for image in images {
            closer::counted(|| {
                if let Some(image) = image.upgrade() {
                    image.renew_or_refresh();
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_ones_own_mark_or_the_one_that_was_found() {
        let marks = Marks::default();
        assert_eq!((marks.found(), marks.last()), (None, None));
        marks.found.set(("key", Some("theirs".to_owned()))).unwrap();
        assert_eq!(marks.last().as_deref(), Some("theirs"));
        *marks.left.lock() = Some("ours".to_owned());
        assert_eq!(marks.last().as_deref(), Some("ours"));
        assert_eq!(marks.found().as_deref(), Some("theirs"));
    }

    #[test]
    fn an_answer_counts_from_its_question_on_and_for_a_time() {
        let lease = Lease::default();
        let asked = *START + Duration::from_secs(3);
        assert!(!lease.is_good(*START) && !lease.end());
        lease.renew(asked);
        assert!(lease.is_good(asked) && lease.is_good(asked + LEASE - Duration::from_millis(1)));
        assert!(!lease.is_good(asked + LEASE));
        lease.renew(asked + LEASE);
        assert!(lease.is_good(asked + LEASE) && lease.end() && !lease.is_good(asked));
    }
}
