//! The targets there are and the sessions that use them.
//!
//! Logins look targets up here. Commands look up nothing: a session keeps its target.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::SystemTime;

use atomic_waker::AtomicWaker;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::{oneshot, watch};

use super::backing::{Backing, Change, Removal};
use super::server::SessionStatus;
use super::spec::{Access, TargetSpec};
use crate::iscsi::login::SessionParams;
use crate::iscsi::session::Notice;
use crate::scsi::Nexus;

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

/// Identifies a session for reinstatement (RFC 7143 6.3.5): one at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SessionKey {
    /// Normalised target name; `None` for discovery.
    pub(super) target: Option<String>,
    pub(super) initiator: String,
    pub(super) isid: [u8; 6],
    /// Tag of the portal group: the same ISID in another one is another session (RFC 7143 4.4.3).
    pub(super) portal_group: u16,
    /// What a discovery session is about; it takes the place of no other kind (RFC 7143 7.4.2).
    pub(super) discovery: Option<Discovery>,
}

/// The last part of a discovery session's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Discovery {
    /// It names no target: the address that it came to.
    At(SocketAddr),
    /// It names a target, normalised.
    Of(String),
}

/// What others may ask of the task that drives a session.
pub(super) enum Order {
    /// Close the connection.
    Close(&'static str),
    /// Abort all tasks on a logical unit (`None`: on all); answer when the last has ended.
    Abort { lun: Option<u64>, done: oneshot::Sender<()> },
    /// A task management function that needed other sessions has come to an end.
    ManagementDone { itt: u32, response: u8 },
    /// Tell the initiator something (RFC 7143 11.9).
    Notify(Notice),
    /// LUNs were added or taken away. To be held until no command to the latter is left.
    LunsChanged(Arc<Removal>),
}

/// An I_T nexus of a session. It outlives a connection that is reinstated, and is lost with the
/// last session entry that holds it.
pub(super) struct Lease {
    pub(super) backing: Arc<Backing>,
    pub(super) nexus: Arc<Nexus>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(service) = &self.backing.service {
            service.device.detach(&self.nexus);
        }
    }
}

/// A session as the rest of the process sees it.
pub(super) struct SessionEntry {
    pub(super) id: u64,
    pub(super) tsih: u16,
    pub(super) key: SessionKey,
    /// Of its one connection.
    pub(super) cid: u16,
    /// What its login settled.
    pub(super) params: SessionParams,
    pub(super) peer: SocketAddr,
    pub(super) since: SystemTime,
    pub(super) counters: Counters,
    lease: Mutex<Option<Arc<Lease>>>,
    orders: Mutex<Vec<Order>>,
    waker: AtomicWaker,
    ended: watch::Sender<bool>,
}

/// What a session has done so far. Only its own shard writes them.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commands: AtomicU64,
    pub(super) read_commands: AtomicU64,
    pub(super) write_commands: AtomicU64,
    pub(super) read_bytes: AtomicU64,
    pub(super) written_bytes: AtomicU64,
}

impl Counters {
    /// Adds without a locked instruction: there is one writer.
    pub(super) fn add(counter: &AtomicU64, n: u64) {
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }
}

impl SessionEntry {
    /// Gives the session's task something to do.
    pub(super) fn order(&self, order: Order) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).push(order);
        self.waker.wake();
    }

    /// For the session's own task: what was ordered since.
    pub(super) fn poll_orders(&self, cx: &mut Context<'_>) -> Poll<Vec<Order>> {
        self.waker.register(cx.waker());
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if orders.is_empty() { Poll::Pending } else { Poll::Ready(std::mem::take(&mut *orders)) }
    }

    /// Its nexus, until it ends; in no discovery session.
    pub(super) fn lease(&self) -> Option<Arc<Lease>> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_lease(&self, lease: Option<Arc<Lease>>) {
        let before = {
            let mut held = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *held, lease)
        };
        drop(before);
    }

    /// In a discovery session nothing is sent but answers (RFC 7143 7.4.3).
    pub(super) fn is_discovery(&self) -> bool {
        self.key.discovery.is_some()
    }

    /// What the control plane shows of it.
    pub(super) fn status(&self) -> SessionStatus {
        let counter = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SessionStatus {
            id: self.id,
            tsih: self.tsih,
            target: self.key.target.clone(),
            initiator: self.key.initiator.clone(),
            isid: self.key.isid,
            portal_group_tag: self.key.portal_group,
            peer: self.peer,
            since: self.since,
            commands: counter(&self.counters.commands),
            read_commands: counter(&self.counters.read_commands),
            write_commands: counter(&self.counters.write_commands),
            read_bytes: counter(&self.counters.read_bytes),
            written_bytes: counter(&self.counters.written_bytes),
        }
    }

    /// Waits until nothing of the session is left, in the store neither.
    pub(super) async fn has_ended(&self) {
        let mut ended = self.ended.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _ended = ended.wait_for(|ended| *ended).await;
    }
}

