//! Logical units: their state, and how they are addressed.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::cdb::Blocks;
use super::exclusive::Exclusive;
use super::reservation::Reservations;
use super::sense::{Asc, Sense, SenseFormat, SenseKey};
use super::statistics::Past;
use crate::block::{SavedState, Usage, VolumeInfo};

/// Largest transfer of one command in bytes (MAXIMUM TRANSFER LENGTH of VPD page B0h): what a
/// command may make this target hold in memory.
pub(super) const TRANSFER_BYTES_MAX: u32 = 16 << 20;
/// Highest logical unit number: flat space addressing has 14 bits (SAM-5 4.7.7.3).
pub const LUN_MAX: u16 = 0x3fff;
/// Most logical blocks of one WRITE SAME (VPD page B0h).
pub(super) const WRITE_SAME_BLOCKS_MAX: u32 = 0x8000;

/// Tells a logical unit from every other that the device has or ever had: a number may come again
/// with another volume behind it, an identifier does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId(pub u64);

/// A logical unit to make.
#[derive(Debug, Clone)]
pub struct LogicalUnitSpec {
    /// By which the caller knows it and its volume again; unique, never used again.
    pub id: UnitId,
    /// Its number, at most [`LUN_MAX`].
    pub number: u16,
    /// What serial number and designators are made from; must be lasting and unique.
    pub identity: String,
    /// Logical block length in bytes: 512 or 4096.
    pub block_bytes: u32,
    /// Writes are refused, even if the volume would take them.
    pub read_only: bool,
    /// The volume as it is now.
    pub info: VolumeInfo,
    /// What the volume has kept of the persistent reservations.
    pub saved_state: SavedState,
}

/// Bits of [`LogicalUnit::flags`].
pub(super) mod flag {
    /// The medium may not be written.
    pub(in crate::scsi) const READ_ONLY: u32 = 1;
    /// SWP of the control mode page is set.
    pub(in crate::scsi) const SOFTWARE_READ_ONLY: u32 = 2;
    /// D_SENSE of the control mode page is set.
    pub(in crate::scsi) const DESCRIPTOR_SENSE: u32 = 4;
    /// Stopped by START STOP UNIT.
    pub(in crate::scsi) const STOPPED: u32 = 8;
    /// There is a reservation of any kind.
    pub(in crate::scsi) const RESERVED: u32 = 16;
    /// SANITIZE or FORMAT UNIT is under way, or has failed.
    pub(in crate::scsi) const EXCLUSIVE: u32 = 32;
}

/// A logical unit, shared by all nexuses. Reads and writes look at two atomics only.
pub(super) struct LogicalUnit {
    pub(super) id: UnitId,
    pub(super) number: u16,
    pub(super) identity: String,
    pub(super) block_bytes: u32,
    read_only: bool,
    blocks: AtomicU64,
    flags: AtomicU32,
    info: RwLock<VolumeInfo>,
    usage: RwLock<Usage>,
    reservations: Mutex<Reservations>,
    past: Mutex<Past>,
    exclusive: Mutex<Exclusive>,
}

/// What changed with a new [`VolumeInfo`], as far as initiators must hear of it.
pub(super) struct Changes {
    pub(super) capacity: bool,
    pub(super) mode: bool,
}

impl LogicalUnit {
    pub(super) fn new(spec: LogicalUnitSpec) -> Self {
        let unit = Self {
            id: spec.id,
            number: spec.number,
            identity: spec.identity,
            block_bytes: spec.block_bytes.max(512),
            read_only: spec.read_only,
            blocks: AtomicU64::new(0),
            flags: AtomicU32::new(0),
            info: RwLock::new(spec.info),
            usage: RwLock::default(),
            past: Mutex::default(),
            reservations: Mutex::new(Reservations::restored(
                &spec.saved_state,
                !spec.info.read_only,
            )),
            exclusive: Mutex::default(),
        };
        unit.apply(spec.info);
        unit.with_reservations(|_restored| ());
        unit
    }

    /// Takes over what the volume says of itself now; `None` if that is nothing new.
    pub(super) fn set_info(&self, info: VolumeInfo) -> Option<Changes> {
        if self.info() == info {
            return None;
        }
        let old = std::mem::replace(&mut *self.info.write(), info);
        self.apply(info);
        let blocks = |info: VolumeInfo| info.size_bytes / u64::from(self.block_bytes);
        Some(Changes {
            capacity: blocks(old) != blocks(info),
            mode: old.read_only != info.read_only || old.write_cache != info.write_cache,
        })
    }

