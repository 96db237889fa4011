//! The login phase of one connection (RFC 7143 section 6.3), as a machine without I/O: a Login
//! Request goes in, what to send comes out.
//!
//! [`Login`] checks the rules of the phase, [`Negotiation`] answers keys out of one table,
//! CHAP stands beside. Whether an initiator may come in, and what it has to show, the machine asks
//! of a [`Policy`]; when the last request has come it hands over a [`Complete`], and the owner of
//! the sessions says which TSIH it becomes.

mod auth;
mod chap;
mod keys;
mod negotiation;
mod params;
mod status;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use auth::Authentication;
use negotiation::Phase;

pub use chap::{ChapAlgorithm, ChapCredentials, ChapIdentity, Secret};
pub use negotiation::{Negotiation, NegotiationError};
pub use params::{DigestPolicy, Limits, SessionParams, TaskReporting};
pub use status::{LoginStatus, Refusal};

use crate::iscsi::pdu::{LoginRequest, LoginResponse};
use crate::iscsi::text::{self, Assembler, Pair, Writer};

/// Longest data segment of a login PDU, either way: the default that holds until the login is
/// over (RFC 7143 6.3).
pub const LOGIN_SEGMENT_BYTES_MAX: usize = 8192;

/// Most Login Requests of one login. The longest real ones take six.
pub const LOGIN_REQUESTS_MAX: u32 = 64;

/// Random bytes that a login needs.
pub const ENTROPY_BYTES: usize = 64;

/// StatSN of the first response. Initiators that compare serially from 0 need it small.
const FIRST_STAT_SN: u32 = 1;

/// What kind of session is asked for (RFC 7143 13.21).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionType {
    /// For SCSI.
    Normal,
    /// For SendTargets.
    Discovery,
}

/// Who logs in, and to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// InitiatorName.
    pub initiator_name: String,
    /// TargetName; always there in a normal session.
    pub target_name: Option<String>,
    /// SessionType.
    pub session_type: SessionType,
    /// Initiator's part of the session identifier.
    pub isid: [u8; 6],
    /// 0 for a new session, else the session that the connection is to join or reinstate.
    pub tsih: u16,
    /// Connection identifier.
    pub cid: u16,
}

/// What the login asks of the world around it.
pub trait Policy {
    /// Whether these may go on, and what they have to show. Called once, when the names are
    /// known, before any authentication: what it tells is told to anybody.
    ///
    /// # Errors
    /// How the login is refused.
    fn authorize(&self, names: &Names) -> Result<Grant, Refusal>;
}

/// The conditions on which a login may go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// CHAP has to be passed, with these.
    pub chap: Option<ChapCredentials>,
    /// Tag of the portal group that the connection came in by.
    pub target_portal_group_tag: u16,
    /// What the target is called by people.
    pub target_alias: Option<String>,
    /// What the session has settled that the connection is to continue; `None` where there is no
    /// such session, or none is asked for.
    pub session: Option<SessionParams>,
}

/// What to do after a Login Request.
#[derive(Debug)]
pub enum Reply {
    /// Send this and wait for the next request.
    Respond(LoginResponse, Vec<u8>),
    /// The login is good. Settle the session, then [`Complete::accept`] or [`Complete::refuse`].
    Complete(Box<Complete>),
    /// Send this, then close.
    Fail(Failure),
}

/// The end of a login that failed.
#[derive(Debug)]
pub struct Failure {
    /// What to send.
    pub response: LoginResponse,
    /// Its data segment.
    pub data: Vec<u8>,
    /// Why, for the log.
    pub refusal: Refusal,
}

/// A login that lacks nothing but its session.
#[derive(Debug)]
pub struct Complete {
    command_window: u32,
    response: LoginResponse,
    data: Vec<u8>,
    established: Established,
}

