//! Sense data (SPC-4 4.5), and the one table from block errors to it.

use super::outcome::{Refusal, Status};
use crate::block::{Error, ErrorKind};

/// Sense keys (SPC-4 table 41).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SenseKey {
    /// Nothing to report.
    NoSense = 0x0,
    /// The logical unit cannot be accessed.
    NotReady = 0x2,
    /// The medium has a flaw.
    MediumError = 0x3,
    /// The logical unit failed.
    HardwareError = 0x4,
    /// The command or its parameters are wrong.
    IllegalRequest = 0x5,
    /// Something has changed since the last command.
    UnitAttention = 0x6,
    /// Writing is not allowed.
    DataProtect = 0x7,
    /// The copy manager gave up a copy.
    CopyAborted = 0xa,
    /// The command was given up; the initiator may try again.
    AbortedCommand = 0xb,
    /// Data differ.
    Miscompare = 0xe,
}

/// Additional sense code and qualifier (SPC-4 annex D), the code in the high byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asc(pub u16);

#[allow(missing_docs, reason = "the names are the standard's")]
impl Asc {
    pub const NONE: Self = Self(0x0000);
    pub const OPERATION_IN_PROGRESS: Self = Self(0x0016);
    pub const BECOMING_READY: Self = Self(0x0401);
    pub const INITIALIZING_COMMAND_REQUIRED: Self = Self(0x0402);
    pub const FORMAT_IN_PROGRESS: Self = Self(0x0404);
    pub const ASYMMETRIC_ACCESS_TRANSITION: Self = Self(0x040a);
    pub const SANITIZE_IN_PROGRESS: Self = Self(0x041b);
    pub const UNREACHABLE_COPY_TARGET: Self = Self(0x0804);
    pub const WRITE_ERROR: Self = Self(0x0c00);
    pub const THIRD_PARTY_DEVICE_FAILURE: Self = Self(0x0d01);
    pub const COPY_TARGET_NOT_REACHABLE: Self = Self(0x0d02);
    pub const INCORRECT_COPY_TARGET_TYPE: Self = Self(0x0d03);
    pub const INVALID_FIELD_IN_INFORMATION_UNIT: Self = Self(0x0e03);
    pub const UNRECOVERED_READ_ERROR: Self = Self(0x1100);
    pub const PARAMETER_LIST_LENGTH_ERROR: Self = Self(0x1a00);
    pub const MISCOMPARE_DURING_VERIFY: Self = Self(0x1d00);
    pub const INVALID_OPCODE: Self = Self(0x2000);
    pub const LBA_OUT_OF_RANGE: Self = Self(0x2100);
    pub const INVALID_FIELD_IN_CDB: Self = Self(0x2400);
    pub const LUN_NOT_SUPPORTED: Self = Self(0x2500);
    pub const INVALID_FIELD_IN_PARAMETER_LIST: Self = Self(0x2600);
    pub const INVALID_RELEASE_OF_RESERVATION: Self = Self(0x2604);
    pub const TOO_MANY_TARGET_DESCRIPTORS: Self = Self(0x2606);
    pub const UNSUPPORTED_TARGET_DESCRIPTOR_TYPE: Self = Self(0x2607);
    pub const TOO_MANY_SEGMENT_DESCRIPTORS: Self = Self(0x2608);
    pub const UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE: Self = Self(0x2609);
    pub const UNEXPECTED_INEXACT_SEGMENT: Self = Self(0x260a);
    pub const INLINE_DATA_LENGTH_EXCEEDED: Self = Self(0x260b);
    pub const COPY_SEGMENT_GRANULARITY_VIOLATION: Self = Self(0x260d);
    pub const WRITE_PROTECTED: Self = Self(0x2700);
    pub const SOFTWARE_WRITE_PROTECTED: Self = Self(0x2702);
    pub const SPACE_ALLOCATION_FAILED: Self = Self(0x2707);
    pub const POWER_ON_OR_RESET: Self = Self(0x2900);
    pub const BUS_DEVICE_RESET: Self = Self(0x2903);
    pub const NEXUS_LOSS: Self = Self(0x2907);
    pub const MODE_PARAMETERS_CHANGED: Self = Self(0x2a01);
    pub const LOG_PARAMETERS_CHANGED: Self = Self(0x2a02);
    pub const RESERVATIONS_PREEMPTED: Self = Self(0x2a03);
    pub const RESERVATIONS_RELEASED: Self = Self(0x2a04);
    pub const REGISTRATIONS_PREEMPTED: Self = Self(0x2a05);
    pub const CAPACITY_CHANGED: Self = Self(0x2a09);
    pub const MEDIUM_FORMAT_CORRUPTED: Self = Self(0x3100);
    pub const FORMAT_COMMAND_FAILED: Self = Self(0x3101);
    pub const SANITIZE_COMMAND_FAILED: Self = Self(0x3103);
    pub const REPORTED_LUNS_CHANGED: Self = Self(0x3f0e);
    pub const SAVING_PARAMETERS_NOT_SUPPORTED: Self = Self(0x3900);
    pub const INTERNAL_TARGET_FAILURE: Self = Self(0x4400);
    /// SOME COMMANDS CLEARED BY ISCSI PROTOCOL EVENT.
    pub const CLEARED_BY_PROTOCOL: Self = Self(0x477f);
    pub const INITIATOR_RESPONSE_TIMEOUT: Self = Self(0x4b06);
    pub const INSUFFICIENT_REGISTRATION_RESOURCES: Self = Self(0x5504);
}

