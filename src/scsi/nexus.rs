//! I_T nexuses.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::attention::Attentions;
use super::copies::Copies;
use super::lun::LogicalUnit;
use super::sense::Asc;
use super::statistics::{Counter, Counters};
use super::task::Plan;

/// Who talks to whom: what the transport knows when a session is established.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NexusSpec {
    /// iSCSI name of the initiator node.
    pub initiator_name: String,
    /// SCSI initiator port name (RFC 7143 4.2.7, `<initiator name>,i,0x<ISID>`): persistent
    /// registrations belong to it.
    pub initiator_port: String,
    /// Relative target port identifier: the portal group tag.
    pub target_port: u16,
    /// The relative identifiers of all target ports of the device, this one among them.
    pub target_ports: Vec<u16>,
    /// iSCSIProtocolLevel of the session (RFC 7144 7.1.1): the version of iSCSI in INQUIRY, and which
    /// task management functions there are.
    pub protocol_level: u16,
}

impl NexusSpec {
    /// Of the same initiator; iSCSI names compare in lower case (RFC 7143 4.2.7.1).
    pub(super) fn is_same_node(&self, other: &Self) -> bool {
        self.initiator_name.eq_ignore_ascii_case(&other.initiator_name)
    }

    /// The same two ports, and so the same nexus when it is there again.
    pub(super) fn is_same_nexus(&self, other: &Self) -> bool {
        (&self.initiator_port, self.target_port) == (&other.initiator_port, other.target_port)
    }
}

/// An established I_T nexus, from [`super::Device::attach`].
pub struct Nexus {
    /// Unique within the device, never used again.
    pub(super) id: u64,
    pub(super) spec: NexusSpec,
    /// What RECEIVE COPY RESULTS tells.
    pub(super) copies: Copies,
    view: ArcSwap<View>,
    /// Of the REPORT LUNS well-known logical unit.
    pub(super) well_known: Attentions,
}

/// The logical units that a nexus sees, with what it has still to hear of each. Replaced as a
/// whole when logical units come or go: a command looks at one view from its begin to its end.
pub(super) struct View {
    /// Ascending by number.
    pub(super) seen: Vec<Seen>,
}

/// A logical unit as one nexus sees it.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) unit: Arc<LogicalUnit>,
    pub(super) attentions: Arc<Attentions>,
    pub(super) counters: Arc<Counters>,
}

impl Seen {
    pub(super) fn new(unit: &Arc<LogicalUnit>, attentions: Arc<Attentions>) -> Self {
        Self { unit: Arc::clone(unit), attentions, counters: Arc::default() }
    }

    /// Counts a command that goes on.
    pub(super) fn count(&self, plan: &Plan) {
        let (commands, bytes, len) = match plan {
            Plan::Read(range) => (Counter::Reads, Counter::BytesRead, range.len),
            Plan::Write { range, .. } => (Counter::Writes, Counter::BytesWritten, range.len),
            _ => return,
        };
        self.counters.add(commands, 1);
        self.counters.add(bytes, len);
    }
}

impl View {
    pub(super) fn find(&self, number: u16) -> Option<&Seen> {
        let at = self.seen.binary_search_by_key(&number, |seen| seen.unit.number).ok()?;
        self.seen.get(at)
    }
}

impl Nexus {
    pub(super) fn new(id: u64, spec: NexusSpec, view: View) -> Self {
        let well_known = Attentions::of(vec![Asc::POWER_ON_OR_RESET]);
        let copies = Copies::default();
        Self { id, spec, copies, view: ArcSwap::from_pointee(view), well_known }
    }

    /// Its number: unique within the device, never used again.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What it was established with.
    #[must_use]
    pub fn spec(&self) -> &NexusSpec {
        &self.spec
    }

    /// What QUERY ASYNCHRONOUS EVENT tells of the unit attention conditions for a logical unit
    /// (SAM-5 7.10): whether there is more than one, sense key, ASC and ASCQ of the oldest.
    pub(super) fn asynchronous_event(&self, unit: &LogicalUnit) -> Option<[u8; 3]> {
        const ONE: u8 = 1 << 4;
        const MORE: u8 = 2 << 4;
        const UNIT_ATTENTION: u8 = 6;
        let view = self.view();
        let seen = view.find(unit.number).filter(|seen| seen.unit.id == unit.id)?;
        let (asc, count) = seen.attentions.peek()?;
        let [asc, ascq] = asc.0.to_be_bytes();
        Some([if count > 1 { MORE } else { ONE } | UNIT_ATTENTION, asc, ascq])
    }

    pub(super) fn view(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    pub(super) fn set_view(&self, view: View) {
        self.view.store(Arc::new(view));
    }

    /// A unit attention condition of one logical unit, if the nexus sees it.
    pub(super) fn establish(&self, unit: &LogicalUnit, asc: Asc) {
        let view = self.view();
        if let Some(seen) = view.find(unit.number).filter(|seen| seen.unit.id == unit.id) {
            seen.attentions.establish(asc);
        }
    }

    /// A unit attention condition of every logical unit, the well-known one too.
    pub(super) fn establish_all(&self, asc: Asc) {
        self.view().seen.iter().for_each(|seen| seen.attentions.establish(asc));
        self.well_known.establish(asc);
    }

    /// Clears a condition of every logical unit without reporting it.
    pub(super) fn clear_all(&self, asc: Asc) {
        self.view().seen.iter().for_each(|seen| seen.attentions.clear(asc));
        self.well_known.clear(asc);
    }
}

impl fmt::Debug for Nexus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nexus").field("id", &self.id).field("spec", &self.spec).finish()
    }
}
