//! What stands behind a target: its device, and the volumes of its LUNs.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;

use super::background::Works;
use super::server::LunStatus;
use super::spec::Lun;
use super::task_set::TaskSets;
use crate::block::qos::{Pace, Timer};
use crate::block::{Fenced, Hold, Limited, SavedState, Usage, Volume};
use crate::scsi::{self, Device, LogicalUnitSpec, UnitId};

/// The logical units of a target with their state. Outlives a change of the access rules, and of
/// the LUNs as long as none becomes another under the number of an old one.
pub(super) struct Backing {
    luns: Mutex<Luns>,
    /// `None` while a volume is not there.
    pub(super) service: Option<Service>,
    /// What goes on beside the sessions.
    pub(super) works: Arc<Works>,
}

struct Luns {
    list: Vec<(UnitId, Lun)>,
    next_unit: u64,
    /// Sessions there are, and what keeps the volumes ready for them.
    uses: usize,
    holds: Vec<Hold>,
}

impl Luns {
    /// Keeps all volumes ready as long as there are sessions.
    fn hold(&mut self) {
        let wanted = if self.uses > 0 { self.list.as_slice() } else { &[] };
        let volumes = wanted.iter().filter_map(|(_, lun)| lun.volume.as_ref());
        // The new ones first: what stays is never without.
        self.holds = volumes.filter_map(|volume| volume.hold()).collect();
    }
}

/// What commands run against.
pub(super) struct Service {
    pub(super) device: Device,
    pub(super) task_sets: TaskSets,
    volumes: ArcSwap<Volumes>,
}

/// Volumes, ascending by the identifier of their logical unit.
pub(super) type Volumes = Vec<(UnitId, Arc<Fenced>)>;

/// The fences of the volumes in use. A volume has one and the same wherever it is published, and
/// as long as anything that went through it is still in the store.
#[derive(Default)]
pub(super) struct Fences {
    by_volume: Mutex<ByVolume>,
    /// For those that have limits.
    pace: Arc<Timer>,
}

#[derive(Default)]
struct ByVolume {
    /// By the address of the volume, which is nobody else's as long as the fence is there.
    fences: HashMap<usize, Weak<Fenced>>,
    /// With more than so many, those that nobody has are swept out.
    sweep_above: usize,
}

/// Fences that are not worth a sweep.
const SWEEP_ABOVE: usize = 64;

impl Fences {
    fn of(&self, volume: &Arc<dyn Volume>) -> Arc<Fenced> {
        let mut held = self.by_volume.lock();
        let ByVolume { fences, sweep_above } = &mut *held;
        let address = Arc::as_ptr(volume).cast::<()>().addr();
        if let Some(fenced) = fences.get(&address).and_then(Weak::upgrade) {
            return fenced;
        }
        // Now and then: there are never more than twice as many as are in use, and each costs
        // the same, however many there are.
        if fences.len() > *sweep_above {
            fences.retain(|_, fenced| fenced.strong_count() > 0);
            *sweep_above = fences.len() * 2 + SWEEP_ABOVE;
        }
        let pace = Arc::clone(&self.pace) as Arc<dyn Pace>;
        let fenced = Fenced::new(Arc::clone(volume), pace);
        fences.insert(address, Arc::downgrade(&fenced));
        fenced
    }

    /// Has the volumes of these LUNs be asked for no more than that, from now on and for as long as
    /// what this gives is held, or anything else that goes through their fences. What waits goes on
    /// when it is dropped.
    pub(super) fn limit(&self, luns: &[Lun]) -> Vec<(Arc<Fenced>, Option<Limited>)> {
        let limit = |lun: &Lun| {
            let fenced = self.of(lun.volume.as_ref()?);
            let limited = fenced.set_limits(lun.limits).inspect_err(|error| {
                let identity = &lun.identity;
                tracing::error!(identity, %error, "cannot limit what the disk is asked for");
            });
            Some((fenced, limited.ok()))
        };
        luns.iter().filter_map(limit).collect()
    }
}

impl Service {
    /// The volumes of all logical units, and of those that were taken away while commands to them
    /// may be on their way.
    pub(super) fn volumes(&self) -> Guard<Arc<Volumes>> {
        self.volumes.load()
    }
}

/// Logical units that were taken away while sessions go on. Each session holds this until its
/// last command to them has ended; then their volumes are let go.
pub(super) struct Removal {
    pub(super) units: Vec<UnitId>,
    backing: Arc<Backing>,
}

impl Drop for Removal {
    fn drop(&mut self) {
        let Some(service) = &self.backing.service else { return };
        service.volumes.rcu(|volumes| {
            let stays = |(unit, _): &&(UnitId, _)| !self.units.contains(unit);
            volumes.iter().filter(stays).cloned().collect::<Volumes>()
        });
    }
}