    fn apply(&self, info: VolumeInfo) {
        self.blocks.store(info.size_bytes / u64::from(self.block_bytes), Ordering::Release);
        self.set_flag(flag::READ_ONLY, self.read_only || info.read_only);
    }

    pub(super) fn info(&self) -> VolumeInfo {
        *self.info.read()
    }

    /// What the volume takes in its store, as it was when it was last asked.
    pub(super) fn usage(&self) -> Usage {
        *self.usage.read()
    }

    pub(super) fn set_usage(&self, usage: Usage) {
        *self.usage.write() = usage;
    }

    /// What is kept of its counters.
    pub(super) fn with_past<T>(&self, work: impl FnOnce(&mut Past) -> T) -> T {
        work(&mut self.past.lock())
    }

    /// Capacity in logical blocks.
    pub(super) fn blocks(&self) -> u64 {
        self.blocks.load(Ordering::Acquire)
    }

    /// Capacity in bytes: whole blocks.
    pub(super) fn bytes(&self) -> u64 {
        self.blocks() * u64::from(self.block_bytes)
    }

    pub(super) fn has(&self, flags: u32) -> bool {
        self.flags.load(Ordering::Acquire) & flags != 0
    }

    pub(super) fn set_flag(&self, flags: u32, on: bool) {
        if on {
            self.flags.fetch_or(flags, Ordering::AcqRel);
        } else {
            self.flags.fetch_and(!flags, Ordering::AcqRel);
        }
    }

    pub(super) fn sense_format(&self) -> SenseFormat {
        if self.has(flag::DESCRIPTOR_SENSE) { SenseFormat::Descriptor } else { SenseFormat::Fixed }
    }

    /// Works on the reservations; afterwards every nexus sees at once whether there are any.
    pub(super) fn with_reservations<T>(&self, work: impl FnOnce(&mut Reservations) -> T) -> T {
        let mut reservations = self.reservations.lock();
        let result = work(&mut reservations);
        self.set_flag(flag::RESERVED, reservations.restrict());
        result
    }

    /// What a reset of the logical unit does to its state (SAM-5 6.3.3).
    pub(super) fn reset(&self) {
        self.with_reservations(Reservations::reset);
        self.set_flag(flag::STOPPED | flag::SOFTWARE_READ_ONLY | flag::DESCRIPTOR_SENSE, false);
    }

    /// Looks at, or changes, whether something has the logical unit for itself.
    pub(super) fn with_exclusive<T>(&self, work: impl FnOnce(&mut Exclusive) -> T) -> T {
        let mut exclusive = self.exclusive.lock();
        let result = work(&mut exclusive);
        self.set_flag(flag::EXCLUSIVE, *exclusive != Exclusive::Free);
        result
    }

    /// Started, and at the disposal of all commands; otherwise the sense data that says why not.
    pub(super) fn check_ready(&self) -> Result<(), Sense> {
        if self.has(flag::EXCLUSIVE)
            && let Some(sense) = self.with_exclusive(|state| state.sense())
        {
            return Err(sense);
        }
        self.check_started()
    }

    /// Started; otherwise NOT READY.
    pub(super) fn check_started(&self) -> Result<(), Sense> {
        if self.has(flag::STOPPED) {
            return Err(Sense::new(SenseKey::NotReady, Asc::INITIALIZING_COMMAND_REQUIRED));
        }
        Ok(())
    }

    /// Most blocks of one transfer.
    pub(super) fn transfer_blocks_max(&self) -> u32 {
        TRANSFER_BYTES_MAX / self.block_bytes
    }

    /// Longest COMPARE AND WRITE in blocks; its count is one byte. 0: there is none.
    pub(super) fn compare_and_write_blocks_max(&self) -> u8 {
        let blocks = self.info().max_compare_and_write_bytes / self.block_bytes;
        u8::try_from(blocks).unwrap_or(u8::MAX)
    }

    /// Longest WRITE ATOMIC in blocks. 0: there is none.
    pub(super) fn atomic_write_blocks_max(&self) -> u32 {
        let bytes = self.info().max_atomic_write_bytes.min(TRANSFER_BYTES_MAX);
        bytes / self.block_bytes
    }

    /// Blocks can be given back to the store.
    pub(super) fn has_unmap(&self) -> bool {
        self.info().discard_granularity_bytes > 0
    }

