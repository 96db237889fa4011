//! Learns from boots, and keeps what was learnt.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::recorder::Recorder;
use super::runner::Runner;
use super::walk::{Turn, Walks};
use super::{Options, Profile, UNITS_MAX};
use crate::cache::bounds::{Charge, Charges};
use crate::cache::geometry::cut;

/// Disks of one image that are recorded at the same time. Machines that boot together read the
/// same, and each table takes memory.
const RECORDED_MAX: u32 = 2;
/// Disks of all images that are recorded at the same time.
const RECORDERS_MAX: u64 = 64;
/// A disk of which less was read was looked at, not booted from.
const BOOT_UNITS_MIN: usize = 64;

/// Where the record of an image is kept. Both calls may block.
pub trait Keeper: Send + Sync + 'static {
    /// What was kept last; `None`: nothing.
    ///
    /// # Errors
    /// What is wrong, in one line.
    fn kept(&self) -> Result<Option<Vec<u8>>, String>;

    /// Keeps a record in the place of the one before.
    ///
    /// # Errors
    /// What is wrong, in one line.
    fn keep(&self, record: &[u8]) -> Result<(), String>;
}

/// The profiles of a store's images, and the threads that record and learn.
pub struct Profiles {
    options: Options,
    images: Mutex<HashMap<String, Weak<ImageProfile>>>,
    learner: Sender<Event>,
    runner: Runner,
    /// One for each disk that is recorded.
    recorders: Arc<Charges>,
}

impl Profiles {
    /// Starts the threads; they end with the last user.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(options: Options) -> std::io::Result<Self> {
        let (learner, boots) = mpsc::channel();
        std::thread::Builder::new().name("boot-profiles".into()).spawn(move || learn(&boots))?;
        let (images, recorders) = (Mutex::default(), Charges::new(RECORDERS_MAX));
        Ok(Self { options, images, learner, runner: Runner::start()?, recorders })
    }

    /// The profile of the image `name`, which from now on `keeper` keeps: whoever kept it before may
    /// be of no use any more. Whoever asks for it first reads what is kept: may block.
    pub fn image(&self, name: &str, keeper: impl Keeper) -> Arc<ImageProfile> {
        let keeper: Arc<dyn Keeper> = Arc::new(keeper);
        let image = {
            let mut images = self.images.lock();
            if let Some(image) = images.get(name).and_then(Weak::upgrade) {
                *image.keeper.lock() = keeper;
                return image;
            }
            images.retain(|_, image| image.strong_count() > 0);
            let image = Arc::new(ImageProfile {
                name: name.to_owned(),
                keeper: Mutex::new(keeper),
                options: self.options,
                known: Mutex::default(),
                walks: Walks::default(),
                learner: self.learner.clone(),
                runner: self.runner.clone(),
                recorders: Arc::clone(&self.recorders),
            });
            images.insert(name.to_owned(), Arc::downgrade(&image));
            image
        };
        image.load();
        image
    }

    /// Forgets what is known of an image in memory; what is kept is its store's.
    pub fn forget(&self, name: &str) {
        let image = self.images.lock().get(name).and_then(Weak::upgrade);
        if let Some(image) = image {
            image.known.lock().set(Profile::default());
        }
    }

    /// Waits until what was begun before has been done.
    #[cfg(test)]
    pub(crate) fn wait(&self) {
        let (done, wait) = mpsc::channel();
        self.runner.run(move || done.send(()).unwrap());
        wait.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    }
}

/// What is known of how one image boots.
pub struct ImageProfile {
    name: String,
    /// That of the disk that was opened last.
    keeper: Mutex<Arc<dyn Keeper>>,
    options: Options,
    known: Mutex<Known>,
    pub(super) walks: Walks,
    learner: Sender<Event>,
    runner: Runner,
    recorders: Arc<Charges>,
}

#[derive(Default)]
struct Known {
    profile: Profile,
    /// What to fetch, in pieces, in this order.
    plan: Arc<[Range<u64>]>,
    recorded: u32,
    keeping: Keeping,
}