/// Where the wrong field is (SPC-4 4.5.2.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldPointer {
    /// In the CDB, otherwise in the parameter list.
    pub in_cdb: bool,
    /// Byte of the field.
    pub byte: u16,
    /// Highest bit of the field, if it is less than a byte.
    pub bit: Option<u8>,
}

/// How sense data go over the wire; set by D_SENSE of the control mode page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SenseFormat {
    /// Response code 70h.
    #[default]
    Fixed,
    /// Response code 72h.
    Descriptor,
}

/// Sense data before they are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sense {
    /// What kind of trouble.
    pub key: SenseKey,
    /// Which trouble.
    pub asc: Asc,
    /// The INFORMATION field.
    pub information: Option<u64>,
    /// The COMMAND-SPECIFIC INFORMATION field.
    pub command_specific: Option<u64>,
    /// For ILLEGAL REQUEST: the field that is wrong.
    pub field: Option<FieldPointer>,
    /// How far what is under way is, in units of 1/65536.
    pub progress: Option<u16>,
    /// How it is encoded.
    pub format: SenseFormat,
}

impl Sense {
    /// Sense data without INFORMATION and field pointer, in fixed format.
    #[must_use]
    pub fn new(key: SenseKey, asc: Asc) -> Self {
        Self {
            key,
            asc,
            information: None,
            command_specific: None,
            field: None,
            progress: None,
            format: SenseFormat::Fixed,
        }
    }

    /// ILLEGAL REQUEST.
    #[must_use]
    pub fn illegal(asc: Asc) -> Self {
        Self::new(SenseKey::IllegalRequest, asc)
    }

    /// INVALID FIELD IN CDB at `byte`; `bit` is the field's highest, if it is less than a byte.
    pub(super) fn cdb_field(byte: u16, bit: Option<u8>) -> Self {
        let field = Some(FieldPointer { in_cdb: true, byte, bit });
        Self { field, ..Self::illegal(Asc::INVALID_FIELD_IN_CDB) }
    }

    /// INVALID FIELD IN PARAMETER LIST at `byte`.
    pub(super) fn parameter(byte: usize, bit: Option<u8>) -> Self {
        let field = u16::try_from(byte).ok().map(|byte| FieldPointer { in_cdb: false, byte, bit });
        Self { field, ..Self::illegal(Asc::INVALID_FIELD_IN_PARAMETER_LIST) }
    }

