//! The login phase: one PDU after the other, within a time limit.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Incoming, Joining};
use crate::iscsi::login::{
    Complete, ENTROPY_BYTES, Established, Failure, Grant, LOGIN_SEGMENT_BYTES_MAX, Login,
    LoginStatus, Names, Policy, Refusal, Reply, SessionType,
};
use crate::iscsi::pdu::frame::{self, Lengths};
use crate::iscsi::pdu::{BHS_BYTES, Bhs, LoginRequest, LoginResponse, Opcode, Pdu};
use crate::target::backing::Backing;
use crate::target::places;
use crate::target::portal::PortalGroup;
use crate::target::registry::{NoSession, Target, normalised};
use crate::target::server::Shared;
use crate::target::session::{
    Discovery, Entry, Lease, NewSession, Order, Place, SessionEntry, SessionKey,
};
use crate::target::shard::ShardState;
use crate::target::spec::Redirect;

/// How long a new session waits for the one whose place it takes to fall quiet: it does so as soon
/// as its shard gets to it. If that takes longer, or if too many of its predecessors hang in the
/// store, the initiator is told to try again later: two sessions of one name never run.
const REINSTATEMENT_WAIT: Duration = Duration::from_secs(5);

/// A connection that has logged in.
pub(super) struct Connected {
    pub(super) stream: TcpStream,
    pub(super) local: SocketAddr,
    pub(super) established: Established,
    pub(super) ends: SessionEnds,
    pub(super) place: Place,
    /// `None` in a discovery session.
    pub(super) backing: Option<Arc<Backing>>,
}

/// Takes the session out of the registry when dropped, however its task ends.
pub(super) struct SessionEnds {
    pub(super) shared: Arc<Shared>,
    pub(super) entry: Arc<SessionEntry>,
    /// That of a discovery session.
    _discovery: Option<places::Place>,
}

impl Drop for SessionEnds {
    fn drop(&mut self) {
        self.shared.registry.end(&self.entry);
    }
}

/// Answers the login's questions from the registry.
struct Gate<'a> {
    shared: &'a Shared,
    group: &'a PortalGroup,
    peer: SocketAddr,
    local: SocketAddr,
    /// What the login was granted against.
    granted: RefCell<Option<Arc<Target>>>,
    /// The session that a connection is to continue.
    continued: RefCell<Option<Arc<SessionEntry>>>,
}

impl Gate<'_> {
    fn target(&self, names: &Names) -> Result<Arc<Target>, Refusal> {
        let name = names.target_name.as_deref().unwrap_or_default();
        let refuse = |status, reason: &'static str| Err(Refusal::new(status, reason));
        let Some(target) = self.shared.registry.target(name) else {
            return refuse(LoginStatus::NotFound, "no such target");
        };
        if !target.access.is_offered_in(self.group.tag) {
            return refuse(LoginStatus::NotFound, "the target is not in this portal group");
        }
        if !target.access.admits(&names.initiator_name, self.peer.ip()) {
            return refuse(
                LoginStatus::AuthorizationFailure,
                "the target's access rules do not admit this initiator name and address",
            );
        }
        if let Some(Redirect { address, permanently }) = &target.access.moved {
            return Err(Refusal::moved(*permanently, address.clone()));
        }
        if target.access.paused {
            return refuse(LoginStatus::ServiceUnavailable, "who may log in is being changed");
        }
        if target.backing.service.is_none() {
            return refuse(LoginStatus::ServiceUnavailable, "the target's volume is not open");
        }
        Ok(target)
    }

    /// What the session is known by.
    fn key(&self, names: &Names) -> SessionKey {
        let named = names.target_name.as_deref().map(normalised);
        let (target, discovery) = match (names.session_type, named) {
            (SessionType::Normal, target) => (target, None),
            (SessionType::Discovery, Some(target)) => (None, Some(Discovery::Of(target))),
            (SessionType::Discovery, None) => (None, Some(Discovery::At(self.local))),
        };
        SessionKey {
            target,
            initiator: normalised(&names.initiator_name),
            isid: names.isid,
            portal_group: self.group.tag,
            discovery,
        }
    }

    /// The session of a TSIH, if it is the initiator's.
    fn session(&self, names: &Names) -> Option<Arc<SessionEntry>> {
        let session = self.shared.registry.session(&self.key(names))?;
        (names.tsih == session.tsih).then_some(session)
    }

    /// The target, if it and its access rules are still those that the login has passed.
    fn unchanged(&self, names: &Names) -> Result<Arc<Target>, Refusal> {
        let target = self.target(names)?;
        let granted = self.granted.borrow();
        if granted.as_ref().is_some_and(|granted| Arc::ptr_eq(granted, &target)) {
            return Ok(target);
        }
        let reason = "the target or its access rules changed during the login";
        Err(Refusal::new(LoginStatus::ServiceUnavailable, reason))
    }
}

