//! Text requests in the full feature phase: SendTargets and negotiation (RFC 7143 6.4, 11.10,
//! 11.11, 13.3).

use super::{Event, Session};
use crate::iscsi::login::{Negotiation, SessionType};
use crate::iscsi::pdu::{RESERVED_TAG, RejectReason, TextRequest, TextResponse};
use crate::iscsi::text::{self, Assembler, Writer};

/// Which targets the initiator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoveryScope {
    /// All that it may log in to.
    All,
    /// The one of this name, if it may log in to it.
    Named(String),
}

/// A text request and its answer, which may both take several PDUs.
#[derive(Debug)]
pub(super) struct TextExchange {
    itt: u32,
    /// The tag with which the initiator goes on.
    ttt: u32,
    request: Assembler,
    negotiation: Negotiation,
    answer: Writer,
    /// The driver has been asked for the targets.
    waits_for_targets: bool,
    /// F of the last request.
    peer_final: bool,
}

impl<D: Clone> Session<D> {
    /// An error ends the exchange that went on, but for a request that comes too early.
    pub(super) fn text_request(
        &mut self,
        pdu: &TextRequest,
        data: &[u8],
    ) -> Result<(), RejectReason> {
        if self.connection.text.as_ref().is_some_and(|exchange| exchange.waits_for_targets) {
            // The driver makes one list at a time.
            return Err(RejectReason::ProtocolError);
        }
        let exchange = self.connection.text.take();
        if pdu.is_final && pdu.cont {
            return Err(RejectReason::ProtocolError);
        }
        let mut exchange = match exchange {
            // A new request resets an exchange that was not finished (RFC 7143 6.4).
            _ if pdu.ttt == RESERVED_TAG => TextExchange {
                itt: pdu.itt,
                ttt: self.take_ttt(),
                request: Assembler::default(),
                negotiation: Negotiation::full_feature(
                    self.login_limits.clone(),
                    &self.connection.params,
                    self.session_type == SessionType::Discovery,
                ),
                answer: Writer::default(),
                waits_for_targets: false,
                peer_final: false,
            },
            Some(exchange) if exchange.ttt == pdu.ttt && exchange.itt == pdu.itt => exchange,
            _ => return Err(RejectReason::ProtocolError),
        };
        exchange.peer_final = pdu.is_final;
        let whole = exchange.request.push(data, pdu.cont);
        let whole = whole.map_err(|_| RejectReason::LongOperation)?;
        if let Some(request) = whole.filter(|request| !request.is_empty()) {
            self.answer_text(&mut exchange, &request)?;
        }
        let waits = exchange.waits_for_targets;
        self.connection.text = Some(exchange);
        if !waits {
            self.send_text();
        }
        Ok(())
    }

    /// The list that [`Event::SendTargets`] asked for: target names with their addresses
    /// (`address:port,portal-group-tag`).
    pub fn send_targets(&mut self, targets: &[(String, Vec<String>)]) {
        let mut all = std::iter::once(&self.connection).chain(&self.others);
        let waits = |text: &TextExchange| text.waits_for_targets;
        let waiting = all.find(|connection| connection.text.as_ref().is_some_and(waits));
        if let Some(id) = waiting.map(|connection| connection.id) {
            self.on(id, |session| session.answer_targets(targets));
        }
    }

    fn answer_targets(&mut self, targets: &[(String, Vec<String>)]) {
        let Some(exchange) = self.connection.text.as_mut() else { return };
        exchange.waits_for_targets = false;
        for (name, addresses) in targets {
            exchange.answer.pair("TargetName", name);
            for address in addresses {
                exchange.answer.pair("TargetAddress", address);
            }
        }
        self.send_text();
    }

    /// Works out the answer to a whole text.
    fn answer_text(
        &mut self,
        exchange: &mut TextExchange,
        request: &[u8],
    ) -> Result<(), RejectReason> {
        let failed = |_| RejectReason::ProtocolError;
        let pairs = text::parse(request).map_err(|_| RejectReason::ProtocolError)?;
        exchange.negotiation.answer(&pairs, &mut exchange.answer).map_err(failed)?;
        exchange.negotiation.finish().map_err(failed)?;
        if let Some(value) = text::find(&pairs, "SendTargets")
            && let Some(scope) = self.discovery_scope(value)?
        {
            exchange.waits_for_targets = true;
            self.events.push_back(Event::SendTargets(scope));
        }
        Ok(())
    }

    /// Which targets a value of SendTargets means in this session, if any (RFC 7143 13.3 and
    /// appendix C).
    fn discovery_scope(&self, value: &str) -> Result<Option<DiscoveryScope>, RejectReason> {
        let own = self.target_name.as_deref().unwrap_or_default();
        match (self.session_type, value) {
            (SessionType::Discovery, "All") => Ok(Some(DiscoveryScope::All)),
            (SessionType::Discovery, "") | (SessionType::Normal, "All") => {
                Err(RejectReason::ProtocolError)
            }
            (SessionType::Discovery, name) => Ok(Some(DiscoveryScope::Named(name.to_owned()))),
            // About other targets a normal session learns nothing.
            (SessionType::Normal, name) => {
                let is_own = name.is_empty() || name.eq_ignore_ascii_case(own);
                Ok(is_own.then(|| DiscoveryScope::Named(own.to_owned())))
            }
        }
    }

    /// Sends the next part of the answer.
    fn send_text(&mut self) {
        let limit = self.connection.params.initiator_max_recv_data_segment_length as usize;
        let Some(mut exchange) = self.connection.text.take() else { return };
        let segment = exchange.answer.segment(limit);
        let cont = !exchange.answer.is_empty();
        let is_final = exchange.peer_final && !cont;
        let pdu = TextResponse {
            is_final,
            cont,
            lun: 0,
            itt: exchange.itt,
            ttt: if is_final { RESERVED_TAG } else { exchange.ttt },
            numbers: self.take_numbers(),
        };
        if !is_final {
            self.connection.text = Some(exchange);
        } else if let Ok(params) = exchange.negotiation.finish() {
            // Only now: of a negotiation that fails later on, nothing holds (RFC 7143 7.12).
            self.connection.params = params;
        }
        self.send_counted(&pdu, segment);
    }
}