/// How far what is known is kept.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Keeping {
    /// As far as it matters.
    #[default]
    Done,
    /// It has failed: the next boot tries again.
    Failed,
    /// A thread is at it.
    UnderWay,
    /// A thread is at it, and what it keeps is not the last any more.
    Outdated,
}

impl ImageProfile {
    fn load(&self) {
        let keeper = Arc::clone(&self.keeper.lock());
        let loaded = match keeper.kept() {
            Ok(None) => return,
            Ok(Some(record)) => Profile::decode(&record).map_err(|error| error.to_string()),
            Err(error) => Err(error),
        };
        match loaded {
            Ok(profile) => {
                let mut known = self.known.lock();
                // What was learnt meanwhile is newer.
                if known.profile.boots() == 0 {
                    known.set(profile);
                }
            }
            Err(error) => {
                tracing::warn!(image = self.name, "the boot profile is not used: {error}");
            }
        }
    }

    /// The right to fetch what a boot reads, until it is dropped; `None` if nothing is known, if
    /// somebody has it, or all was fetched a short time ago.
    pub(in crate::cache) fn fetch(self: &Arc<Self>) -> Option<Turn> {
        let plan = || Arc::clone(&self.known.lock().plan);
        let Options { prefetch_bytes, learn_for } = self.options;
        self.walks.take(plan, prefetch_bytes, learn_for).then(|| Turn::new(self))
    }

    /// Has something done on a thread of all images' disks. Never waits.
    pub(in crate::cache) fn later(&self, job: impl FnOnce() + Send + 'static) {
        self.runner.run(job);
    }

    /// A machine begins to boot from the disk of `slot`: from now on it is recorded, unless it is
    /// already or enough others are.
    pub(in crate::cache) fn record(self: &Arc<Self>, slot: &Arc<Slot>) {
        if slot.recorder.load().is_some() {
            return;
        }
        let Some(charge) = self.recorders.try_take(1) else { return };
        {
            let mut known = self.known.lock();
            if known.recorded >= RECORDED_MAX {
                return;
            }
            known.recorded += 1;
        }
        slot.recorder.store(Some(Arc::new(Recorder::new(UNITS_MAX as u32))));
        let until = Instant::now() + self.options.learn_for;
        let image = Arc::clone(self);
        let boot = Boot { image, slot: Arc::clone(slot), until, _charge: Some(charge) };
        if self.learner.send(Event::Begun(boot)).is_err() {
            slot.recorder.store(None);
        }
    }

    /// The disk of `slot` is closed: what was recorded so far is all there will be.
    pub(in crate::cache) fn closed(&self, slot: &Slot) {
        if slot.recorder.load().is_some() {
            slot.closed.store(true, Ordering::Release);
            // Without its thread nothing is learnt any more.
            let _gone = self.learner.send(Event::Closed);
        }
    }

    /// Learns from a boot, and keeps what was learnt if that changes what will be fetched.
    fn learn(self: &Arc<Self>, units: &[u64]) {
        let mut known = self.known.lock();
        known.recorded = known.recorded.saturating_sub(1);
        let planned = known.plan.iter().map(|range| range.end - range.start).sum::<u64>();
        let enough = BOOT_UNITS_MIN.max((planned / super::UNIT_BYTES / 4) as usize);
        if units.len() < enough {
            return;
        }
        let before = Arc::clone(&known.plan);
        let mut profile = std::mem::take(&mut known.profile);
        profile.learn(units);
        known.set(profile);
        if known.plan == before && known.keeping != Keeping::Failed {
            return;
        }
        tracing::info!(image = self.name, extents = known.plan.len(), "learnt what a boot reads");
        if let Keeping::UnderWay | Keeping::Outdated = known.keeping {
            known.keeping = Keeping::Outdated;
            return;
        }
        known.keeping = Keeping::UnderWay;
        drop(known);
        // The store may hang: the other images' boots do not wait for that.
        let this = Arc::clone(self);
        let thread = std::thread::Builder::new().name("boot-profile".into());
        if thread.spawn(move || this.keep()).is_err() {
            self.known.lock().keeping = Keeping::Failed;
        }
    }

