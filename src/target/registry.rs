//! The targets there are and the sessions that use them.
//!
//! Logins look targets up here. Commands look up nothing: a session keeps its target.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::Mutex;

use super::background::{Look, Works};
use super::backing::{Backing, Change, Fences, Removal};
use super::session::{Life, NewSession, SessionEntry, SessionKey};
use super::spec::{Access, Lun, TargetSpec};

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
            && session
                .peers()
                .iter()
                .all(|peer| self.access.admits(&session.key.initiator, peer.ip()))
    }
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
/// What publishing a target comes to for the sessions that it has.
pub(super) struct Published {
    pub(super) target: Arc<Target>,
    /// They have to end.
    pub(super) replaced: bool,
    /// LUNs were added or taken away.
    pub(super) removal: Option<Arc<Removal>>,
}

/// All targets and sessions of the daemon.
pub(super) struct Registry {
    targets: DashMap<String, Arc<Target>>,
    fences: Fences,
    /// What may go on behind targets that were taken away, by their names.
    closing: Mutex<Vec<(String, Weak<Works>)>>,
    sessions: DashMap<SessionKey, Arc<SessionEntry>>,
    /// All of both maps that are on a target, by its name: what is done with one target takes the same
    /// time however many there are.
    of_target: DashMap<String, BTreeMap<u64, Arc<SessionEntry>>>,
    /// Those that have fallen quiet, and still have operations in a store, by their ids.
    draining: DashMap<u64, Arc<SessionEntry>>,
    /// Normal ones in both maps.
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
            closing: Mutex::default(),
            sessions: DashMap::new(),
            of_target: DashMap::new(),
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

    /// The names of all targets.
    pub(super) fn names(&self) -> Vec<String> {
        self.targets.iter().map(|target| target.key().clone()).collect()
    }

    /// A look at the volumes of a target; `None` if there is no such target.
    pub(super) fn look_at(&self, name: &str) -> Option<Look> {
        // The entry is locked meanwhile: who takes the target away finds the look begun.
        self.targets.get(&normalised(name)).map(|target| Look::at(&target.backing))
    }

    /// Adds a target or replaces the one of that name; says what that means for its sessions.
    pub(super) fn publish(&self, spec: TargetSpec) -> Published {
        let TargetSpec { name, luns, access } = spec;
        // The entry is locked meanwhile: two publishers of one target take turns.
        let entry = self.targets.entry(normalised(&name));
        // Before anybody finds the target.
        let limited = self.fences.limit(&luns);
        let published = self.put(entry, name, &luns, access);
        // The entry is not locked any more: logins need not wait for what had to wait.
        drop(limited);
        // What a volume can do depends on its limits.
        published.target.backing.refresh_abilities();
        published
    }

    fn put(
        &self,
        entry: Entry<'_, String, Arc<Target>>,
        name: String,
        luns: &[Lun],
        access: Access,
    ) -> Published {
        match entry {
            Entry::Occupied(mut held) => {
                let old = held.get();
                let changed_chap = old.access.chap != access.chap;
                let (backing, removal, replaced) =
                    match Backing::change(&old.backing, luns, &self.fences) {
                        Change::None => (Arc::clone(&old.backing), None, changed_chap),
                        Change::Luns(removal) => {
                            (Arc::clone(&old.backing), Some(removal), changed_chap)
                        }
                        Change::NotPossible => {
                            self.close_works_of(held.key(), &old.backing);
                            (Backing::new(&name, luns, &self.fences), None, true)
                        }
                    };
                let target = Arc::new(Target { name, access, backing });
                held.insert(Arc::clone(&target));
                Published { target, replaced, removal }
            }
            Entry::Vacant(vacant) => {
                let backing = Backing::new(&name, luns, &self.fences);
                let target = Arc::new(Target { name, access, backing });
                vacant.insert(Arc::clone(&target));
                Published { target, replaced: false, removal: None }
            }
        }
    }

    /// Takes a target away: no new login finds it, and what goes on in the background ends. False
    /// if there was none.
    pub(super) fn withdraw(&self, name: &str) -> bool {
        let removed = self.targets.remove(&normalised(name));
        removed.is_some_and(|(name, target)| {
            self.close_works_of(&name, &target.backing);
            true
        })
    }

    /// Has everything in the background end, for good. What is there to wait for.
    pub(super) fn close_works(&self) -> Vec<Arc<Works>> {
        for target in self.targets() {
            self.close_works_of(&normalised(&target.name), &target.backing);
        }
        self.closed_works(None)
    }