    /// The data differ at byte `offset` of what was compared.
    pub(super) fn miscompare(offset: u64) -> Self {
        let information = Some(offset);
        Self { information, ..Self::new(SenseKey::Miscompare, Asc::MISCOMPARE_DURING_VERIFY) }
    }

    /// The sense data as they go over the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self.format {
            SenseFormat::Fixed => self.encode_fixed(),
            SenseFormat::Descriptor => self.encode_descriptor(),
        }
    }

    /// SPC-4 4.5.3.
    fn encode_fixed(&self) -> Vec<u8> {
        let mut out = vec![0; 18];
        out[0] = 0x70;
        out[2] = self.key as u8;
        // A value that does not fit leaves VALID at 0 (SPC-4 4.5.3).
        if let Some(Ok(information)) = self.information.map(u32::try_from) {
            out[0] |= 0x80;
            out[3..7].copy_from_slice(&information.to_be_bytes());
        }
        out[7] = 10;
        // The low half, where all that is in use has its place.
        let command_specific = self.command_specific.unwrap_or(0) as u32;
        out[8..12].copy_from_slice(&command_specific.to_be_bytes());
        out[12..14].copy_from_slice(&self.asc.0.to_be_bytes());
        if let Some(specific) = self.key_specific() {
            out[15..18].copy_from_slice(&specific);
        }
        out
    }

    /// SPC-4 4.5.2.
    fn encode_descriptor(&self) -> Vec<u8> {
        let [asc, ascq] = self.asc.0.to_be_bytes();
        let mut out = vec![0x72, self.key as u8, asc, ascq, 0, 0, 0, 0];
        if let Some(information) = self.information {
            out.extend_from_slice(&[0x00, 0x0a, 0x80, 0]);
            out.extend_from_slice(&information.to_be_bytes());
        }
        if let Some(command_specific) = self.command_specific {
            out.extend_from_slice(&[0x01, 0x0a, 0, 0]);
            out.extend_from_slice(&command_specific.to_be_bytes());
        }
        if let Some(specific) = self.key_specific() {
            out.extend_from_slice(&[0x02, 0x06, 0, 0]);
            out.extend_from_slice(&specific);
            out.push(0);
        }
        out[7] = (out.len() - 8) as u8;
        out
    }

    /// The three sense-key-specific bytes, if any (SPC-4 4.5.2.4): SKSV, and a field pointer or
    /// a progress indication.
    fn key_specific(&self) -> Option<[u8; 3]> {
        let progress = self.progress.map(|progress| {
            let [high, low] = progress.to_be_bytes();
            [0x80, high, low]
        });
        self.field.map(FieldPointer::encode).or(progress)
    }
}

impl FieldPointer {
    /// The three sense-key-specific bytes: SKSV, C/D, BPV, bit pointer, field pointer.
    fn encode(self) -> [u8; 3] {
        let bit = self.bit.map_or(0, |bit| 0x08 | (bit & 0x07));
        let [high, low] = self.byte.to_be_bytes();
        [0x80 | if self.in_cdb { 0x40 } else { 0 } | bit, high, low]
    }
}