    /// Keeps what is known, until that is what is kept.
    fn keep(&self) {
        loop {
            let record = {
                let mut known = self.known.lock();
                known.keeping = Keeping::UnderWay;
                known.profile.encode()
            };
            let keeper = Arc::clone(&self.keeper.lock());
            let result = keeper.keep(&record);
            let mut known = self.known.lock();
            if let Err(error) = result {
                tracing::warn!(image = self.name, "cannot keep the boot profile: {error}");
                known.keeping = Keeping::Failed;
                return;
            }
            if known.keeping != Keeping::Outdated {
                known.keeping = Keeping::Done;
                return;
            }
        }
    }
}

impl Known {
    fn set(&mut self, profile: Profile) {
        self.plan = profile.plan(u64::MAX).into_iter().flat_map(cut).collect();
        self.profile = profile;
    }
}

/// Where the recorder of a disk is while its machine boots.
#[derive(Default)]
pub(in crate::cache) struct Slot {
    pub(in crate::cache) recorder: ArcSwapOption<Recorder>,
    closed: AtomicBool,
}

impl Slot {
    /// Takes a read of the disk.
    pub(in crate::cache) fn read(&self, offset: u64, len: u64) {
        if let Some(recorder) = &*self.recorder.load() {
            recorder.read(offset, len);
        }
    }
}

/// What the thread hears of.
enum Event {
    /// A boot has begun.
    Begun(Boot),
    /// Some disk was closed.
    Closed,
}

/// A boot that is recorded.
struct Boot {
    image: Arc<ImageProfile>,
    slot: Arc<Slot>,
    until: Instant,
    _charge: Option<Charge>,
}

