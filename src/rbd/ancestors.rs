//! What is behind a clone that is a clone of a clone, and hearing of it when that changes.
//!
//! A handle of librbd opens all images behind a clone once, with their object maps, and never looks
//! at them again: if another client flattens one of them and removes what was behind it, the handle
//! goes on to ask what is gone, and reads zeros. librbd watches the clone itself only. So the header
//! of each image behind it is watched here, once for all images that are open through a client, and
//! who flattens one waits (librbd: 5 s at most) until every handle that has seen it otherwise is
//! [out of date](Image::is_outdated) and has ended what it was doing. The watches do more: an image
//! that has any cannot be removed.
//!
//! An image whose parent is a clone of nothing needs none of this: a snapshot with clones stays.
//! What an open image makes of it is in `lineage`.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::io::Errno;

use super::header::{HeaderWatch, Listener, Notification};
use super::{Error, Image, Parent, Pool, SnapshotKey, closer};

/// Longest chain of clones that is followed. librbd itself warns of more than 16.
const CHAIN_MAX: usize = 64;
/// Snapshots that are remembered to be clones of nothing.
const ROOTS_MAX: usize = 4096;
/// How long removing an image waits for watches that are about to end.
const UNWATCHED_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked whether the watches are in order.
const EVERY: Duration = Duration::from_secs(2);
/// A watch that was not confirmed for so long may have missed something: less than the 30 s
/// (`osd_client_watch_timeout`) after which the cluster forgets it.
const UNCONFIRMED: Duration = Duration::from_secs(20);
/// Every so many looks at the watches, what they watch is looked at itself: whoever flattens may
/// die before it tells.
const LOOKS: u32 = 15;

/// An image behind open ones, at the snapshot at which these see it.
pub(super) struct Ancestor {
    pool: Arc<Pool>,
    key: SnapshotKey,
    /// The image's name, for messages.
    name: String,
    watch: Mutex<Option<HeaderWatch>>,
    /// What it was a clone of, once that was looked at.
    above: OnceLock<Option<Parent>>,
    /// From then on no change is missed.
    since: OnceLock<Instant>,
    /// It is not what it was, or that is not known.
    changed: AtomicBool,
    /// The watch was not confirmed for a time.
    unsure: AtomicBool,
    /// Who sees it.
    dependents: Mutex<Vec<Weak<Image>>>,
    /// Who saw it otherwise has ended what it was doing. Held until then.
    ended: Mutex<bool>,
    checks: Mutex<Checks>,
}

/// Notifications to be answered once it was looked what has changed.
#[derive(Default)]
struct Checks {
    running: bool,
    notifications: Vec<Notification>,
}

/// The images behind those that are open through one client.
#[derive(Default)]
pub(super) struct Ancestors {
    known: Mutex<HashMap<SnapshotKey, Weak<Ancestor>>>,
    /// Snapshots that are clones of nothing: they stay so.
    roots: Mutex<HashSet<SnapshotKey>>,
    /// Held by who is about to add one.
    making: Mutex<()>,
    /// How many watches there are on images, by their ids.
    watches: Mutex<HashMap<String, usize>>,
    ended: Condvar,
}

impl Ancestors {
    /// The snapshot, and what is behind it, to be heard of from now on: none, if it is a clone of
    /// nothing itself.
    pub(super) fn chain(
        &self,
        here: &Arc<Pool>,
        first: Parent,
    ) -> Result<Vec<Arc<Ancestor>>, Error> {
        let mut chain: Vec<Arc<Ancestor>> = Vec::new();
        if self.is_root(here, &first)? {
            return Ok(chain);
        }
        let mut next = Some(first);
        while let Some(parent) = next {
            if chain.len() == CHAIN_MAX {
                let message = format!("{}: a chain of more than {CHAIN_MAX} clones", parent.image);
                return Err(Error::new(Errno::MLINK, message));
            }
            let ancestor = self.one(here, &parent)?;
            next = ancestor.above();
            chain.push(ancestor);
        }
        Ok(chain)
    }

    /// Whether it is a clone of nothing itself: then it stays so.
    fn is_root(&self, here: &Arc<Pool>, parent: &Parent) -> Result<bool, Error> {
        if self.roots.lock().contains(&parent.key) {
            return Ok(true);
        }
        if self.known(&parent.key).is_some() {
            return Ok(false);
        }
        let is_root =
            parent_of(&Pool::of_key(here, &parent.key)?, &parent.image, &parent.key)?.is_none();
        if is_root {
            let mut roots = self.roots.lock();
            if roots.len() == ROOTS_MAX {
                roots.clear();
            }
            roots.insert(parent.key.clone());
        }
        Ok(is_root)
    }

    fn known(&self, key: &SnapshotKey) -> Option<Arc<Ancestor>> {
        self.known.lock().get(key)?.upgrade()
    }

