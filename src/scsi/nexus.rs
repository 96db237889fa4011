//! I_T nexuses.

use super::attention::Attentions;
use super::copies::Copies;
use super::sense::Asc;

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
}

/// An established I_T nexus, from [`super::Device::attach`].
#[derive(Debug)]
pub struct Nexus {
    /// Unique within the device, never used again.
    pub(super) id: u64,
    pub(super) spec: NexusSpec,
    /// By the index of the logical unit in the device.
    pub(super) attentions: Box<[Attentions]>,
    /// What RECEIVE COPY RESULTS tells.
    pub(super) copies: Copies,
}

impl Nexus {
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
    pub(super) fn asynchronous_event(&self, unit: usize) -> Option<[u8; 3]> {
        const ONE: u8 = 1 << 4;
        const MORE: u8 = 2 << 4;
        const UNIT_ATTENTION: u8 = 6;
        let (asc, count) = self.attentions.get(unit)?.peek()?;
        let [asc, ascq] = asc.0.to_be_bytes();
        Some([if count > 1 { MORE } else { ONE } | UNIT_ATTENTION, asc, ascq])
    }

    /// The oldest unit attention condition for a logical unit, which is then cleared.
    pub(super) fn take_attention(&self, unit: usize) -> Option<Asc> {
        self.attentions.get(unit)?.take()
    }

    pub(super) fn establish(&self, unit: usize, asc: Asc) {
        if let Some(attentions) = self.attentions.get(unit) {
            attentions.establish(asc);
        }
    }
}
