//! The targets there are and the sessions that use them.
//!
//! Logins look targets up here. Commands look up nothing: a session keeps its target.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use super::server::LunStatus;
use super::session::{Life, SessionEntry, SessionKey};
use super::spec::{Access, Lun, TargetSpec};
use super::task_set::TaskSets;
use crate::block::{Fenced, Volume};
use crate::scsi::{Device, LogicalUnitSpec};

/// A published target.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) access: Access,
    pub(super) backing: Arc<Backing>,
}

impl Target {
    /// True if the access rules let a session go on that is logged in.
    pub(super) fn admits(&self, session: &SessionEntry) -> bool {
        self.access.is_offered_in(session.key.portal_group)
            && self.access.admits(&session.key.initiator, session.peer.ip())
    }
}

/// The logical units of a target with their state; outlives a change of the access rules.
pub(super) struct Backing {
    luns: Vec<Lun>,
    /// The device and the volume of each LUN; `None` while a volume is not there.
    pub(super) service: Option<Service>,
}

/// What commands run against.
pub(super) struct Service {
    pub(super) device: Device,
    pub(super) units: Vec<Unit>,
    pub(super) task_sets: TaskSets,
}

/// A logical unit.
pub(super) struct Unit {
    pub(super) number: u16,
    pub(super) volume: Arc<Fenced>,
}

impl Service {
    /// The index of a logical unit.
    pub(super) fn index_of(&self, number: u16) -> Option<usize> {
        self.units.iter().position(|unit| unit.number == number)
    }
}

/// The fences of the volumes in use. A volume has one and the same wherever it is published, and
/// as long as anything that went through it is still in the store.
#[derive(Default)]
struct Fences(Mutex<Vec<Weak<Fenced>>>);

impl Fences {
    fn of(&self, volume: &Arc<dyn Volume>) -> Arc<Fenced> {
        let mut fences = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        fences.retain(|fenced| fenced.strong_count() > 0);
        let mut known = fences.iter().filter_map(Weak::upgrade);
        if let Some(fenced) = known.find(|fenced| Arc::ptr_eq(fenced.volume(), volume)) {
            return fenced;
        }
        let fenced = Fenced::new(Arc::clone(volume));
        fences.push(Arc::downgrade(&fenced));
        fenced
    }
}

impl Backing {
    fn new(spec: &TargetSpec, fences: &Fences) -> Self {
        let volumes: Option<Vec<_>> = spec
            .luns
            .iter()
            .map(|lun| lun.volume.clone().map(|volume| (lun.number, volume)))
            .collect();
        let service = volumes.map(|volumes| {
            let units = spec
                .luns
                .iter()
                .zip(&volumes)
                .map(|(lun, (_, volume))| LogicalUnitSpec {
                    number: lun.number,
                    identity: lun.identity.clone(),
                    block_bytes: lun.block_bytes,
                    read_only: lun.read_only,
                    info: volume.info(),
                })
                .collect();
            let device = Device::new(spec.name.clone(), units);
            let units = volumes
                .iter()
                .map(|(number, volume)| Unit { number: *number, volume: fences.of(volume) })
                .collect();
            Service { device, units, task_sets: TaskSets::default() }
        });
        Self { luns: spec.luns.clone(), service }
    }

    pub(super) fn lun_status(&self) -> Vec<LunStatus> {
        let status = |lun: &Lun| {
            let info = lun.volume.as_ref().map(|volume| volume.info());
            LunStatus {
                number: lun.number,
                identity: lun.identity.clone(),
                size_bytes: info.map(|info| info.size_bytes),
                read_only: lun.read_only || info.is_some_and(|info| info.read_only),
            }
        };
        self.luns.iter().map(status).collect()
    }

    /// True if sessions can go on with these LUNs.
    fn is_same(&self, luns: &[Lun]) -> bool {
        let same = |a: &Lun, b: &Lun| {
            let volumes_same = match (&a.volume, &b.volume) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                (None, None) => true,
                _ => false,
            };
            volumes_same
                && (a.number, &a.identity, a.block_bytes, a.read_only)
                    == (b.number, &b.identity, b.block_bytes, b.read_only)
        };
        self.luns.len() == luns.len() && self.luns.iter().zip(luns).all(|(a, b)| same(a, b))
    }
}

/// A session about to be made.
pub(super) struct NewSession {
    pub(super) key: SessionKey,
    pub(super) peer: SocketAddr,
}

/// Why there is no session.
pub(super) enum NoSession {
    /// One of the same name is there and has to fall quiet first.
    Exists(Arc<SessionEntry>),
    /// Too much of earlier ones of the same name is still in the store; this is one of them.
    Draining(Arc<SessionEntry>),
    /// There are too many.
    TooMany,
}

/// Sessions of one name that may have something in the store after their end: what hangs there is
/// bounded, however often an initiator logs in anew.
const DRAINING_MAX: usize = 8;

/// All targets and sessions of the daemon.
pub(super) struct Registry {
    targets: DashMap<String, Arc<Target>>,
    fences: Fences,
    sessions: DashMap<SessionKey, Arc<SessionEntry>>,
    /// Those that have fallen quiet, and still have operations in a store, by their ids.
    draining: DashMap<u64, Arc<SessionEntry>>,
    /// Of both kinds.
    session_count: AtomicUsize,
    sessions_max: usize,
    next_id: AtomicU64,
    next_tsih: AtomicU16,
}

/// iSCSI names compare in lower case (RFC 7143 4.2.7.1).
pub(super) fn normalised(name: &str) -> String {
    name.to_ascii_lowercase()
}