impl Complete {
    /// Who logs in.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.established.names
    }

    /// What was negotiated.
    #[must_use]
    pub fn params(&self) -> &SessionParams {
        &self.established.params
    }

    /// Accepts as a connection of session `tsih`: the response to send with its data segment, and
    /// what holds from then on.
    #[must_use]
    pub fn accept(self, tsih: u16) -> (LoginResponse, Vec<u8>, Established) {
        let (exp_cmd_sn, window) = (self.established.cmd_sn, self.command_window);
        self.join(tsih, exp_cmd_sn, exp_cmd_sn.wrapping_add(window.max(1) - 1))
    }

    /// As [`Self::accept`], as one more connection of a session that goes on: `exp_cmd_sn` and
    /// `max_cmd_sn` are the session's.
    #[must_use]
    pub fn join(
        mut self,
        tsih: u16,
        exp_cmd_sn: u32,
        max_cmd_sn: u32,
    ) -> (LoginResponse, Vec<u8>, Established) {
        (self.response.exp_cmd_sn, self.response.max_cmd_sn) = (exp_cmd_sn, max_cmd_sn);
        self.response.tsih = tsih;
        (self.response, self.data, self.established)
    }

    /// Refuses after all. The connection is to be closed.
    #[must_use]
    pub fn refuse(self, refusal: Refusal) -> Failure {
        fail(self.response, refusal)
    }
}

/// A connection in the full feature phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    /// Who logged in.
    pub names: Names,
    /// What was negotiated.
    pub params: SessionParams,
    /// CmdSN of the first command to expect: that of the login.
    pub cmd_sn: u32,
    /// StatSN of the next response.
    pub stat_sn: u32,
}

/// The login of one connection.
pub struct Login {
    limits: Limits,
    entropy: [u8; ENTROPY_BYTES],
    requests: u32,
    stat_sn: u32,
    /// A failure was handed out.
    over: bool,
    state: Option<State>,
}

/// What is there once the first request has come.
struct State {
    /// The first request: what must stay the same.
    first: LoginRequest,
    phase: Phase,
    incoming: Assembler,
    outgoing: Writer,
    negotiation: Negotiation,
    /// Known after the first text.
    who: Option<Names>,
    authentication: Authentication,
    /// The session that the connection is to continue does not exist.
    is_orphan: bool,
}

impl Login {
    /// A login that has not begun. `entropy` has to be fresh from the system's generator: CHAP's
    /// identifier and challenge are made of it.
    #[must_use]
    pub fn new(limits: Limits, entropy: [u8; ENTROPY_BYTES]) -> Self {
        Self { limits, entropy, requests: 0, stat_sn: FIRST_STAT_SN, over: false, state: None }
    }

    /// Who is logging in, as soon as it has said so.
    #[must_use]
    pub fn names(&self) -> Option<&Names> {
        self.state.as_ref()?.who.as_ref()
    }

    /// Whether a Login Request has come. Before, anything else ends the connection without an answer
    /// (RFC 7143 6.3).
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.requests > 0
    }

    /// Takes one Login Request and its data segment. After [`Reply::Fail`] every further request
    /// fails.
    pub fn handle(&mut self, request: &LoginRequest, data: &[u8], policy: &dyn Policy) -> Reply {
        match self.advance(request, data, policy) {
            Ok(reply) => reply,
            Err(refusal) => Reply::Fail(self.refuse(request, refusal)),
        }
    }

    /// Ends the login for a reason from outside: a PDU that is no Login Request
    /// ([`LoginStatus::InvalidDuringLogin`]), no time or no room left. `request` is the request to
    /// answer, or one made of the offending PDU's task tag.
    pub fn refuse(&mut self, request: &LoginRequest, refusal: Refusal) -> Failure {
        self.over = true;
        fail(response(request, self.stat_sn, &self.limits), refusal)
    }

    fn advance(
        &mut self,
        request: &LoginRequest,
        data: &[u8],
        policy: &dyn Policy,
    ) -> Result<Reply, Refusal> {
        self.requests += 1;
        if self.over || self.requests > LOGIN_REQUESTS_MAX {
            return Err(initiator_error("too many login requests"));
        }
        check_header(request)?;
        if data.len() > LOGIN_SEGMENT_BYTES_MAX {
            return Err(initiator_error("a login PDU with more than 8192 bytes of data"));
        }
        let state = self.state.get_or_insert_with(|| State::new(&self.limits, *request));
        state.check_continuity(request)?;
        let whole = state.take(request, data)?;
        if let Some(text) = &whole {
            let pairs = text::parse(text).map_err(|error| initiator_error(error.to_string()))?;
            state.answer(&pairs, request, (&self.limits, &self.entropy), policy)?;
        }
        let response = response(request, self.stat_sn, &self.limits);
        self.stat_sn = self.stat_sn.wrapping_add(1);
        let reply = state.respond(request, response, self.limits.command_window)?;
        self.over = matches!(reply, Reply::Complete(_));
        Ok(reply)
    }
}