impl Policy for Gate<'_> {
    fn authorize(&self, names: &Names) -> Result<Grant, Refusal> {
        if !self.group.admits(&names.initiator_name, self.peer.ip()) {
            let reason =
                "the portal group's access rules do not admit this initiator name and address";
            return Err(Refusal::new(LoginStatus::AuthorizationFailure, reason));
        }
        let chap = match names.session_type {
            SessionType::Discovery => self.group.discovery_chap.clone(),
            SessionType::Normal => {
                let target = self.target(names)?;
                let chap = target.access.chap.clone();
                self.granted.replace(Some(target));
                chap
            }
        };
        let session = self.session(names);
        self.continued.replace(session.clone());
        Ok(Grant {
            session: session.map(|session| session.params.clone()),
            chap: chap.map(|chap| chap.credentials()),
            target_portal_group_tag: self.group.tag,
            target_alias: None,
        })
    }
}

/// Drives the login. `None`: it was refused, and that was logged.
pub(super) async fn log_in(
    incoming: Incoming,
    shard: &ShardState,
) -> io::Result<Option<Connected>> {
    let Incoming { stream, peer, local, group, half_open } = incoming;
    let shared = &shard.shared;
    let mut stopping = shared.stopping.subscribe();
    let login = negotiate(stream, (peer, local), &group, shared);
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(shared.options.login_timeout, login) => outcome,
        _ = stopping.wait_for(|stopping| *stopping) => return Ok(None),
    };
    drop(half_open);
    outcome.unwrap_or_else(|_elapsed| {
        tracing::info!(%peer, "login not finished in time: closed");
        Ok(None)
    })
}

async fn negotiate(
    mut stream: TcpStream,
    (peer, local): (SocketAddr, SocketAddr),
    group: &PortalGroup,
    shared: &Arc<Shared>,
) -> io::Result<Option<Connected>> {
    let mut entropy = [0; ENTROPY_BYTES];
    getrandom::fill(&mut entropy).map_err(io::Error::other)?;
    let mut login = Login::new(shared.options.login.clone(), entropy);
    let (granted, continued) = Default::default();
    let gate = Gate { shared, group, peer, local, granted, continued };
    loop {
        let (request, data) = match read_request(&mut stream).await? {
            Ok(request) => request,
            Err((_, refusal))
                if !login.has_begun() && refusal.status() == LoginStatus::InvalidDuringLogin =>
            {
                tracing::debug!(%peer, "something else than a login: closed");
                return Ok(None);
            }
            Err((stand_in, refusal)) => {
                let failure = login.refuse(&stand_in, refusal);
                return refuse(stream, peer, login.names(), failure).await;
            }
        };
        match login.handle(&request, &data, &gate) {
            Reply::Respond(response, data) => send(&mut stream, &response, &data).await?,
            Reply::Fail(failure) => return refuse(stream, peer, login.names(), failure).await,
            Reply::Complete(complete) => {
                let names = complete.names().clone();
                let settled = match discovery_place(&names, &gate) {
                    Ok(discovery) => settle(&complete, &gate).await.map(|to| (to, discovery)),
                    Err(refusal) => Err(refusal),
                };
                let (entry, place, backing, discovery) = match settled {
                    Ok((Settled::Begun(entry, place, backing), discovery)) => {
                        (entry, place, backing, discovery)
                    }
                    Ok((Settled::Joins(entry, place), _)) => {
                        let stream = stream.into_std()?;
                        let joining = Joining { stream, peer, complete, place };
                        entry.order(Order::Join(Box::new(joining)));
                        return Ok(None);
                    }
                    Err(refusal) => {
                        let failure = complete.refuse(refusal);
                        return refuse(stream, peer, Some(&names), failure).await;
                    }
                };
                let ends = SessionEnds { shared: Arc::clone(shared), entry, _discovery: discovery };
                let (response, data, established) = complete.accept(ends.entry.tsih);
                send(&mut stream, &response, &data).await?;
                return Ok(Some(Connected { stream, local, established, ends, place, backing }));
            }
        }
    }
}