/// What became of an attempt to give a target other LUNs while its sessions go on.
pub(super) enum Change {
    /// They are the same.
    None,
    /// Some came or went.
    Luns(Arc<Removal>),
    /// It cannot be done, and nothing has changed.
    NotPossible,
}

impl Backing {
    pub(super) fn new(target_name: &str, luns: &[Lun], fences: &Fences) -> Arc<Self> {
        let list: Vec<_> = (0..).map(UnitId).zip(distinct(luns).cloned()).collect();
        let service = parts(&list, fences).map(|(volumes, units)| Service {
            device: Device::new(target_name, units),
            task_sets: TaskSets::default(),
            volumes: ArcSwap::from_pointee(volumes),
        });
        let next_unit = list.len() as u64;
        let luns = Mutex::new(Luns { list, next_unit, uses: 0, holds: Vec::new() });
        Arc::new(Self { luns, service, works: Arc::default() })
    }

    /// Takes other LUNs over, if none of them is another than an old one of the same number (a
    /// command on its way must never reach a disk that it was not meant for), and all volumes are
    /// there.
    pub(super) fn change(this: &Arc<Self>, luns: &[Lun], fences: &Fences) -> Change {
        let mut held = this.luns.lock();
        let old: HashMap<u16, &(UnitId, Lun)> =
            held.list.iter().map(|entry| (entry.1.number, entry)).collect();
        let mut next_unit = held.next_unit;
        let mut list = Vec::with_capacity(luns.len());
        for lun in distinct(luns) {
            let unit = match old.get(&lun.number) {
                Some((unit, old)) if is_same(old, lun) => *unit,
                Some(_) => return Change::NotPossible,
                None => {
                    next_unit += 1;
                    UnitId(next_unit - 1)
                }
            };
            list.push((unit, lun.clone()));
        }
        let stays: HashSet<UnitId> = list.iter().map(|(unit, _)| *unit).collect();
        let units = held.list.iter().map(|(unit, _)| *unit);
        let removed: Vec<_> = units.filter(|unit| !stays.contains(unit)).collect();
        if removed.is_empty() && next_unit == held.next_unit {
            return Change::None;
        }
        let (Some(service), Some((volumes, units))) = (&this.service, parts(&list, fences)) else {
            return Change::NotPossible;
        };
        let first_new = held.next_unit;
        service.volumes.rcu(|now| {
            let new = volumes.iter().filter(|(unit, _)| unit.0 >= first_new);
            now.iter().chain(new).cloned().collect::<Volumes>()
        });
        service.device.set_luns(units);
        (held.list, held.next_unit) = (list, next_unit);
        held.hold();
        let removal = Arc::new(Removal { units: removed, backing: Arc::clone(this) });
        this.works.stop_removed(&removal);
        Change::Luns(removal)
    }

    /// A session begins.
    pub(super) fn begin_use(&self) {
        let mut luns = self.luns.lock();
        luns.uses += 1;
        if luns.uses == 1 {
            luns.hold();
        }
    }

    /// A session has ended.
    pub(super) fn end_use(&self) {
        let mut luns = self.luns.lock();
        luns.uses -= 1;
        if luns.uses == 0 {
            luns.hold();
        }
    }

    /// What the volumes say of themselves now: initiators hear of what has changed. Blocks, for as
    /// long as a store's file system may.
    pub(super) fn refresh(&self) {
        self.refresh_abilities();
        let Some(service) = &self.service else { return };
        let volumes = service.volumes();
        // For those who are logged in to see; it takes system calls, and most disks of many are idle.
        if self.luns.lock().uses == 0 {
            return;
        }
        service.device.set_usage(|unit| {
            let at = volumes.binary_search_by_key(&unit, |(unit, _)| *unit);
            at.map_or_else(|_| Usage::default(), |at| volumes[at].1.volume().usage())
        });
    }

    /// As [`Self::refresh`], but for what they take in their stores.
    pub(super) fn refresh_abilities(&self) {
        let Some(service) = &self.service else { return };
        let volumes = service.volumes();
        service.device.refresh(|unit| {
            let at = volumes.binary_search_by_key(&unit, |(unit, _)| *unit).ok()?;
            Some(volumes[at].1.info())
        });
    }

    pub(super) fn lun_status(&self) -> Vec<LunStatus> {
        let status = |(_, lun): &(UnitId, Lun)| {
            let info = lun.volume.as_ref().map(|volume| volume.info());
            LunStatus {
                number: lun.number,
                identity: lun.identity.clone(),
                size_bytes: info.map(|info| info.size_bytes),
                read_only: lun.read_only || info.is_some_and(|info| info.read_only),
            }
        };
        self.luns.lock().list.iter().map(status).collect()
    }
}