    /// Unless it may be written: DATA PROTECT.
    pub(super) fn check_writable(&self) -> Result<(), Sense> {
        if self.has(flag::READ_ONLY) {
            return Err(Sense::new(SenseKey::DataProtect, Asc::WRITE_PROTECTED));
        }
        if self.has(flag::SOFTWARE_READ_ONLY) {
            return Err(Sense::new(SenseKey::DataProtect, Asc::SOFTWARE_WRITE_PROTECTED));
        }
        Ok(())
    }

    /// The blocks exist: first and last of them. An empty range must begin on the medium, too.
    pub(super) fn check_range(&self, blocks: Blocks) -> Result<(), Sense> {
        let capacity = self.blocks();
        let fits = blocks.lba < capacity && blocks.count <= capacity - blocks.lba;
        if fits { Ok(()) } else { Err(Sense::illegal(Asc::LBA_OUT_OF_RANGE)) }
    }

    /// The byte range of blocks that exist and that one command may transfer.
    pub(super) fn transfer_range(&self, blocks: Blocks) -> Result<Range, Sense> {
        if blocks.count > u64::from(self.transfer_blocks_max()) {
            return Err(Sense::cdb_field(blocks.count_at, None));
        }
        self.byte_range(blocks)
    }

    /// The byte range of blocks that exist, of a medium that is ready.
    pub(super) fn byte_range(&self, blocks: Blocks) -> Result<Range, Sense> {
        self.check_ready()?;
        self.check_range(blocks)?;
        let block_bytes = u64::from(self.block_bytes);
        Ok(Range { offset: blocks.lba * block_bytes, len: blocks.count * block_bytes })
    }
}

/// Bytes of a volume; inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl Range {
    /// The length as that of a buffer. Only ranges that passed
    /// [`LogicalUnit::transfer_range`] are asked.
    pub(super) fn buffer_len(self) -> usize {
        usize::try_from(self.len).unwrap_or(0)
    }
}

/// The LUN field of the REPORT LUNS well-known logical unit (SAM-5 4.7.7.5.1).
pub(super) const REPORT_LUNS_LUN: u64 = 0xc101 << 48;

/// What the eight bytes of a LUN field address (SAM-5 4.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Address {
    /// A logical unit by number, whether or not it exists.
    Unit(u16),
    /// The REPORT LUNS well-known logical unit.
    ReportLuns,
    /// An addressing method that this device does not use.
    Other,
}

impl Address {
    pub(super) fn decode(lun: u64) -> Self {
        let [b0, b1, rest @ ..] = lun.to_be_bytes();
        if rest != [0; 6] {
            return Self::Other;
        }
        match (b0 >> 6, b0 & 0x3f) {
            // Peripheral device addressing, bus 0.
            (0, 0) => Self::Unit(b1.into()),
            // Flat space addressing.
            (1, high) => Self::Unit(u16::from_be_bytes([high, b1])),
            (3, 1) if b1 == 1 => Self::ReportLuns,
            _ => Self::Other,
        }
    }

    /// The LUN field of a logical unit, as REPORT LUNS lists it: with peripheral device
    /// addressing up to 255, which every initiator knows, with flat space addressing from there.
    pub(super) fn encode(number: u16) -> [u8; 8] {
        let [high, low] = number.to_be_bytes();
        let method = if high == 0 { 0x00 } else { 0x40 };
        [method | high, low, 0, 0, 0, 0, 0, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luns_are_addressed_as_peripheral_and_flat() {
        let decode = Address::decode;
        assert_eq!(decode(0x0001_0000_0000_0000), Address::Unit(1));
        assert_eq!(decode(0x00ff_0000_0000_0000), Address::Unit(255));
        assert_eq!(decode(0x4001_0000_0000_0000), Address::Unit(1));
        assert_eq!(decode(0x4100_0000_0000_0000), Address::Unit(256));
        assert_eq!(decode(0x7fff_0000_0000_0000), Address::Unit(LUN_MAX));
        assert_eq!(decode(0xc101_0000_0000_0000), Address::ReportLuns);
        assert_eq!(decode(0xc102_0000_0000_0000), Address::Other);
        assert_eq!(decode(0x0101_0000_0000_0000), Address::Other, "another bus");
        assert_eq!(decode(0x0001_0000_0000_0001), Address::Other, "another level");
    }

    #[test]
    fn a_number_is_encoded_in_the_shortest_method_that_holds_it() {
        assert_eq!(Address::encode(255), [0, 255, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Address::encode(256), [0x41, 0, 0, 0, 0, 0, 0, 0]);
        for number in [0, 1, 255, 256, 4097, LUN_MAX] {
            let field = u64::from_be_bytes(Address::encode(number));
            assert_eq!(Address::decode(field), Address::Unit(number));
        }
    }
}