    fn one(&self, here: &Arc<Pool>, parent: &Parent) -> Result<Arc<Ancestor>, Error> {
        if let Some(ancestor) = self.known(&parent.key) {
            return Ok(ancestor);
        }
        let _making = self.making.lock();
        if let Some(ancestor) = self.known(&parent.key) {
            return Ok(ancestor);
        }
        let ancestor = Ancestor::watched(Pool::of_key(here, &parent.key)?, parent)?;
        let mut known = self.known.lock();
        if known.len().is_power_of_two() {
            known.retain(|_, ancestor| ancestor.strong_count() > 0);
        }
        known.insert(parent.key.clone(), Arc::downgrade(&ancestor));
        Ok(ancestor)
    }

    /// Waits until no image that is open through this client has that one behind it, for
    /// [`UNWATCHED_WITHIN`] at most. False: there was none.
    pub(super) fn wait_unwatched(&self, image_id: &str) -> bool {
        let deadline = Instant::now() + UNWATCHED_WITHIN;
        let mut watches = self.watches.lock();
        let mut waited = false;
        while watches.contains_key(image_id) {
            waited = true;
            if self.ended.wait_until(&mut watches, deadline).timed_out() {
                break;
            }
        }
        waited
    }

    fn count_watch(&self, image_id: &str) {
        *self.watches.lock().entry(image_id.to_owned()).or_default() += 1;
    }

    fn end_watch(&self, image_id: &str) {
        let mut watches = self.watches.lock();
        if let Some(count) = watches.get_mut(image_id) {
            *count -= 1;
            if *count == 0 {
                watches.remove(image_id);
            }
        }
        self.ended.notify_all();
    }

    fn forget(&self, ancestor: &Ancestor) {
        let mut known = self.known.lock();
        let is_it = |found: &Weak<Ancestor>| std::ptr::eq(found.as_ptr(), ancestor);
        if known.get(&ancestor.key).is_some_and(is_it) {
            known.remove(&ancestor.key);
        }
    }
}

impl Ancestor {
    fn watched(pool: Arc<Pool>, parent: &Parent) -> Result<Arc<Self>, Error> {
        let this = Arc::new(Self {
            pool,
            key: parent.key.clone(),
            name: parent.image.clone(),
            watch: Mutex::default(),
            above: OnceLock::new(),
            since: OnceLock::new(),
            changed: AtomicBool::new(false),
            unsure: AtomicBool::new(false),
            dependents: Mutex::default(),
            ended: Mutex::default(),
            checks: Mutex::default(),
        });
        let listener = Arc::downgrade(&this) as Weak<dyn Listener>;
        let watch = HeaderWatch::start(&this.pool, &this.key.image_id, listener)?;
        this.pool.cluster().ancestors().count_watch(&this.key.image_id);
        *this.watch.lock() = Some(watch);
        let above = this.look()?;
        let _first = this.above.set(above);
        // Who was opened before that may have seen it otherwise.
        let _first = this.since.set(Instant::now());
        keep(&this);
        Ok(this)
    }

    fn above(&self) -> Option<Parent> {
        self.above.get().cloned().flatten()
    }

    /// What it is a clone of now.
    fn look(&self) -> Result<Option<Parent>, Error> {
        parent_of(&self.pool, &self.name, &self.key)
    }

    pub(super) fn has_changed(&self) -> bool {
        self.changed.load(Ordering::SeqCst)
    }

    /// Looks what has become of it.
    fn check(&self) {
        if self.has_changed() {
            return;
        }
        match self.look() {
            Ok(now) if self.above.get().is_some_and(|then| same(then.as_ref(), now.as_ref())) => {}
            Ok(_) => self.set_changed(),
            Err(error) => {
                tracing::warn!(%error, "what is behind some disks is not known");
                self.set_changed();
            }
        }
    }

    /// Whoever sees it is out of date, and has ended what it was doing when this returns, whoever
    /// else has begun with it. May be repeated after a panic.
    fn set_changed(&self) {
        self.changed.store(true, Ordering::SeqCst);
        // Before anything else: from here on they read nothing.
        let dependents: Vec<_> = self.dependents.lock().iter().filter_map(Weak::upgrade).collect();
        dependents.iter().for_each(|image| image.lineage().set_outdated());
        let mut ended = self.ended.lock();
        if *ended {
            return;
        }
        self.pool.cluster().ancestors().forget(self);
        tracing::info!(
            image = self.pool.name_of(&self.name),
            open = dependents.len(),
            "an image behind open ones has changed: these are opened anew"
        );
        for image in dependents {
            // What writes may have to copy something from behind first.
            image.lineage().wait_asked();
            if let Err(error) = image.flush() {
                tracing::debug!(%error, "an image that is out of date");
            }
            image.lineage().release();
        }
        *ended = true;
        self.dependents.lock().clear();
    }

    fn answer(&self) {
        loop {
            let mut checks = self.checks.lock();
            let notifications = std::mem::take(&mut checks.notifications);
            if notifications.is_empty() {
                checks.running = false;
                return;
            }
            drop(checks);
            // Whoever is told next is answered, whatever happens here.
            let checked = catch_unwind(AssertUnwindSafe(|| match self.has_changed() {
                // Somebody else has found that out, and may not be done yet.
                true => self.set_changed(),
                false => self.check(),
            }));
            if checked.is_err() && catch_unwind(AssertUnwindSafe(|| self.set_changed())).is_err() {
                tracing::error!("what is behind some disks is not known, by a defect");
            }
            drop(notifications);
        }
    }