/// The first LUN of each number.
fn distinct(luns: &[Lun]) -> impl Iterator<Item = &Lun> {
    let mut numbers = HashSet::new();
    luns.iter().filter(move |lun| numbers.insert(lun.number))
}

/// Volumes and logical units; `None` if a volume is not there.
fn parts(luns: &[(UnitId, Lun)], fences: &Fences) -> Option<(Volumes, Vec<LogicalUnitSpec>)> {
    let part = |(unit, lun): &(UnitId, Lun)| {
        let volume = lun.volume.as_ref()?;
        let fenced = fences.of(volume);
        let spec = LogicalUnitSpec {
            id: *unit,
            number: lun.number,
            identity: lun.identity.clone(),
            block_bytes: lun.block_bytes,
            read_only: lun.read_only,
            info: fenced.info(),
            saved_state: saved_state(lun, volume.as_ref()),
        };
        Some(((*unit, fenced), spec))
    };
    let parts: Option<(Volumes, Vec<_>)> = luns.iter().map(part).collect();
    parts.map(|(mut volumes, units)| {
        volumes.sort_by_key(|(unit, _)| *unit);
        (volumes, units)
    })
}

/// One LUN goes on as the other.
fn is_same(a: &Lun, b: &Lun) -> bool {
    let volumes_same = match (&a.volume, &b.volume) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    };
    volumes_same
        && (a.number, &a.identity, a.block_bytes, a.read_only)
            == (b.number, &b.identity, b.block_bytes, b.read_only)
}

/// What a volume has kept for its logical unit.
fn saved_state(lun: &Lun, volume: &dyn Volume) -> SavedState {
    let saved = volume.saved_state();
    if !scsi::can_restore(&saved) {
        tracing::error!(
            identity = lun.identity,
            "the record of persistent reservations is damaged, or a newer version's: nobody may \
             read or write until a registered initiator clears them (sg_persist --clear)"
        );
    }
    saved
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::block::{Completion, CompletionQueue, Request, VolumeInfo};

    /// Counts how often it is held.
    #[derive(Default)]
    struct Held(Arc<AtomicUsize>);

    struct Holder(Arc<AtomicUsize>);

    impl Drop for Holder {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl Volume for Held {
        fn info(&self) -> VolumeInfo {
            VolumeInfo {
                size_bytes: 1 << 20,
                read_only: false,
                write_cache: false,
                physical_block_bytes: 512,
                optimal_io_bytes: 0,
                discard_granularity_bytes: 0,
                max_compare_and_write_bytes: 0,
                max_atomic_write_bytes: 0,
                atomic_write_boundary_bytes: 0,
                has_write_same: false,
            }
        }

        fn hold(&self) -> Option<Hold> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Some(Box::new(Holder(Arc::clone(&self.0))))
        }

        fn submit(
            &self,
            _requests: &mut Vec<Request>,
            _done: &mut Vec<Completion>,
            _queue: &Arc<CompletionQueue>,
        ) {
        }
    }

    fn lun(number: u16) -> (Lun, Arc<AtomicUsize>) {
        let (volume, identity) = (Held::default(), format!("disk {number}"));
        let holds = Arc::clone(&volume.0);
        let volume: Option<Arc<dyn Volume>> = Some(Arc::new(volume));
        (
            Lun {
                number,
                volume,
                identity,
                block_bytes: 512,
                read_only: false,
                limits: crate::block::Limits::default(),
            },
            holds,
        )
    }

    #[test]
    fn volumes_are_held_while_there_are_sessions() {
        let ((first, held), (second, held_too)) = (lun(0), lun(1));
        let count = |holds: &AtomicUsize| holds.load(Ordering::SeqCst);
        let fences = Fences::default();
        let backing =
            Backing::new("iqn.2026-01.io.stirrup:t", std::slice::from_ref(&first), &fences);
        assert_eq!(count(&held), 0);
        backing.begin_use();
        backing.begin_use();
        backing.end_use();
        assert_eq!(count(&held), 1, "by the session that is left");
        // One more comes while it is there, and the first goes.
        let change = Backing::change(&backing, &[first, second.clone()], &fences);
        assert!(matches!(change, Change::Luns(_)));
        assert_eq!((count(&held), count(&held_too)), (1, 1));
        let change = Backing::change(&backing, &[second], &fences);
        assert!(matches!(change, Change::Luns(_)));
        assert_eq!((count(&held), count(&held_too)), (0, 1));
        backing.end_use();
        assert_eq!((count(&held), count(&held_too)), (0, 0));
    }
}