impl Registry {
    pub(super) fn new(sessions_max: usize) -> Self {
        Self {
            targets: DashMap::new(),
            fences: Fences::default(),
            sessions: DashMap::new(),
            draining: DashMap::new(),
            session_count: AtomicUsize::new(0),
            // TSIHs have 16 bits, and 0 means none.
            sessions_max: sessions_max.min(usize::from(u16::MAX) - 1),
            next_id: AtomicU64::new(1),
            next_tsih: AtomicU16::new(1),
        }
    }

    pub(super) fn target(&self, name: &str) -> Option<Arc<Target>> {
        self.targets.get(&normalised(name)).map(|target| Arc::clone(&target))
    }

    /// All targets, sorted by name.
    pub(super) fn targets(&self) -> Vec<Arc<Target>> {
        let mut targets: Vec<_> = self.targets.iter().map(|target| Arc::clone(&target)).collect();
        targets.sort_by(|a, b| a.name.cmp(&b.name));
        targets
    }

    /// Adds a target or replaces the one of that name.
    pub(super) fn publish(&self, spec: TargetSpec) {
        // The entry is locked meanwhile: two publishers of one target take turns.
        match self.targets.entry(normalised(&spec.name)) {
            Entry::Occupied(mut held) => {
                let old = &held.get().backing;
                let backing = if old.is_same(&spec.luns) {
                    Arc::clone(old)
                } else {
                    Arc::new(Backing::new(&spec, &self.fences))
                };
                let target = Target { name: spec.name, access: spec.access, backing };
                held.insert(Arc::new(target));
            }
            Entry::Vacant(vacant) => {
                let backing = Arc::new(Backing::new(&spec, &self.fences));
                let target = Target { name: spec.name, access: spec.access, backing };
                vacant.insert(Arc::new(target));
            }
        }
    }

    /// Takes a target away: no new login finds it. False if there was none.
    pub(super) fn withdraw(&self, name: &str) -> bool {
        self.targets.remove(&normalised(name)).is_some()
    }

    pub(super) fn sessions(&self) -> Vec<Arc<SessionEntry>> {
        let mut sessions: Vec<_> = self.sessions.iter().map(|e| Arc::clone(e.value())).collect();
        sessions.sort_by_key(|session| session.id);
        sessions
    }

    /// The sessions on a target.
    pub(super) fn sessions_of(&self, target: &str) -> Vec<Arc<SessionEntry>> {
        let name = normalised(target);
        let mut sessions = self.sessions();
        sessions.retain(|session| session.key.target.as_deref() == Some(&name));
        sessions
    }

    /// All sessions, those that are only in the store any more, too.
    pub(super) fn sessions_to_the_end(&self) -> Vec<Arc<SessionEntry>> {
        // In this order: a session gets to the second map before it leaves the first.
        let mut sessions = self.sessions();
        sessions.extend(self.draining.iter().map(|entry| Arc::clone(entry.value())));
        sessions
    }

    /// As [`Self::sessions_to_the_end`], of one target.
    pub(super) fn sessions_of_to_the_end(&self, target: &str) -> Vec<Arc<SessionEntry>> {
        let name = normalised(target);
        let mut sessions = self.sessions_to_the_end();
        sessions.retain(|session| session.key.target.as_deref() == Some(&name));
        sessions
    }

    /// Enters a session; at most one of each key.
    pub(super) fn begin(&self, new: NewSession) -> Result<Arc<SessionEntry>, NoSession> {
        if let Some(old) = self.too_many_draining(&new.key) {
            return Err(NoSession::Draining(old));
        }
        let vacant = match self.sessions.entry(new.key.clone()) {
            Entry::Occupied(old) => return Err(NoSession::Exists(Arc::clone(old.get()))),
            Entry::Vacant(vacant) => vacant,
        };
        if self.session_count.fetch_add(1, Ordering::AcqRel) >= self.sessions_max {
            self.session_count.fetch_sub(1, Ordering::AcqRel);
            return Err(NoSession::TooMany);
        }
        let entry = SessionEntry::new(self.take_id(), self.take_tsih(), new.key, new.peer);
        vacant.insert(Arc::clone(&entry));
        Ok(entry)
    }

    /// A number that was never given before.
    pub(super) fn take_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// A handle that is not 0; numbers come again only after all others.
    fn take_tsih(&self) -> u16 {
        loop {
            match self.next_tsih.fetch_add(1, Ordering::Relaxed) {
                0 => {}
                tsih => return tsih,
            }
        }
    }

    /// One of at least [`DRAINING_MAX`] sessions of this name that are not over yet.
    fn too_many_draining(&self, key: &SessionKey) -> Option<Arc<SessionEntry>> {
        let mut same = self.draining.iter().filter(|entry| entry.key == *key);
        same.nth(DRAINING_MAX - 1).map(|entry| Arc::clone(entry.value()))
    }

    /// Nothing more comes of a session: what it has in the store is fenced. Another one may take
    /// its place.
    pub(super) fn fell_quiet(&self, entry: &Arc<SessionEntry>) {
        self.draining.insert(entry.id, Arc::clone(entry));
        self.sessions.remove_if(&entry.key, |_, held| held.id == entry.id);
        entry.advance(Life::Quiet);
    }

    /// The last of a session is gone.
    pub(super) fn end(&self, entry: &Arc<SessionEntry>) {
        let was_live = self.sessions.remove_if(&entry.key, |_, held| held.id == entry.id);
        let was_quiet = self.draining.remove(&entry.id);
        if was_live.is_some() || was_quiet.is_some() {
            self.session_count.fetch_sub(1, Ordering::AcqRel);
        }
        entry.advance(Life::Ended);
    }
}
