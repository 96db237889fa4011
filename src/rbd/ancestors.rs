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
#![allow(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::ffi::{CString, c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Once, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::io::Errno;

use super::cluster::cstring;
use super::{Access, Error, Image, Parent, Pool, SnapshotKey, closer};

/// Longest chain of clones that is followed. librbd itself warns of more than 16.
const CHAIN_MAX: usize = 64;
/// How often an image is opened anew because what is behind it changed at that moment.
const ATTEMPTS: usize = 5;
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
    checks: Mutex<Checks>,
}

/// Notifications to be answered once it was looked what has changed.
#[derive(Default)]
struct Checks {
    running: bool,
    notifications: Vec<u64>,
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
    fn chain(&self, here: &Arc<Pool>, first: Parent) -> Result<Vec<Arc<Ancestor>>, Error> {
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
            checks: Mutex::default(),
        });
        let watch = HeaderWatch::start(&this)?;
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

    fn has_changed(&self) -> bool {
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

    /// Whoever sees it is out of date, and has ended what it was doing when this returns.
    fn set_changed(&self) {
        if self.changed.swap(true, Ordering::SeqCst) {
            return;
        }
        self.pool.cluster().ancestors().forget(self);
        let dependents = std::mem::take(&mut *self.dependents.lock());
        let dependents: Vec<_> = dependents.iter().filter_map(Weak::upgrade).collect();
        tracing::info!(
            image = self.pool.name_of(&self.name),
            open = dependents.len(),
            "an image behind open ones has changed: these are opened anew"
        );
        dependents.iter().for_each(|image| image.lineage().set_outdated());
        for image in dependents {
            // What writes may have to copy something from behind first.
            if let Err(error) = image.flush() {
                tracing::debug!(%error, "an image that is out of date");
            }
            image.lineage().release();
        }
    }

    /// Somebody has changed something about the image.
    fn notified(self: &Arc<Self>, notification: u64) {
        let mut checks = self.checks.lock();
        checks.notifications.push(notification);
        if std::mem::replace(&mut checks.running, true) {
            return;
        }
        drop(checks);
        let this = Arc::clone(self);
        closer::run_alone(move || this.answer());
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
            self.check();
            if let Some(watch) = &*self.watch.lock() {
                notifications
                    .into_iter()
                    .for_each(|number| watch.target().answer(number, watch.cookie));
            }
        }
    }

    /// Whether the watch is in order, as far as this client knows.
    fn look_at_watch(self: &Arc<Self>) {
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
    /// Ends the watch. To be called by its last user.
    fn take_end(&mut self) -> Option<impl FnOnce() + Send + 'static> {
        let watch = self.watch.get_mut().take()?;
        let (pool, image_id) = (Arc::clone(&self.pool), self.key.image_id.clone());
        Some(move || {
            watch.end(&pool);
            pool.cluster().ancestors().end_watch(&image_id);
        })
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

/// A watch on an image's header. Must be ended.
struct HeaderWatch {
    cookie: u64,
    /// What the callbacks get: made by `Arc::into_raw`, taken back by [`Self::end`].
    target: *const Target,
}

/// Who is told.
struct Target {
    pool: Arc<Pool>,
    object: CString,
    ancestor: Weak<Ancestor>,
}

// SAFETY: the pointer is to a `Target`, which may be used from any thread.
unsafe impl Send for HeaderWatch {}
// SAFETY: as above.
unsafe impl Sync for HeaderWatch {}

impl Target {
    /// Lets go on who sent the notification.
    fn answer(&self, notification: u64, cookie: u64) {
        // SAFETY: the name outlives the call; the answer is empty. A lost one is not waited for
        // long.
        unsafe {
            (self.pool.api().rados_notify_ack)(
                self.pool.io(),
                self.object.as_ptr(),
                notification,
                cookie,
                std::ptr::null(),
                0,
            )
        };
    }
}

impl HeaderWatch {
    fn start(ancestor: &Arc<Ancestor>) -> Result<Self, Error> {
        let pool = Arc::clone(&ancestor.pool);
        let object = cstring(&format!("rbd_header.{}", ancestor.key.image_id))?;
        let target = Target { pool: Arc::clone(&pool), object, ancestor: Arc::downgrade(ancestor) };
        let target = Arc::into_raw(Arc::new(target));
        let mut cookie = 0;
        // SAFETY: `target` stays until `end`, which is after the last callback.
        let code = unsafe {
            (pool.api().rados_watch2)(
                pool.io(),
                (*target).object.as_ptr(),
                &raw mut cookie,
                changed,
                lost,
                target.cast_mut().cast(),
            )
        };
        let watching = pool.check(code, || format!("watching {}", pool.name_of(&ancestor.name)));
        if let Err(error) = watching {
            // SAFETY: from `into_raw` above; there is no watch that could use it.
            drop(unsafe { Arc::from_raw(target) });
            return Err(error);
        }
        Ok(Self { cookie, target })
    }

    fn target(&self) -> &Target {
        // SAFETY: from `into_raw`; given back by `end` only, which takes `self`.
        unsafe { &*self.target }
    }

    /// How long ago the cluster confirmed it.
    fn confirmed(&self, pool: &Pool) -> Result<Duration, Error> {
        // SAFETY: a watch that was not ended.
        let code = unsafe { (pool.api().rados_watch_check)(pool.io(), self.cookie) };
        let age = pool.check(code, || "a watch".to_owned())?;
        Ok(Duration::from_millis(age.unsigned_abs()))
    }

    /// Ends the watch; waits for callbacks that run.
    fn end(self, pool: &Pool) {
        // SAFETY: a watch of this I/O context, ended once. Whatever the cluster says, no callback
        // comes for it afterwards, and those that were under way have ended after the flush.
        unsafe {
            (pool.api().rados_unwatch2)(pool.io(), self.cookie);
            (pool.api().rados_watch_flush)(pool.cluster().handle());
            drop(Arc::from_raw(self.target));
        }
    }
}

/// Something about the image has changed. Nothing that waits may be called from here.
unsafe extern "C" fn changed(
    arg: *mut c_void,
    notification: u64,
    cookie: u64,
    _notifier: u64,
    _data: *mut c_void,
    _len: usize,
) {
    // SAFETY: `arg` is the `Target` of `HeaderWatch::start`, alive while callbacks come.
    let target = unsafe { &*arg.cast::<Target>() };
    match target.ancestor.upgrade() {
        Some(ancestor) => ancestor.notified(notification),
        None => target.answer(notification, cookie),
    }
}

/// The watch is lost: something may have been missed.
unsafe extern "C" fn lost(arg: *mut c_void, _cookie: u64, _error: c_int) {
    // SAFETY: as in `changed`.
    let target = unsafe { &*arg.cast::<Target>() };
    if let Some(ancestor) = target.ancestor.upgrade() {
        closer::run_alone(move || ancestor.set_changed());
    }
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
                if round % LOOKS == 0 && !ancestor.unsure.load(Ordering::SeqCst) {
                    closer::run_alone(move || ancestor.check());
                }
            });
        }
    }
}

