//! The parameter list of EXTENDED COPY(LID1) (SPC-4 6.4.1 to 6.4.6).

use super::super::copy_limits::{
    BLOCK_TO_BLOCK, BLOCK_TO_BLOCK_OFFSET, DESCRIPTORS_BYTES_MAX, IDENTIFICATION, SEGMENTS_MAX,
    TARGETS_MAX,
};
use super::super::sense::{Asc, Sense};

const HEADER_BYTES: usize = 16;
const TARGET_BYTES: usize = 32;

/// A list whose form is right; whether the copy can be done shows when it is done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct List {
    /// What the initiator may ask with; `None`: it does not want to.
    pub(super) list_id: Option<u8>,
    pub(super) targets: Vec<Target>,
    pub(super) segments: Vec<Segment>,
}

/// An identification descriptor target descriptor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// PERIPHERAL DEVICE TYPE.
    pub(super) device_type: u8,
    /// The designator as VPD page 83h has it, with its header.
    pub(super) designator: Vec<u8>,
    /// DISK BLOCK LENGTH in bytes.
    pub(super) block_bytes: u32,
}

/// How much a segment copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amount {
    /// Blocks of the source.
    SourceBlocks(u16),
    /// Blocks of the destination (DC).
    DestinationBlocks(u16),
    Bytes(u32),
}

/// One end of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// Index of the target descriptor.
    pub(super) target: u16,
    pub(super) lba: u64,
    /// Bytes to leave out of the first block.
    pub(super) offset: u16,
}

/// A block to block segment descriptor, with offsets or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) amount: Amount,
    pub(super) source: End,
    pub(super) destination: End,
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

fn number_16(bytes: &[u8]) -> u16 {
    number(bytes) as u16
}

fn number_32(bytes: &[u8]) -> u32 {
    number(bytes) as u32
}

pub(super) fn parse(list: &[u8]) -> Result<List, Sense> {
    let cut = || Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR);
    let (header, rest) = list.split_at_checked(HEADER_BYTES).ok_or_else(cut)?;
    let targets_len = number_16(&header[2..4]);
    let segments_len = number_32(&header[8..12]);
    if u32::from(targets_len).saturating_add(segments_len) > DESCRIPTORS_BYTES_MAX {
        return Err(cut());
    }
    let (targets, rest) = rest.split_at_checked(targets_len.into()).ok_or_else(cut)?;
    let segments = rest.get(..segments_len as usize).ok_or_else(cut)?;
    if header[12..16] != [0; 4] {
        return Err(Sense::illegal(Asc::INLINE_DATA_LENGTH_EXCEEDED));
    }
    let list_id = match ((header[1] >> 3) & 0x03, header[0]) {
        (0 | 2, id) => Some(id),
        (3, 0) => None,
        (3, _) => return Err(Sense::parameter(0, None)),
        _ => return Err(Sense::parameter(1, Some(4))),
    };
    let first_segment = HEADER_BYTES + targets.len();
    Ok(List {
        list_id,
        targets: parse_targets(targets)?,
        segments: parse_segments(segments, first_segment)?,
    })
}

fn parse_targets(list: &[u8]) -> Result<Vec<Target>, Sense> {
    let mut targets = Vec::new();
    for (i, bytes) in list.chunks(TARGET_BYTES).enumerate() {
        if i >= TARGETS_MAX.into() {
            return Err(Sense::illegal(Asc::TOO_MANY_TARGET_DESCRIPTORS));
        }
        if bytes[0] != IDENTIFICATION {
            return Err(Sense::illegal(Asc::UNSUPPORTED_TARGET_DESCRIPTOR_TYPE));
        }
        let at = HEADER_BYTES + i * TARGET_BYTES;
        let Ok(bytes) = <&[u8; TARGET_BYTES]>::try_from(bytes) else {
            return Err(Sense::parameter(2, None));
        };
        let designator = bytes[4..28].get(..4 + usize::from(bytes[7]));
        let designator = designator.ok_or_else(|| Sense::parameter(at + 7, None))?;
        targets.push(Target {
            device_type: bytes[1] & 0x1f,
            designator: designator.to_vec(),
            block_bytes: number_32(&bytes[29..32]),
        });
    }
    Ok(targets)
}