impl State {
    fn new(limits: &Limits, first: LoginRequest) -> Self {
        let phase = match first.csg {
            stage::SECURITY => Phase::Security,
            _ => Phase::Operational,
        };
        Self {
            first,
            phase,
            incoming: Assembler::default(),
            outgoing: Writer::default(),
            negotiation: Negotiation::login(limits.clone(), phase, first.tsih == 0),
            who: None,
            authentication: Authentication::Open(None),
            is_orphan: false,
        }
    }

    /// What all requests of a login have in common (RFC 7143 11.12).
    fn check_continuity(&self, request: &LoginRequest) -> Result<(), Refusal> {
        let LoginRequest { isid, tsih, itt, cid, cmd_sn, .. } = self.first;
        // The CmdSN of a session that is alive on other connections may go up meanwhile.
        let same_cmd_sn = tsih != 0 || request.cmd_sn == cmd_sn;
        if (request.isid, request.tsih, request.itt, request.cid) != (isid, tsih, itt, cid)
            || !same_cmd_sn
        {
            return Err(initiator_error("ISID, TSIH, ITT, CID or CmdSN changed during login"));
        }
        let csg = match self.phase {
            Phase::Security => stage::SECURITY,
            _ => stage::OPERATIONAL,
        };
        if request.csg != csg {
            return Err(initiator_error("a login request for another stage than the current one"));
        }
        Ok(())
    }

    /// Gathers the data segment; the text if it is whole. While an answer of ours goes out in
    /// pieces, requests for the next piece are empty and no texts (RFC 7143 6.2).
    fn take(&mut self, request: &LoginRequest, data: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        if self.outgoing.is_empty() {
            let text = self.incoming.push(data, request.cont);
            return text.map_err(|error| initiator_error(error.to_string()));
        }
        if !data.is_empty() || request.cont {
            return Err(initiator_error("keys while an answer was still going out"));
        }
        Ok(None)
    }