/// Which way data went when a block operation failed: a bad medium reads and writes differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// What the initiator hears of a failed block operation.
///
/// A volume that is fenced belongs to another gateway now: NOT READY, ASYMMETRIC ACCESS STATE
/// TRANSITION makes a multipath initiator try its other path, and no initiator takes it for an
/// error of the medium. What may heal by itself is BUSY, which initiators retry for long.
pub(super) fn of_block_error(error: &Error, access: Access) -> Refusal {
    use SenseKey as Key;
    let (key, asc) = match error.kind() {
        ErrorKind::OutOfRange => (Key::IllegalRequest, Asc::LBA_OUT_OF_RANGE),
        ErrorKind::NoSpace => (Key::DataProtect, Asc::SPACE_ALLOCATION_FAILED),
        ErrorKind::ReadOnly => (Key::DataProtect, Asc::WRITE_PROTECTED),
        ErrorKind::Fenced => (Key::NotReady, Asc::ASYMMETRIC_ACCESS_TRANSITION),
        ErrorKind::TimedOut | ErrorKind::Unavailable => return Refusal::Status(Status::Busy),
        ErrorKind::Miscompare { offset } => return Sense::miscompare(offset).into(),
        ErrorKind::Unsupported => (Key::IllegalRequest, Asc::INVALID_OPCODE),
        ErrorKind::Gone => (Key::HardwareError, Asc::INTERNAL_TARGET_FAILURE),
        ErrorKind::Medium => match access {
            Access::Read => (Key::MediumError, Asc::UNRECOVERED_READ_ERROR),
            Access::Write => (Key::MediumError, Asc::WRITE_ERROR),
        },
    };
    Sense::new(key, asc).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_format_carries_information_and_the_field_pointer() {
        let sense = Sense { information: Some(0x1234), ..Sense::cdb_field(7, Some(5)) };
        let wanted = [0xf0, 0, 5, 0, 0, 0x12, 0x34, 10, 0, 0, 0, 0, 0x24, 0, 0, 0xcd, 0, 7];
        assert_eq!(sense.encode(), wanted);
        let wide = Sense { information: Some(1 << 40), ..sense };
        assert_eq!(wide.encode()[0], 0x70, "what does not fit is not valid");
    }

    #[test]
    fn descriptor_format_carries_the_same() {
        let sense = Sense {
            information: Some(1 << 40),
            format: SenseFormat::Descriptor,
            ..Sense::parameter(0x102, None)
        };
        let mut wanted = vec![0x72, 5, 0x26, 0, 0, 0, 0, 20];
        wanted.extend_from_slice(&[0, 0x0a, 0x80, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
        wanted.extend_from_slice(&[2, 6, 0, 0, 0x80, 1, 2, 0]);
        assert_eq!(sense.encode(), wanted);
    }

    #[test]
    fn a_bad_medium_depends_on_the_direction() {
        let error = Error::from(ErrorKind::Medium);
        let asc = |access| match of_block_error(&error, access) {
            Refusal::Check(sense) => sense.asc,
            Refusal::Status(_) => Asc::NONE,
        };
        assert_eq!(asc(Access::Read), Asc::UNRECOVERED_READ_ERROR);
        assert_eq!(asc(Access::Write), Asc::WRITE_ERROR);
    }

    #[test]
    fn every_kind_of_failure_has_its_sense_data() {
        use SenseKey as Key;
        let wanted = [
            (ErrorKind::OutOfRange, Key::IllegalRequest, Asc::LBA_OUT_OF_RANGE),
            (ErrorKind::NoSpace, Key::DataProtect, Asc::SPACE_ALLOCATION_FAILED),
            (ErrorKind::ReadOnly, Key::DataProtect, Asc::WRITE_PROTECTED),
            (ErrorKind::Fenced, Key::NotReady, Asc::ASYMMETRIC_ACCESS_TRANSITION),
            (ErrorKind::Miscompare { offset: 3 }, Key::Miscompare, Asc::MISCOMPARE_DURING_VERIFY),
            (ErrorKind::Unsupported, Key::IllegalRequest, Asc::INVALID_OPCODE),
            (ErrorKind::Gone, Key::HardwareError, Asc::INTERNAL_TARGET_FAILURE),
        ];
        for (kind, key, asc) in wanted {
            for access in [Access::Read, Access::Write] {
                let refusal = of_block_error(&kind.into(), access);
                let Refusal::Check(sense) = refusal else { panic!("{kind:?}: {refusal:?}") };
                assert_eq!((sense.key, sense.asc), (key, asc), "{kind:?}");
            }
        }
    }

    #[test]
    fn what_may_heal_is_busy() {
        for kind in [ErrorKind::TimedOut, ErrorKind::Unavailable] {
            let refusal = of_block_error(&kind.into(), Access::Read);
            assert_eq!(refusal, Refusal::Status(Status::Busy));
        }
    }
}
