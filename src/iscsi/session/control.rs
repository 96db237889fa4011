//! Pings, logout and Reject (RFC 7143 11.14, 11.15, 11.17 to 11.19).

use super::{CloseReason, Session};
use crate::iscsi::login::SessionType;
use crate::iscsi::pdu::{
    LogoutRequest, LogoutResponse, NopIn, NopOut, RESERVED_TAG, Reject, RejectReason,
};

/// Where the target is with pings of its own.
#[derive(Debug, Default)]
pub(super) struct Ping {
    /// The initiator has sent a ping of its own, so it knows what they are. Boot firmware may
    /// not: iPXE gives the session up at any PDU that it does not know.
    pub(super) peer_pings: bool,
    /// The transfer tag of the ping that is not answered yet.
    outstanding: Option<u32>,
}

impl<D: Clone> Session<D> {
    pub(super) fn nop_out(&mut self, nop: &NopOut, mut data: Vec<u8>) {
        if nop.ttt != RESERVED_TAG && self.connection.ping.outstanding == Some(nop.ttt) {
            self.connection.ping.outstanding = None;
        }
        if nop.itt == RESERVED_TAG {
            return;
        }
        self.connection.ping.peer_pings = true;
        data.truncate(self.connection.params.initiator_max_recv_data_segment_length as usize);
        let pdu = NopIn { lun: 0, itt: nop.itt, ttt: RESERVED_TAG, numbers: self.take_numbers() };
        self.send_counted(&pdu, data);
    }

    /// A ping is on its way and not answered.
    #[must_use]
    pub fn awaits_ping(&self) -> bool {
        self.connection.ping.outstanding.is_some()
    }

    /// To be called when nothing has arrived for the ping interval, or the ping timeout while
    /// [`Self::awaits_ping`]: pings the initiator, if it is one that knows pings, or closes the
    /// session if it has not answered.
    pub fn idle(&mut self) {
        if !self.connection.ping.peer_pings || self.connection.closing {
            return;
        }
        if self.connection.ping.outstanding.is_some() {
            return self.fail(CloseReason::PingTimeout);
        }
        self.ping_unless_outstanding();
    }

    /// Pings an initiator that knows pings, if it has answered the last.
    pub(super) fn ping_unless_outstanding(&mut self) {
        if self.connection.ping.peer_pings {
            self.ask_for_answer();
        }
    }

    /// Pings the initiator if it has answered the last.
    pub(super) fn ask_for_answer(&mut self) {
        if self.connection.ping.outstanding.is_some() {
            return;
        }
        let ttt = self.take_ttt();
        self.connection.ping.outstanding = Some(ttt);
        let pdu = NopIn { lun: 0, itt: RESERVED_TAG, ttt, numbers: self.numbers() };
        self.send(&pdu);
    }

    /// Tells an initiator that knows pings of a command window that has opened, if no other PDU
    /// does (RFC 7143 11.4.11); the response to a task management function will, and others learn
    /// of it from their next answer.
    pub(super) fn tell_window(&mut self) {
        let is_told = self.told_max_cmd_sn == self.window.max_cmd_sn();
        let will_be_told = is_told || !self.management.is_empty();
        let is_discovery = self.session_type == SessionType::Discovery;
        if will_be_told
            || self.connection.closing
            || is_discovery
            || !self.connection.ping.peer_pings
        {
            return;
        }
        let numbers = self.numbers();
        self.send(&NopIn { lun: 0, itt: RESERVED_TAG, ttt: RESERVED_TAG, numbers });
    }

    /// A header digest was wrong.
    pub fn header_digest_error(&mut self) {
        self.fail(CloseReason::HeaderDigest);
    }

    pub(super) fn logout(&mut self, logout: &LogoutRequest) -> Result<(), RejectReason> {
        /// Values of the response field (RFC 7143 11.15.1).
        const CLOSED: u8 = 0;
        const NO_SUCH_CID: u8 = 1;
        const NO_RECOVERY: u8 = 2;
        let response = match logout.reason {
            0 => CLOSED,
            _ if self.session_type == SessionType::Discovery => NO_RECOVERY,
            1 if self.open_connections().any(|cid| cid == logout.cid) => CLOSED,
            1 => NO_SUCH_CID,
            2 => NO_RECOVERY,
            _ => return Err(RejectReason::InvalidField),
        };
        let is_own = logout.reason == 0 || logout.cid == self.connection.cid;
        if response == CLOSED {
            // What has not been answered by now is not answered any more (RFC 7143 11.14).
            match logout.reason {
                0 => _ = self.abort(None),
                _ => self.end_tasks_of_cid(logout.cid),
            }
        }
        let pdu = LogoutResponse {
            response,
            itt: logout.itt,
            numbers: self.take_numbers(),
            time2wait: self.connection.params.default_time2wait,
            time2retain: 0,
        };
        self.send_counted(&pdu, Vec::new());
        match response {
            CLOSED if logout.reason == 0 => self.close_all(CloseReason::Logout),
            CLOSED if is_own => self.close(CloseReason::Logout),
            _ => {}
        }
        Ok(())
    }

    /// Rejects a PDU of this header (RFC 7143 11.17).
    pub(super) fn reject(&mut self, reason: RejectReason, header: Vec<u8>) {
        self.reject_numbered(reason, 0, header);
    }

    /// The same; `data_sn` is the next DataSN or R2TSN, for a protocol error of a SNACK (11.17.2).
    pub(super) fn reject_numbered(
        &mut self,
        reason: RejectReason,
        data_sn: u32,
        mut header: Vec<u8>,
    ) {
        header.truncate(self.connection.params.initiator_max_recv_data_segment_length as usize);
        let pdu = Reject { reason, numbers: self.take_numbers(), data_sn };
        self.send_counted(&pdu, header);
    }
}