    /// Answers one whole text.
    fn answer(
        &mut self,
        pairs: &[Pair<'_>],
        request: &LoginRequest,
        (limits, entropy): (&Limits, &[u8; ENTROPY_BYTES]),
        policy: &dyn Policy,
    ) -> Result<(), Refusal> {
        let answered = self.negotiation.answer(pairs, &mut self.outgoing);
        // Keys for the first connection of a session only: the initiator is rather to be told that
        // there is no such session, if that is so.
        let is_misplaced = matches!(answered, Err(NegotiationError::NotHere(_)));
        let answered = answered.map_err(|error| initiator_error(error.to_string()));
        if !(is_misplaced && self.first.tsih != 0) {
            answered.clone()?;
        }
        if self.who.is_none() {
            self.introduce(policy)?;
        }
        if self.is_orphan && self.phase == Phase::Operational {
            let status = LoginStatus::SessionDoesNotExist;
            return Err(Refusal::new(status, "no session of this TSIH"));
        }
        answered?;
        if self.phase == Phase::Security {
            let (transit, algorithms) = (request.transit, &limits.chap_algorithms);
            self.authentication.step(pairs, transit, algorithms, entropy, &mut self.outgoing)?;
        }
        Ok(())
    }

    /// Looks at the names, which the first text has to bring, and asks the policy.
    fn introduce(&mut self, policy: &dyn Policy) -> Result<(), Refusal> {
        let declared = |key| self.negotiation.declared(key);
        let session_type = match declared("SessionType") {
            None | Some("Normal") => SessionType::Normal,
            Some("Discovery") => SessionType::Discovery,
            Some(_) => {
                let status = LoginStatus::SessionTypeNotSupported;
                return Err(Refusal::new(status, "SessionType is neither Normal nor Discovery"));
            }
        };
        let names = Names {
            initiator_name: declared("InitiatorName")
                .ok_or_else(|| missing("InitiatorName"))?
                .to_owned(),
            target_name: declared("TargetName").map(str::to_owned),
            session_type,
            isid: self.first.isid,
            tsih: self.first.tsih,
            cid: self.first.cid,
        };
        if session_type == SessionType::Normal && names.target_name.is_none() {
            return Err(missing("TargetName"));
        }
        // Kept before the policy is asked: the log shall say who was refused.
        let grant = policy.authorize(self.who.insert(names))?;
        if grant.chap.is_some() && self.phase != Phase::Security {
            return Err(auth::chap_required());
        }
        // 13.9: with the first response that may carry keys, where a target is named.
        if self.negotiation.declared("TargetName").is_some() {
            self.outgoing.pair("TargetPortalGroupTag", grant.target_portal_group_tag);
        }
        if let (SessionType::Normal, Some(alias)) = (session_type, &grant.target_alias) {
            self.outgoing.pair("TargetAlias", alias);
        }
        match &grant.session {
            Some(session) => self.negotiation.join(session),
            None => self.is_orphan = self.first.tsih != 0,
        }
        self.authentication = Authentication::Open(grant.chap);
        Ok(())
    }

    /// Sends what is ready to be sent, and goes to the next stage if both sides are ready.
    fn respond(
        &mut self,
        request: &LoginRequest,
        mut response: LoginResponse,
        command_window: u32,
    ) -> Result<Reply, Refusal> {
        let data = self.outgoing.segment(LOGIN_SEGMENT_BYTES_MAX);
        response.cont = !self.outgoing.is_empty();
        if !request.transit || response.cont || !self.authentication.is_done() {
            return Ok(Reply::Respond(response, data));
        }
        response.transit = true;
        response.nsg = request.nsg;
        if request.nsg == stage::OPERATIONAL {
            self.phase = Phase::Operational;
            self.negotiation.next_stage();
            return Ok(Reply::Respond(response, data));
        }
        let established = Established {
            names: self.who.clone().ok_or_else(|| missing("InitiatorName"))?,
            params: self.negotiation.finish().map_err(|e| initiator_error(e.to_string()))?,
            cmd_sn: request.cmd_sn,
            stat_sn: response.stat_sn.wrapping_add(1),
        };
        Ok(Reply::Complete(Box::new(Complete { command_window, response, data, established })))
    }
}

/// Stage codes (RFC 7143 11.12.3).
mod stage {
    pub(super) const SECURITY: u8 = 0;
    pub(super) const OPERATIONAL: u8 = 1;
    pub(super) const FULL_FEATURE: u8 = 3;
}

/// The rules that a header can break by itself (RFC 7143 6.3 and 11.12).
fn check_header(request: &LoginRequest) -> Result<(), Refusal> {
    if request.version_min > 0 {
        return Err(Refusal::new(LoginStatus::UnsupportedVersion, "only version 0 is spoken"));
    }
    if request.transit && request.cont {
        return Err(initiator_error("T and C bits together"));
    }
    let stages = (request.csg, request.nsg);
    let known = matches!(request.csg, stage::SECURITY | stage::OPERATIONAL);
    let transition = matches!(
        stages,
        (stage::SECURITY, stage::OPERATIONAL | stage::FULL_FEATURE)
            | (stage::OPERATIONAL, stage::FULL_FEATURE)
    );
    if !known || (request.transit && !transition) {
        return Err(initiator_error("no such stage or transition"));
    }
    Ok(())
}

/// A response to `request` that says nothing yet.
fn response(request: &LoginRequest, stat_sn: u32, limits: &Limits) -> LoginResponse {
    LoginResponse {
        transit: false,
        cont: false,
        csg: request.csg,
        nsg: 0,
        version_max: 0,
        version_active: 0,
        isid: request.isid,
        tsih: request.tsih,
        itt: request.itt,
        stat_sn,
        exp_cmd_sn: request.cmd_sn,
        max_cmd_sn: if request.tsih == 0 {
            request.cmd_sn.wrapping_add(limits.command_window.max(1) - 1)
        } else {
            // The session's own are not known here: so that both are ignored (4.2.2.1).
            request.cmd_sn.wrapping_sub(2)
        },
        status_class: 0,
        status_detail: 0,
    }
}

/// Turns a response into a refusal (RFC 7143 11.13.5).
fn fail(mut response: LoginResponse, refusal: Refusal) -> Failure {
    response.transit = false;
    response.cont = false;
    response.csg = 0;
    response.nsg = 0;
    response.status_class = refusal.status().class();
    response.status_detail = refusal.status().detail();
    let mut data = Writer::default();
    if let Some(address) = refusal.address() {
        data.pair("TargetAddress", address);
    }
    Failure { response, data: data.segment(LOGIN_SEGMENT_BYTES_MAX), refusal }
}

fn initiator_error(reason: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(LoginStatus::InitiatorError, reason)
}

fn missing(key: &'static str) -> Refusal {
    Refusal::new(LoginStatus::MissingParameter, format!("the first request has no {key}"))
}