/// What an open image knows of those behind it.
#[derive(Default)]
pub(super) struct Lineage {
    chain: Mutex<Vec<Arc<Ancestor>>>,
    /// [`OUTDATED`] and [`UNSURE`].
    standing: AtomicU8,
}

/// One of the chain has changed.
const OUTDATED: u8 = 1;
/// It is not known whether one has.
const UNSURE: u8 = 2;

impl Lineage {
    pub(super) fn is_current(&self) -> bool {
        self.standing.load(Ordering::Acquire) == 0
    }

    fn is_outdated(&self) -> bool {
        self.standing.load(Ordering::Acquire) & OUTDATED != 0
    }

    pub(super) fn set_outdated(&self) {
        self.standing.fetch_or(OUTDATED, Ordering::AcqRel);
    }

    fn set_unsure(&self) {
        let chain = self.chain.lock();
        if chain.iter().any(|ancestor| ancestor.unsure.load(Ordering::SeqCst)) {
            self.standing.fetch_or(UNSURE, Ordering::AcqRel);
        } else {
            self.standing.fetch_and(!UNSURE, Ordering::AcqRel);
        }
    }

    /// Nothing behind it matters any more. Waits for the end of watches that nobody else needs.
    pub(super) fn release(&self) {
        let chain = std::mem::take(&mut *self.chain.lock());
        for ancestor in chain {
            if let Some(mut last) = Arc::into_inner(ancestor)
                && let Some(end) = last.take_end()
            {
                end();
            }
        }
        self.set_unsure();
    }