    /// Whether the watch is in order, as far as this client knows.
    fn look_at_watch(self: &Arc<Self>) {
        if self.has_changed() {
            return;
        }
        let confirmed = self.watch.lock().as_ref().map(|watch| watch.confirmed(&self.pool));
        match confirmed {
            None => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "a watch is lost");
                let this = Arc::clone(self);
                closer::run_alone(move || this.set_changed());
            }
            Some(Ok(ago)) => {
                let unsure = ago >= UNCONFIRMED;
                if self.unsure.swap(unsure, Ordering::SeqCst) == unsure {
                    return;
                }
                let dependents = self.dependents.lock().clone();
                dependents.iter().filter_map(Weak::upgrade).for_each(|image| {
                    image.lineage().set_unsure();
                });
            }
        }
    }
}

impl Ancestor {
    /// From now on it is told when this changes.
    pub(super) fn tell(&self, image: &Arc<Image>) {
        let mut dependents = self.dependents.lock();
        if dependents.len().is_power_of_two() {
            dependents.retain(|image| image.strong_count() > 0);
        }
        dependents.push(Arc::downgrade(image));
    }

    /// True if it may have been otherwise at that time.
    pub(super) fn is_younger(&self, than: Instant) -> bool {
        self.since.get().is_none_or(|since| *since > than)
    }

    pub(super) fn is_unsure(&self) -> bool {
        self.unsure.load(Ordering::SeqCst)
    }

    /// Whether the snapshot is there: if so, it was at any time before.
    pub(super) fn is_there(&self) -> Result<bool, Error> {
        let SnapshotKey { image_id, snapshot_id, .. } = &self.key;
        match Image::open_snapshot_by_id(&self.pool, &self.name, image_id, *snapshot_id) {
            Ok(seen) => {
                seen.retire();
                Ok(true)
            }
            Err(error) if error.errno() == Errno::NOENT => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn key(&self) -> &SnapshotKey {
        &self.key
    }

    /// Ends the watch. To be called by its last user.
    pub(super) fn take_end(&mut self) -> Option<impl FnOnce() + Send + 'static> {
        let watch = self.watch.get_mut().take()?;
        let (pool, image_id) = (Arc::clone(&self.pool), self.key.image_id.clone());
        Some(move || {
            watch.end(&pool);
            pool.cluster().ancestors().end_watch(&image_id);
        })
    }
}

impl Listener for Ancestor {
    fn notified(self: Arc<Self>, notification: Notification) {
        let mut checks = self.checks.lock();
        checks.notifications.push(notification);
        let running = std::mem::replace(&mut checks.running, true);
        drop(checks);
        if !running {
            closer::run_alone(move || self.answer());
        }
    }

    fn lost(self: Arc<Self>) {
        closer::run_alone(move || self.set_changed());
    }
}

impl Drop for Ancestor {
    fn drop(&mut self) {
        // It may be dropped anywhere, and the end waits for the cluster.
        if let Some(end) = self.take_end() {
            closer::run(end);
        }
    }
}

fn parent_of(pool: &Arc<Pool>, name: &str, key: &SnapshotKey) -> Result<Option<Parent>, Error> {
    let seen = Image::open_snapshot_by_id(pool, name, &key.image_id, key.snapshot_id)?;
    seen.retire();
    seen.parent()
}

fn same(one: Option<&Parent>, other: Option<&Parent>) -> bool {
    let essence = |parent: &Parent| (parent.key.clone(), parent.overlap_bytes);
    one.map(essence) == other.map(essence)
}

static WATCHED: Mutex<Vec<Weak<Ancestor>>> = Mutex::new(Vec::new());

/// From now on a thread looks at the watch again and again.
fn keep(ancestor: &Arc<Ancestor>) {
    static THREAD: Once = Once::new();
    THREAD.call_once(|| {
        let thread = std::thread::Builder::new().name("rbd-ancestors".to_owned());
        if let Err(error) = thread.spawn(look_at_watches) {
            tracing::warn!(%error, "a lost watch is heard of when the cluster tells");
        }
    });
    let mut watched = WATCHED.lock();
    watched.retain(|ancestor| ancestor.strong_count() > 0);
    watched.push(Arc::downgrade(ancestor));
}

fn look_at_watches() {
    for round in 1_u32.. {
        std::thread::sleep(EVERY);
        let watched: Vec<_> = WATCHED.lock().clone();
        for ancestor in watched {
            closer::counted(|| {
                let Some(ancestor) = ancestor.upgrade() else { return };
                ancestor.look_at_watch();
                if round % LOOKS == 0 && !ancestor.is_unsure() {
                    closer::run_alone(move || ancestor.check());
                }
            });
        }
    }
}
