//! The session core against what RFC 7143 says, one PDU at a time.

mod commands;
mod connections;
mod control;
mod edges;
mod management;
mod model;
mod properties;
mod recovery;
mod transfers;

use super::*;
use crate::iscsi::login::Names;
use crate::iscsi::pdu::frame::{Lengths, set_data_length};
use crate::iscsi::pdu::{
    DataIn, DataOut, NopIn, NopOut, Opcode, R2t, RESERVED_TAG, Reject, RejectReason, ScsiCommand,
    ScsiResponse, TaskManagementRequest, TaskManagementResponse,
};

/// Mistakes that a session makes on purpose, for the model to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// The credit of a write does not come back.
    LosesCredit,
    /// An R2T asks for four bytes that were there or asked for already.
    R2tOverlap,
    /// A write has all its bytes as residual.
    Residual,
    /// An aborted task is answered when it ends.
    AnswersAborted,
}

impl Bug {
    const ALL: [Self; 4] =
        [Self::LosesCredit, Self::R2tOverlap, Self::Residual, Self::AnswersAborted];
}

/// CmdSN of the first command.
const FIRST: u32 = 10;
const LUN: u64 = 1 << 48;
/// The connection of the login that makes a session.
const LEADING: ConnectionId = ConnectionId::first();

/// An initiator that has the session in its hands, and plays the driver too.
struct Peer {
    session: Session<&'static str>,
}

fn established(session_type: SessionType, params: SessionParams) -> Established {
    Established {
        names: Names {
            initiator_name: "iqn.2026-11.test:initiator".into(),
            target_name: (session_type == SessionType::Normal).then(|| "iqn.2026-11.test:t".into()),
            session_type,
            isid: [0x80, 0, 0, 0, 0, 1],
            tsih: 0,
            cid: 7,
        },
        params,
        cmd_sn: FIRST,
        stat_sn: 100,
    }
}

/// Parameters as Linux and Stirrup agree on them, but small.
fn params() -> SessionParams {
    SessionParams {
        initiator_max_recv_data_segment_length: 4096,
        target_max_recv_data_segment_length: 8192,
        max_burst_length: 16384,
        first_burst_length: 8192,
        initial_r2t: false,
        immediate_data: true,
        max_outstanding_r2t: 2,
        ..SessionParams::default()
    }
}

fn limits(command_window: u32) -> login::Limits {
    login::Limits { command_window, ..login::Limits::default() }
}

impl Peer {
    fn new() -> Self {
        Self::with(params())
    }

    fn with(params: SessionParams) -> Self {
        let established = established(SessionType::Normal, params);
        Self { session: Session::new(established, Limits::default(), limits(8)) }
    }

    fn discovery() -> Self {
        let established = established(SessionType::Discovery, params());
        Self { session: Session::new(established, Limits::default(), limits(8)) }
    }

    /// Sends a PDU; its data is where the session wants it.
    fn send(&mut self, pdu: &impl Pdu, data: &[u8]) -> Dest {
        self.send_with_digest(pdu, data, true)
    }

    fn send_with_digest(&mut self, pdu: &impl Pdu, data: &[u8], digest_ok: bool) -> Dest {
        let mut bhs = pdu.encode();
        set_data_length(&mut bhs, data.len());
        let dest = self.session.header(&bhs, &[]);
        let collected = if dest == Dest::Collect { data.to_vec() } else { Vec::new() };
        self.session.data(collected, digest_ok);
        dest
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.session.next_event()).collect()
    }

    /// The one command that is offered.
    fn offered(&mut self) -> TaskId {
        match self.events()[..] {
            [Event::Command(id)] => id,
            ref other => panic!("{other:?}"),
        }
    }

    fn sent(&mut self) -> Vec<OutPdu<&'static str>> {
        std::iter::from_fn(|| self.session.next_pdu()).collect()
    }

    /// The one PDU that is sent.
    fn answer<P: Pdu>(&mut self) -> P {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        parse(&sent.remove(0))
    }

    fn silent(&mut self) {
        assert_eq!(self.events(), []);
        assert_eq!(self.sent(), []);
    }
}

fn parse<P: Pdu>(pdu: &OutPdu<&'static str>) -> P {
    assert_eq!(Opcode::of(&pdu.bhs), Some(P::OPCODE));
    P::parse(&pdu.bhs).unwrap()
}

fn data_len<D>(pdu: &OutPdu<D>) -> usize {
    let len = match &pdu.data {
        Payload::None => 0,
        Payload::Bytes(bytes) => bytes.len(),
        Payload::Part { len, .. } => *len as usize,
    };
    assert_eq!(len, Lengths::of(&pdu.bhs, false, false).data);
    len
}

fn read(cmd_sn: u32, expected_length: u32) -> ScsiCommand {
    ScsiCommand {
        immediate: false,
        is_final: true,
        read: true,
        write: false,
        attribute: 1,
        priority: 0,
        lun: LUN,
        itt: cmd_sn.wrapping_add(1000),
        expected_length,
        cmd_sn,
        exp_stat_sn: 0,
        cdb: [0x28; 16],
    }
}

fn write(cmd_sn: u32, expected_length: u32) -> ScsiCommand {
    ScsiCommand { read: false, write: true, ..read(cmd_sn, expected_length) }
}

fn data_out(command: &ScsiCommand, ttt: u32, data_sn: u32, buffer_offset: u32) -> DataOut {
    DataOut {
        is_final: false,
        lun: LUN,
        itt: command.itt,
        ttt,
        exp_stat_sn: 0,
        data_sn,
        buffer_offset,
    }
}

fn last(pdu: DataOut) -> DataOut {
    DataOut { is_final: true, ..pdu }
}

/// CHECK CONDITION without any data.
fn bad<D>() -> Completion<D> {
    let sense = vec![0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x24, 0, 0, 0, 0, 0];
    Completion { status: 2, qualifier: 0, sense, transferred: Transferred::Nothing }
}

/// Sense key, ASC and ASCQ of a CHECK CONDITION.
fn sense_of(pdu: &OutPdu<&'static str>) -> (u8, u8, u8) {
    assert_eq!(parse::<ScsiResponse>(pdu).status, 2);
    let Payload::Bytes(bytes) = &pdu.data else { panic!("{pdu:?}") };
    (bytes[2 + 2], bytes[2 + 12], bytes[2 + 13])
}

const UNEXPECTED_UNSOLICITED: (u8, u8, u8) = (0x0b, 0x0c, 0x0c);
const WRONG_AMOUNT: (u8, u8, u8) = (0x0b, 0x0c, 0x0d);
const DATA_PHASE: (u8, u8, u8) = (0x0b, 0x4b, 0);
const CRC: (u8, u8, u8) = (0x0b, 0x47, 5);

fn good<D>(transferred: Transferred<D>) -> Completion<D> {
    Completion { status: 0, qualifier: 0, sense: Vec::new(), transferred }
}