    /// The image itself has another parent now, or none.
    pub(super) fn set_parent(&self, parent: Option<&Parent>) {
        let first = self.chain.lock().first().map(|ancestor| ancestor.key.clone());
        match (first, parent) {
            (Some(_), None) => self.release(),
            (Some(first), Some(parent)) if first != parent.key => self.set_outdated(),
            _ => {}
        }
    }
}

impl Image {
    /// As [`Self::open`]; the image [is told](Self::is_outdated) when one behind it changes.
    ///
    /// # Errors
    /// As [`Self::open`]; EBUSY if what is behind it changes all the time.
    pub fn open_watched(
        pool: &Arc<Pool>,
        image: &str,
        snapshot: Option<&str>,
        access: Access,
    ) -> Result<Arc<Self>, Error> {
        Self::open_with_ancestors(pool, image, || Self::open(pool, image, snapshot, access))
    }

    /// Opens until nothing behind the image has changed meanwhile.
    pub(super) fn open_with_ancestors(
        pool: &Arc<Pool>,
        image: &str,
        open: impl Fn() -> Result<Arc<Self>, Error>,
    ) -> Result<Arc<Self>, Error> {
        // What is watched since it was opened last is watched when it is opened again.
        let mut watched = Vec::new();
        for _ in 0..ATTEMPTS {
            let begun = Instant::now();
            let open = open()?;
            match open.attach(begun) {
                Ok(None) => return Ok(open),
                Ok(Some(chain)) => watched = chain,
                Err(error) => {
                    open.retire();
                    return Err(error);
                }
            }
            open.retire();
            drop(open);
            pool.wait_closed(image);
        }
        drop(watched);
        let message = format!("what is behind {} changes all the time", pool.name_of(image));
        Err(Error::new(Errno::BUSY, message))
    }

    /// What is behind it, if it may have been opened when something of that was otherwise.
    fn attach(self: &Arc<Self>, begun: Instant) -> Result<Option<Vec<Arc<Ancestor>>>, Error> {
        let Some(parent) = self.parent()? else { return Ok(None) };
        // At a snapshot it is the image itself that may lose its parent unheard.
        let first = self.as_parent()?.unwrap_or(parent);
        let chain = self.pool().cluster().ancestors().chain(self.pool(), first)?;
        if chain.iter().any(|ancestor| ancestor.since.get().is_none_or(|since| *since > begun)) {
            return Ok(Some(chain));
        }
        for ancestor in &chain {
            let mut dependents = ancestor.dependents.lock();
            if dependents.len().is_power_of_two() {
                dependents.retain(|image| image.strong_count() > 0);
            }
            dependents.push(Arc::downgrade(self));
        }
        if chain.iter().any(|ancestor| ancestor.has_changed()) {
            return Ok(Some(chain));
        }
        *self.lineage().chain.lock() = chain;
        self.lineage().set_unsure();
        Ok(None)
    }

    /// One behind this has changed: what it would read may not be there any more. Once true this
    /// stays true; opened anew, the image reads as it did.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.lineage().is_outdated()
    }

    /// What is read through this is what is stored: neither [`Self::is_outdated`], nor in doubt
    /// because the cluster does not answer.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.lineage().is_current()
    }
}