    fn close_works_of(&self, name: &str, backing: &Backing) {
        backing.works.close();
        let mut closing = self.closing.lock();
        closing.retain(|(_, works)| works.strong_count() > 0);
        closing.push((name.to_owned(), Arc::downgrade(&backing.works)));
    }

    /// What may still go on in the background behind targets that are there no more: of this
    /// name, or all.
    pub(super) fn closed_works(&self, target: Option<&str>) -> Vec<Arc<Works>> {
        let name = target.map(normalised);
        let closing = self.closing.lock();
        let of_name = closing.iter().filter(|(of, _)| name.as_ref().is_none_or(|name| of == name));
        of_name.filter_map(|(_, works)| works.upgrade()).collect()
    }

    pub(super) fn sessions(&self) -> Vec<Arc<SessionEntry>> {
        let mut sessions: Vec<_> = self.sessions.iter().map(|e| Arc::clone(e.value())).collect();
        sessions.sort_by_key(|session| session.id);
        sessions
    }

    /// The sessions on a target.
    pub(super) fn sessions_of(&self, target: &str) -> Vec<Arc<SessionEntry>> {
        let mut sessions = self.sessions_of_to_the_end(target);
        sessions.retain(|session| !self.draining.contains_key(&session.id));
        sessions
    }

    /// How many sessions each target has, by its normalised name.
    pub(super) fn session_counts(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for session in &self.sessions {
            if let Some(target) = &session.key.target {
                *counts.entry(target.clone()).or_default() += 1;
            }
        }
        counts
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
        let of_target = self.of_target.get(&normalised(target));
        of_target.map_or_else(Vec::new, |sessions| sessions.values().map(Arc::clone).collect())
    }

    /// Has every session's meter look at what was done since it looked last.
    pub(super) fn read_meters(&self, now: Instant) {
        for session in &self.sessions {
            session.read_meter(now);
        }
    }

    /// The session of a key.
    pub(super) fn session(&self, key: &SessionKey) -> Option<Arc<SessionEntry>> {
        self.sessions.get(key).map(|entry| Arc::clone(&entry))
    }

    /// Enters a session; at most one of each key. Discovery sessions are not counted: the caller
    /// bounds those.
    pub(super) fn begin(&self, new: NewSession) -> Result<Arc<SessionEntry>, NoSession> {
        if let Some(old) = self.too_many_draining(&new.key) {
            return Err(NoSession::Draining(old));
        }
        let vacant = match self.sessions.entry(new.key.clone()) {
            Entry::Occupied(old) => return Err(NoSession::Exists(Arc::clone(old.get()))),
            Entry::Vacant(vacant) => vacant,
        };
        let counts = new.key.discovery.is_none();
        if counts && self.session_count.fetch_add(1, Ordering::AcqRel) >= self.sessions_max {
            self.session_count.fetch_sub(1, Ordering::AcqRel);
            return Err(NoSession::TooMany);
        }
        let tsih = if new.tsih == 0 { self.take_tsih() } else { new.tsih };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let entry = SessionEntry::new(id, tsih, new);
        drop(vacant.insert(Arc::clone(&entry)));
        if let Some(target) = &entry.key.target {
            let mut of_target = self.of_target.entry(target.clone()).or_default();
            of_target.insert(id, Arc::clone(&entry));
        }
        Ok(entry)
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
        entry.set_lease(None);
        self.draining.insert(entry.id, Arc::clone(entry));
        self.sessions.remove_if(&entry.key, |_, held| held.id == entry.id);
        entry.advance(Life::Quiet);
    }

    /// The last of a session is gone.
    pub(super) fn end(&self, entry: &Arc<SessionEntry>) {
        entry.set_lease(None);
        let was_live = self.sessions.remove_if(&entry.key, |_, held| held.id == entry.id);
        let was_quiet = self.draining.remove(&entry.id);
        if let Some(target) = &entry.key.target {
            self.of_target.remove_if_mut(target, |_, sessions| {
                sessions.remove(&entry.id);
                sessions.is_empty()
            });
        }
        if !entry.is_discovery() && (was_live.is_some() || was_quiet.is_some()) {
            self.session_count.fetch_sub(1, Ordering::AcqRel);
        }
        entry.advance(Life::Ended);
    }
}