/// Waits for the ends of boots, and learns from them.
fn learn(events: &Receiver<Event>) {
    let mut boots: Vec<Boot> = Vec::new();
    loop {
        let next = boots.iter().map(|boot| boot.until).min();
        let event = match next {
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => events.recv_timeout(until.saturating_duration_since(Instant::now())),
        };
        match event {
            Ok(Event::Begun(boot)) => boots.push(boot),
            Ok(Event::Closed) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        let over = |boot: &Boot| boot.until <= now || boot.slot.closed.load(Ordering::Acquire);
        for boot in boots.extract_if(.., |boot| over(boot)) {
            let recorder = boot.slot.recorder.swap(None);
            boot.image.learn(&recorder.map_or_else(Vec::new, |recorder| recorder.units()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{RECORD_BYTES_MAX, UNIT_BYTES};
    use super::*;

    /// Keeps a record in memory and tells of every new one.
    struct Memory {
        kept: Mutex<Result<Option<Vec<u8>>, String>>,
        told: Sender<Vec<u8>>,
    }

    impl Keeper for Arc<Memory> {
        fn kept(&self) -> Result<Option<Vec<u8>>, String> {
            self.kept.lock().clone()
        }

        fn keep(&self, record: &[u8]) -> Result<(), String> {
            *self.kept.lock() = Ok(Some(record.to_vec()));
            self.told.send(record.to_vec()).map_err(|error| error.to_string())
        }
    }

    fn memory(kept: Result<Option<Vec<u8>>, String>) -> (Arc<Memory>, Receiver<Vec<u8>>) {
        let (told, heard) = mpsc::channel();
        (Arc::new(Memory { kept: Mutex::new(kept), told }), heard)
    }

    fn profiles(learn_for: Duration) -> Profiles {
        Profiles::start(Options { learn_for, ..Options::default() }).unwrap()
    }

    const LONG: Duration = Duration::from_secs(3600);
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A machine boots from a disk of the image, reads these units, and the disk is closed.
    fn boot(image: &Arc<ImageProfile>, units: Range<u64>) {
        let slot = Arc::new(Slot::default());
        image.record(&slot);
        slot.read(units.start * UNIT_BYTES, (units.end - units.start) * UNIT_BYTES);
        image.closed(&slot);
    }

    #[test]
    fn a_boot_is_learnt_when_its_disk_is_closed_and_known_to_the_next_daemon() {
        let (keeper, heard) = memory(Ok(None));
        let image = profiles(LONG).image("golden", Arc::clone(&keeper));
        assert!(image.fetch().is_none(), "nothing is known");
        boot(&image, 10..110);
        let record = heard.recv_timeout(PATIENCE).unwrap();
        assert!(record.len() < RECORD_BYTES_MAX);
        let again = profiles(LONG).image("golden", keeper);
        let turn = again.fetch().unwrap();
        let plan = turn.rest().unwrap().plan;
        assert_eq!(plan.first().map(|range| range.start), Some(10 * UNIT_BYTES));
        assert!(plan.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert!(plan.len() > 1, "in pieces");
        assert_eq!(plan.last().map(|range| range.end), Some(110 * UNIT_BYTES));
        assert!(again.fetch().is_none(), "one has it fetched for all");
        turn.went(3, 3 * UNIT_BYTES);
        drop(turn);
        let turn = again.fetch().unwrap();
        assert_eq!(turn.rest().map(|rest| rest.next), Some(3), "the next goes on");
        turn.went(plan.len() - 3, 0);
        drop(turn);
        assert!(again.fetch().is_none(), "not again for a time");
    }

    #[test]
    fn a_boot_ends_with_its_time() {
        let (keeper, heard) = memory(Ok(None));
        let image = profiles(Duration::ZERO).image("golden", keeper);
        let slot = Arc::new(Slot::default());
        let recorder = Arc::new(Recorder::new(100));
        recorder.read(0, 100 * UNIT_BYTES);
        slot.recorder.store(Some(recorder));
        let ended = Boot {
            image: Arc::clone(&image),
            slot: Arc::clone(&slot),
            until: Instant::now(),
            _charge: None,
        };
        image.learner.send(Event::Begun(ended)).unwrap();
        heard.recv_timeout(PATIENCE).unwrap();
        assert!(slot.recorder.load().is_none(), "its table is given back");
    }

    #[test]
    fn who_only_looks_at_a_disk_teaches_nothing() {
        let (keeper, heard) = memory(Ok(None));
        let image = profiles(LONG).image("golden", keeper);
        boot(&image, 0..BOOT_UNITS_MIN as u64 - 1);
        boot(&image, 0..1000);
        let learnt = Profile::decode(&heard.recv_timeout(PATIENCE).unwrap()).unwrap();
        assert_eq!(learnt.boots(), 1);
        boot(&image, 0..200);
        boot(&image, 0..1100);
        let learnt = Profile::decode(&heard.recv_timeout(PATIENCE).unwrap()).unwrap();
        assert_eq!(learnt.boots(), 2, "a fifth of a boot is none");
    }

    #[test]
    fn few_disks_are_recorded_at_a_time() {
        let (keeper, _heard) = memory(Ok(None));
        let image = profiles(LONG).image("golden", keeper);
        let slots: Vec<_> = (0..5).map(|_| Arc::new(Slot::default())).collect();
        slots.iter().for_each(|slot| image.record(slot));
        slots.iter().for_each(|slot| image.record(slot));
        let recorded = slots.iter().filter(|slot| slot.recorder.load().is_some()).count();
        assert_eq!(recorded, RECORDED_MAX as usize);
    }

    #[test]
    fn what_cannot_be_read_is_not_used_and_replaced() {
        for kept in [Ok(Some(b"SBP1 but nonsense".to_vec())), Err("the store is away".to_owned())] {
            let (keeper, heard) = memory(kept);
            let image = profiles(LONG).image("golden", keeper);
            assert!(image.fetch().is_none());
            boot(&image, 0..100);
            Profile::decode(&heard.recv_timeout(PATIENCE).unwrap()).unwrap();
        }
    }

    #[test]
    fn what_is_forgotten_is_not_fetched() {
        let (keeper, heard) = memory(Ok(None));
        let profiles = profiles(LONG);
        let image = profiles.image("golden", keeper);
        boot(&image, 0..100);
        heard.recv_timeout(PATIENCE).unwrap();
        assert!(Arc::ptr_eq(&image, &profiles.image("golden", memory(Ok(None)).0)), "one for all");
        profiles.forget("golden");
        assert!(image.fetch().is_none());
    }

    #[test]
    fn few_disks_of_all_images_are_recorded_at_a_time() {
        let profiles = profiles(LONG);
        let images: Vec<_> = (0..RECORDERS_MAX)
            .map(|number| profiles.image(&number.to_string(), memory(Ok(None)).0))
            .collect();
        let slots: Vec<_> = (0..2 * RECORDERS_MAX).map(|_| Arc::new(Slot::default())).collect();
        for (slot, image) in slots.iter().zip(images.iter().cycle()) {
            image.record(slot);
        }
        let recorded = || slots.iter().filter(|slot| slot.recorder.load().is_some()).count() as u64;
        assert_eq!(recorded(), RECORDERS_MAX);
        // One that is closed makes room for another.
        images[0].closed(&slots[0]);
        let begun = Instant::now();
        let last = &slots[slots.len() - 1];
        while last.recorder.load().is_none() {
            assert!(begun.elapsed() < PATIENCE);
            images[1].record(last);
        }
        assert_eq!(recorded(), RECORDERS_MAX);
    }

    #[test]
    fn what_could_not_be_kept_is_kept_after_the_next_boot_by_who_came_last() {
        struct Broken(Sender<()>);
        impl Keeper for Broken {
            fn kept(&self) -> Result<Option<Vec<u8>>, String> {
                Ok(None)
            }

            fn keep(&self, _: &[u8]) -> Result<(), String> {
                self.0.send(()).unwrap();
                Err("this client was blocklisted".to_owned())
            }
        }
        let profiles = profiles(LONG);
        let (told, asked) = mpsc::channel();
        let image = profiles.image("golden", Broken(told));
        boot(&image, 0..100);
        asked.recv_timeout(PATIENCE).unwrap();
        let begun = Instant::now();
        while image.known.lock().keeping != Keeping::Failed {
            assert!(begun.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
        // A disk is opened through another client, and boots as the one before did.
        let (keeper, heard) = memory(Ok(None));
        assert!(Arc::ptr_eq(&image, &profiles.image("golden", keeper)));
        boot(&image, 0..100);
        let learnt = Profile::decode(&heard.recv_timeout(PATIENCE).unwrap()).unwrap();
        assert_eq!(learnt.boots(), 2);
        assert!(asked.try_recv().is_err());
    }

    #[test]
    fn a_store_that_hangs_keeps_no_other_image_from_learning() {
        struct Hung(Mutex<Receiver<()>>, Sender<()>);
        impl Keeper for Hung {
            fn kept(&self) -> Result<Option<Vec<u8>>, String> {
                Ok(None)
            }

            fn keep(&self, _: &[u8]) -> Result<(), String> {
                self.1.send(()).unwrap();
                self.0.lock().recv_timeout(PATIENCE).map_err(|error| error.to_string())
            }
        }
        let profiles = profiles(LONG);
        let (free, hang) = mpsc::channel();
        let (told, asked) = mpsc::channel();
        let hung = profiles.image("hung", Hung(Mutex::new(hang), told));
        boot(&hung, 0..100);
        asked.recv_timeout(PATIENCE).unwrap();
        let (keeper, heard) = memory(Ok(None));
        let image = profiles.image("golden", keeper);
        boot(&image, 0..100);
        heard.recv_timeout(PATIENCE).unwrap();
        // What was learnt meanwhile is kept, too.
        boot(&hung, 0..200);
        let begun = Instant::now();
        while hung.known.lock().keeping != Keeping::Outdated {
            assert!(begun.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
        free.send(()).unwrap();
        asked.recv_timeout(PATIENCE).unwrap();
        free.send(()).unwrap();
    }
}