/// What a login comes to.
enum Settled {
    /// A session of its own, or in the place of one.
    Begun(Arc<SessionEntry>, Place, Option<Arc<Backing>>),
    /// One more connection of a session.
    Joins(Arc<SessionEntry>, Place),
}

/// The place that a discovery session needs.
fn discovery_place(names: &Names, gate: &Gate<'_>) -> Result<Option<places::Place>, Refusal> {
    if names.session_type == SessionType::Normal {
        return Ok(None);
    }
    let place = gate.shared.discovery.take(gate.peer.ip());
    let reason = "too many discovery sessions, or too many of this address";
    place.map(Some).ok_or_else(|| Refusal::new(LoginStatus::OutOfResources, reason))
}

/// Enters the session into the registry, in place of one of the same name if there is one
/// (session reinstatement, RFC 7143 6.3.5; with its TSIH connection reinstatement, 6.3.4): nothing
/// of the old one can be seen to happen any more when this returns. A connection that is to join
/// others in a session, or to take the place of one of several, is the session's own task's to settle.
async fn settle(complete: &Complete, gate: &Gate<'_>) -> Result<Settled, Refusal> {
    let names = complete.names();
    let gone = || Refusal::new(LoginStatus::SessionDoesNotExist, "no session of this TSIH");
    let continued = gate.continued.take();
    match &continued {
        None if names.tsih != 0 => return Err(gone()),
        None => {}
        Some(session) => match session.enter(names.cid, gate.peer) {
            Entry::Whole => {}
            Entry::Joins(place) => {
                gate.unchanged(names)?;
                return Ok(Settled::Joins(Arc::clone(session), place));
            }
            Entry::Full => {
                let reason = "the session has as many connections as it has agreed on";
                return Err(Refusal::new(LoginStatus::TooManyConnections, reason));
            }
        },
    }
    // The nexus is that of the session, and is not lost with the connection.
    let lease = continued.as_ref().and_then(|session| session.lease());
    let registry = &gate.shared.registry;
    let key = gate.key(names);
    let deadline = tokio::time::Instant::now() + REINSTATEMENT_WAIT;
    let entry = loop {
        let new = NewSession {
            key: key.clone(),
            tsih: names.tsih,
            params: complete.params().clone(),
            peer: gate.peer,
        };
        match registry.begin(new) {
            Ok(entry) => break entry,
            Err(NoSession::TooMany) => {
                return Err(Refusal::new(LoginStatus::OutOfResources, "too many sessions"));
            }
            Err(NoSession::Exists(old)) if names.tsih != 0 && old.tsih != names.tsih => {
                return Err(gone());
            }
            Err(NoSession::Exists(old)) => {
                old.order(Order::Close("the initiator has logged in anew"));
                let reason = "the session to be reinstated has not come to its end yet";
                within(deadline, old.has_fallen_quiet(), reason).await?;
            }
            Err(NoSession::Draining(old)) => {
                let reason = "commands of too many earlier sessions have not ended yet";
                within(deadline, old.has_ended(), reason).await?;
            }
        }
    };
    // Looked up again: the target may have gone or changed meanwhile. From here on, whoever
    // changes it finds this session in the registry and closes it.
    let backing = match names.session_type {
        SessionType::Discovery => Ok(None),
        SessionType::Normal => {
            gate.unchanged(names).map(|target| Some(Arc::clone(&target.backing)))
        }
    };
    let goes_on = |lease: &Arc<Lease>| matches!(&backing, Ok(Some(backing)) if Arc::ptr_eq(backing, &lease.backing));
    entry.set_lease(lease.filter(goes_on));
    match backing {
        Ok(backing) if !*gate.shared.stopping.borrow() => {
            let place = entry.first_place(names.cid);
            Ok(Settled::Begun(entry, place, backing))
        }
        Ok(_) => {
            gate.shared.registry.end(&entry);
            Err(Refusal::new(LoginStatus::ServiceUnavailable, "shutting down"))
        }
        Err(refusal) => {
            gate.shared.registry.end(&entry);
            Err(refusal)
        }
    }
}