/// A session about to be made.
pub(super) struct NewSession {
    pub(super) key: SessionKey,
    /// That of the session whose connection is reinstated; 0 for a session that is new.
    pub(super) tsih: u16,
    pub(super) cid: u16,
    pub(super) params: SessionParams,
    pub(super) peer: SocketAddr,
}

/// Why there is no session.
pub(super) enum NoSession {
    /// One of the same name is there and has to end first.
    Exists(Arc<SessionEntry>),
    /// There are too many.
    TooMany,
}

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
    sessions: DashMap<SessionKey, Arc<SessionEntry>>,
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
            sessions: DashMap::new(),
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

    /// Adds a target or replaces the one of that name; says what that means for its sessions.
    pub(super) fn publish(&self, spec: TargetSpec) -> Published {
        let TargetSpec { name, luns, access } = spec;
        // The entry is locked meanwhile: two publishers of one target take turns.
        match self.targets.entry(normalised(&name)) {
            Entry::Occupied(mut held) => {
                let old = held.get();
                let changed_chap = old.access.chap != access.chap;
                let (backing, removal, replaced) = match Backing::change(&old.backing, &luns) {
                    Change::None => (Arc::clone(&old.backing), None, changed_chap),
                    Change::Luns(removal) => {
                        (Arc::clone(&old.backing), Some(removal), changed_chap)
                    }
                    Change::NotPossible => (Backing::new(&name, luns), None, true),
                };
                let target = Arc::new(Target { name, access, backing });
                held.insert(Arc::clone(&target));
                Published { target, replaced, removal }
            }
            Entry::Vacant(vacant) => {
                let backing = Backing::new(&name, luns);
                let target = Arc::new(Target { name, access, backing });
                vacant.insert(Arc::clone(&target));
                Published { target, replaced: false, removal: None }
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

    /// The session of a key.
    pub(super) fn session(&self, key: &SessionKey) -> Option<Arc<SessionEntry>> {
        self.sessions.get(key).map(|entry| Arc::clone(&entry))
    }

    /// Enters a session; at most one of each key.
    pub(super) fn begin(&self, new: NewSession) -> Result<Arc<SessionEntry>, NoSession> {
        let vacant = match self.sessions.entry(new.key.clone()) {
            Entry::Occupied(old) => return Err(NoSession::Exists(Arc::clone(old.get()))),
            Entry::Vacant(vacant) => vacant,
        };
        if self.session_count.fetch_add(1, Ordering::AcqRel) >= self.sessions_max {
            self.session_count.fetch_sub(1, Ordering::AcqRel);
            return Err(NoSession::TooMany);
        }
        let entry = Arc::new(SessionEntry {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            tsih: if new.tsih == 0 { self.take_tsih() } else { new.tsih },
            key: new.key,
            cid: new.cid,
            params: new.params,
            peer: new.peer,
            since: SystemTime::now(),
            counters: Counters::default(),
            lease: Mutex::default(),
            orders: Mutex::default(),
            waker: AtomicWaker::new(),
            ended: watch::Sender::new(false),
        });
        vacant.insert(Arc::clone(&entry));
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

    /// The last of a session is gone.
    pub(super) fn end(&self, entry: &Arc<SessionEntry>) {
        entry.set_lease(None);
        let removed = self.sessions.remove_if(&entry.key, |_, held| held.id == entry.id);
        if removed.is_some() {
            self.session_count.fetch_sub(1, Ordering::AcqRel);
        }
        let _nobody_waits = entry.ended.send_replace(true);
    }
}