fn parse_segments(mut list: &[u8], mut at: usize) -> Result<Vec<Segment>, Sense> {
    let mut segments = Vec::new();
    while let Some(kind) = list.first() {
        if segments.len() >= SEGMENTS_MAX.into() {
            return Err(Sense::illegal(Asc::TOO_MANY_SEGMENT_DESCRIPTORS));
        }
        let len = match *kind {
            BLOCK_TO_BLOCK => 28,
            BLOCK_TO_BLOCK_OFFSET => 32,
            _ => return Err(Sense::illegal(Asc::UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE)),
        };
        let Some((bytes, rest)) = list.split_at_checked(len) else {
            return Err(Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR));
        };
        if usize::from(number_16(&bytes[2..4])) != len - 4 {
            return Err(Sense::parameter(at + 2, None));
        }
        segments.push(segment(bytes));
        list = rest;
        at += len;
    }
    Ok(segments)
}

/// A descriptor of the length of its type.
fn segment(bytes: &[u8]) -> Segment {
    let end = |target: usize, lba: usize, offset: usize| End {
        target: number_16(&bytes[target..target + 2]),
        lba: number(&bytes[lba..lba + 8]),
        offset: bytes.get(offset..offset + 2).map_or(0, number_16),
    };
    let amount = match bytes[0] {
        BLOCK_TO_BLOCK_OFFSET => Amount::Bytes(number_32(&bytes[8..12])),
        _ if bytes[1] & 0x02 != 0 => Amount::DestinationBlocks(number_16(&bytes[10..12])),
        _ => Amount::SourceBlocks(number_16(&bytes[10..12])),
    };
    Segment { amount, source: end(4, 12, 28), destination: end(6, 20, 30) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of so many targets and segments, all of the right form.
    fn list(targets: usize, segments: usize) -> Vec<u8> {
        let mut target = vec![IDENTIFICATION, 0, 0, 0, 1, 3, 0, 8];
        target.resize(TARGET_BYTES, 0);
        let mut segment = vec![BLOCK_TO_BLOCK_OFFSET, 0, 0, 28];
        segment.resize(32, 0);
        let mut list = vec![7, 0];
        list.extend((targets as u16 * 32).to_be_bytes());
        list.extend([0; 4]);
        list.extend((segments as u32 * 32).to_be_bytes());
        list.extend([0; 4]);
        list.extend(target.repeat(targets));
        list.extend(segment.repeat(segments));
        list
    }

    #[test]
    fn a_list_may_be_as_long_as_is_told() {
        let most = parse(&list(TARGETS_MAX.into(), SEGMENTS_MAX.into())).unwrap();
        assert_eq!((most.targets.len(), most.segments.len()), (16, 64));
        let asc = |targets, segments| parse(&list(targets, segments)).unwrap_err().asc;
        assert_eq!(asc(16, 65), Asc::PARAMETER_LIST_LENGTH_ERROR);
        assert_eq!(asc(15, 65), Asc::TOO_MANY_SEGMENT_DESCRIPTORS);
        assert_eq!(asc(17, 63), Asc::TOO_MANY_TARGET_DESCRIPTORS);
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        let wrong = |at: usize, byte: u8| {
            let mut list = list(2, 2);
            list[at] = byte;
            parse(&list).unwrap_err()
        };
        assert_eq!(wrong(1, 3 << 3), Sense::parameter(0, None), "an identifier of no use");
        assert_eq!(wrong(1, 1 << 3), Sense::parameter(1, Some(4)));
        let second_target = 16 + 32;
        assert_eq!(wrong(second_target + 7, 21), Sense::parameter(second_target + 7, None));
        let second_segment = 16 + 64 + 32;
        assert_eq!(wrong(second_segment + 3, 27), Sense::parameter(second_segment + 2, None));
    }
}