/// Waits for something that has to be over before the login can go on.
async fn within(
    deadline: tokio::time::Instant,
    over: impl Future<Output = ()>,
    reason: &'static str,
) -> Result<(), Refusal> {
    let elapsed = tokio::time::timeout_at(deadline, over).await;
    elapsed.map_err(|_elapsed| Refusal::new(LoginStatus::ServiceUnavailable, reason))
}

type Request = (LoginRequest, Vec<u8>);

/// Reads one login request; nothing of a data segment that is too long. What has no place in a
/// login comes back as a refusal, with a request to address it to.
async fn read_request(
    stream: &mut TcpStream,
) -> io::Result<Result<Request, (LoginRequest, Refusal)>> {
    let mut bhs = [0; BHS_BYTES];
    stream.read_exact(&mut bhs).await?;
    let lengths = Lengths::of(&bhs, false, false);
    let request = match LoginRequest::parse(&bhs) {
        Ok(request) if Opcode::of(&bhs) == Some(Opcode::LoginRequest) => request,
        _ => {
            let reason = "not a login request";
            return Ok(Err((
                stand_in(&bhs),
                Refusal::new(LoginStatus::InvalidDuringLogin, reason),
            )));
        }
    };
    if lengths.ahs != 0 || lengths.data > LOGIN_SEGMENT_BYTES_MAX {
        let reason = "a header or data segment is too long";
        return Ok(Err((request, Refusal::new(LoginStatus::InitiatorError, reason))));
    }
    let mut data = vec![0; lengths.data + lengths.padding];
    stream.read_exact(&mut data).await?;
    data.truncate(lengths.data);
    Ok(Ok((request, data)))
}

/// The request to answer when what came is none: its task tag, and zeros.
fn stand_in(bhs: &Bhs) -> LoginRequest {
    LoginRequest {
        transit: false,
        cont: false,
        csg: 0,
        nsg: 0,
        version_max: 0,
        version_min: 0,
        isid: [0; 6],
        tsih: 0,
        itt: u32::from_be_bytes([bhs[16], bhs[17], bhs[18], bhs[19]]),
        cid: 0,
        cmd_sn: 0,
        exp_stat_sn: 0,
    }
}

async fn send(stream: &mut TcpStream, response: &LoginResponse, data: &[u8]) -> io::Result<()> {
    let mut bhs = response.encode();
    frame::set_data_length(&mut bhs, data.len());
    let mut bytes = bhs.to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len() + frame::padding_of(data.len()), 0);
    stream.write_all(&bytes).await
}

async fn refuse(
    mut stream: TcpStream,
    peer: SocketAddr,
    names: Option<&Names>,
    failure: Failure,
) -> io::Result<Option<Connected>> {
    let Failure { response, data, refusal } = failure;
    tracing::info!(
        %peer,
        initiator = names.map(|names| names.initiator_name.as_str()),
        target = names.and_then(|names| names.target_name.as_deref()),
        "login refused: {refusal}"
    );
    send(&mut stream, &response, &data).await?;
    stream.shutdown().await?;
    Ok(None)
}
