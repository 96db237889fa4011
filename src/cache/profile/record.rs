//! What is known of how an image boots: the extents that its nodes read, and how it is kept.
//!
//! Each extent remembers in which of the last eight boots it was read. What at least half of them
//! read is worth fetching ahead, in the order in which it was first read.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use super::{RECORD_BYTES_MAX, UNIT_BYTES, UNITS_MAX};

/// First bytes of a record: a name, and the version of what follows.
const MAGIC: [u8; 4] = *b"SBP1";
const HEAD_BYTES: usize = MAGIC.len() + 4;
/// Boots that are remembered.
const BOOTS_MAX: u32 = u8::BITS;
/// Most that a run of units takes in a record.
const RUN_BYTES_MAX: usize = 10 + 3 + 2;
/// No disk has units beyond this one (RBD's largest image has 2^60 bytes).
const UNIT_MAX: u64 = u64::MAX / UNIT_BYTES;

/// A piece of the image, [`UNIT_BYTES`] long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unit {
    number: u64,
    /// One bit for each of the last boots, the lowest for the last one.
    seen: u8,
}

/// How an image boots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Boots that it was learnt from, up to [`BOOTS_MAX`].
    boots: u32,
    /// In the order in which they are to be fetched; each once.
    units: Vec<Unit>,
}

/// Why a record cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable(&'static str);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Unreadable {}

impl Profile {
    /// Takes in one more boot: the units that it read, each once, in the order of the first reads.
    pub(crate) fn learn(&mut self, boot: &[u64]) {
        self.boots = (self.boots + 1).min(BOOTS_MAX);
        let old: HashMap<u64, (usize, u8)> = self
            .units
            .iter()
            .enumerate()
            .map(|(rank, unit)| (unit.number, (rank, unit.seen)))
            .collect();
        let mut merged: Vec<(usize, Unit)> = Vec::with_capacity(old.len().max(boot.len()));
        let mut fresh = HashMap::with_capacity(boot.len());
        for (rank, &number) in boot.iter().enumerate() {
            if fresh.insert(number, ()).is_none() {
                // Where two boots differ in the order, it goes between.
                let (rank, seen) =
                    old.get(&number).map_or((2 * rank, 0), |&(before, seen)| (before + rank, seen));
                merged.push((rank, Unit { number, seen: seen << 1 | 1 }));
            }
        }
        let missed =
            self.units.iter().enumerate().filter(|(_, unit)| !fresh.contains_key(&unit.number));
        merged
            .extend(missed.map(|(rank, unit)| (2 * rank, Unit { seen: unit.seen << 1, ..*unit })));
        merged.retain(|(_, unit)| unit.seen != 0);
        if merged.len() > UNITS_MAX {
            // The ones that most boots read stay; of those that are alike, what is read first.
            merged.sort_by_key(|&(rank, unit)| (u32::MAX - unit.seen.count_ones(), rank));
            merged.truncate(UNITS_MAX);
        }
        merged.sort_by_key(|&(rank, _)| rank);
        self.units = merged.into_iter().map(|(_, unit)| unit).collect();
    }

    /// What to fetch for the next boot of a disk of `size_bytes`, in this order, joined where it goes
    /// on without a gap.
    #[must_use]
    pub fn plan(&self, size_bytes: u64) -> Vec<Range<u64>> {
        let mut plan: Vec<Range<u64>> = Vec::new();
        for unit in self.units.iter().filter(|unit| unit.seen.count_ones() * 2 >= self.boots) {
            let begin = unit.number.saturating_mul(UNIT_BYTES).min(size_bytes);
            let end = begin.saturating_add(UNIT_BYTES).min(size_bytes);
            match plan.last_mut() {
                _ if begin == end => {}
                Some(last) if last.end == begin => last.end = end,
                _ => plan.push(begin..end),
            }
        }
        plan
    }

    /// Boots that it was learnt from; at most eight are remembered.
    #[must_use]
    pub fn boots(&self) -> u32 {
        self.boots
    }

    /// Bytes of the image that it names, fetched ahead or not.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.units.len() as u64 * UNIT_BYTES
    }

    /// The record of it: magic, CRC32C (little endian) of what follows, then numbers as LEB128: the
    /// boots, and for each run of units the distance from the end of the last (zigzag), the length,
    /// and the boots that read it. What would make it longer than [`RECORD_BYTES_MAX`], the last to
    /// be fetched, is left out.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(64 + self.units.len());
        put(&mut body, self.boots.into());
        let mut next = 0_u64;
        let same_run = |a: &Unit, b: &Unit| a.number + 1 == b.number && a.seen == b.seen;
        for run in self.units.chunk_by(same_run) {
            let Some(first) = run.first() else { continue };
            if HEAD_BYTES + body.len() + RUN_BYTES_MAX > RECORD_BYTES_MAX {
                break;
            }
            let distance = first.number.wrapping_sub(next) as i64;
            put(&mut body, (distance << 1 ^ distance >> 63) as u64);
            put(&mut body, run.len() as u64);
            put(&mut body, first.seen.into());
            next = first.number + run.len() as u64;
        }
        let mut record = MAGIC.to_vec();
        record.extend(crc32c::crc32c(&body).to_le_bytes());
        record.extend(body);
        record
    }

    /// Reads a record. It may hold anything: no more than [`UNITS_MAX`] units come out of it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(record: &[u8]) -> Result<Self, Unreadable> {
        let (head, mut body) =
            record.split_at_checked(HEAD_BYTES).ok_or(Unreadable("it is too short"))?;
        if head[..4] != MAGIC {
            return Err(Unreadable("it is of another version"));
        }
        if head[4..] != crc32c::crc32c(body).to_le_bytes() {
            return Err(Unreadable("its checksum is wrong"));
        }
        let wrong = Unreadable("it makes no sense");
        let boots = take(&mut body).filter(|&boots| boots <= BOOTS_MAX.into()).ok_or(wrong)?;
        let (mut units, mut next) = (Vec::new(), 0_u64);
        while !body.is_empty() {
            let distance = take(&mut body).ok_or(wrong)?;
            let distance = (distance >> 1) as i64 ^ -((distance & 1) as i64);
            let len = take(&mut body).ok_or(wrong)?;
            let seen = take(&mut body).and_then(|seen| u8::try_from(seen).ok()).ok_or(wrong)?;
            let first = next.wrapping_add_signed(distance);
            let room = (UNITS_MAX - units.len()) as u64;
            if len == 0 || len > room || seen == 0 || first > UNIT_MAX - len {
                return Err(wrong);
            }
            next = first + len;
            units.extend((first..next).map(|number| Unit { number, seen }));
        }
        let mut numbers: Vec<u64> = units.iter().map(|unit| unit.number).collect();
        numbers.sort_unstable();
        if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(wrong);
        }
        Ok(Self { boots: boots as u32, units })
    }
}

/// Appends a number in LEB128.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number in LEB128 from the front.
fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: u64 = 1 << 40;

    fn learnt(boots: &[&[u64]]) -> Profile {
        let mut profile = Profile::default();
        boots.iter().for_each(|boot| profile.learn(boot));
        profile
    }

    fn planned(profile: &Profile) -> Vec<u64> {
        let units = |range: Range<u64>| range.start / UNIT_BYTES..range.end.div_ceil(UNIT_BYTES);
        profile.plan(SIZE).into_iter().flat_map(units).collect()
    }

    #[test]
    fn one_boot_is_repeated_in_its_order() {
        let profile = learnt(&[&[9, 10, 3, 11, 4]]);
        let unit = |number: u64, count: u64| number * UNIT_BYTES..(number + count) * UNIT_BYTES;
        assert_eq!(profile.plan(SIZE), [unit(9, 2), unit(3, 1), unit(11, 1), unit(4, 1)]);
        assert_eq!((profile.boots(), profile.bytes()), (1, 5 * UNIT_BYTES));
    }

    #[test]
    fn what_most_boots_read_is_fetched_and_what_none_reads_is_forgotten() {
        let mut profile = learnt(&[&[1, 2, 50], &[1, 2, 60], &[1, 2, 70], &[1, 2]]);
        assert_eq!(planned(&profile), [1, 2]);
        assert_eq!(profile.units.len(), 5, "the others may come back");
        (0..8).for_each(|_| profile.learn(&[1]));
        assert_eq!(profile.units, [Unit { number: 1, seen: 0xff }]);
    }

    #[test]
    fn the_order_is_that_of_all_boots() {
        // The second boot read 3 late.
        let profile = learnt(&[&[1, 2, 3, 4, 5, 6], &[1, 2, 4, 5, 6, 3]]);
        assert_eq!(planned(&profile), [1, 2, 4, 5, 3, 6]);
    }

    #[test]
    fn the_oldest_and_rarest_go_when_there_are_too_many() {
        let common: Vec<u64> = (0..100).collect();
        let first: Vec<u64> = (0..UNITS_MAX as u64).collect();
        let second: Vec<u64> =
            (0..100).chain(1 << 20..(1 << 20) + UNITS_MAX as u64 - 100).collect();
        let profile = learnt(&[&first, &second]);
        assert_eq!(profile.units.len(), UNITS_MAX);
        let kept = |number| profile.units.iter().any(|unit| unit.number == number);
        assert!(common.into_iter().all(kept));
    }

    #[test]
    fn a_plan_ends_with_the_disk() {
        let profile = learnt(&[&[0, 1, 2, 77]]);
        let whole = 0..UNIT_BYTES * 2 + 512;
        assert_eq!(profile.plan(whole.end), std::slice::from_ref(&whole));
        assert_eq!(profile.plan(0), []);
    }

    #[test]
    fn a_record_has_a_limit_whatever_is_read() {
        let scattered: Vec<u64> =
            (0..UNITS_MAX as u64).map(|i| (i % 2 * UNIT_MAX / 2) + i * 7).collect();
        let profile = learnt(&[&scattered]);
        let record = profile.encode();
        assert!(record.len() <= RECORD_BYTES_MAX);
        let kept = Profile::decode(&record).unwrap();
        assert!(kept.units.len() > 1000 && profile.units.starts_with(&kept.units));
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let record = learnt(&[&[1, 2, 3], &[9, 1]]).encode();
        for cut in 0..record.len() {
            assert!(Profile::decode(&record[..cut]).is_err(), "{cut}");
        }
        for bit in 0..record.len() * 8 {
            let mut bad = record.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Profile::decode(&bad).is_err(), "bit {bit}");
        }
    }

    /// A record with a right checksum and these numbers.
    fn forged(numbers: &[u64]) -> Vec<u8> {
        let mut body = Vec::new();
        numbers.iter().for_each(|&number| put(&mut body, number));
        [&MAGIC[..], &crc32c::crc32c(&body).to_le_bytes(), &body].concat()
    }

    #[test]
    fn a_record_that_lies_is_refused() {
        assert_eq!(Profile::decode(&forged(&[1, 2, 3, 1])).unwrap().units.len(), 3);
        let too_many = UNITS_MAX as u64 + 1;
        let lies: [&[u64]; 9] = [
            &[],
            &[9],
            &[1, 0],
            &[1, 0, 0, 1],
            &[1, 0, too_many, 1],
            &[1, 0, u64::MAX, 1],
            &[1, 0, 1, 0],
            &[1, 0, 1, 256],
            &[1, 1, 5, 1],
        ];
        for lie in lies {
            assert!(Profile::decode(&forged(lie)).is_err(), "{lie:?}");
        }
        let twice = [1, 0, 2, 1, 1, 1, 1];
        assert!(Profile::decode(&forged(&twice)).is_err(), "a unit that is there twice");
    }

    proptest! {
        #[test]
        fn a_record_is_read_back(
            boots in prop::collection::vec(prop::collection::vec(0..5000_u64, 0..300), 0..12),
            far in 0..UNIT_MAX - 1,
        ) {
            let mut profile = Profile::default();
            for boot in &boots {
                profile.learn(boot);
            }
            profile.learn(&[far, 3, 0]);
            let record = profile.encode();
            prop_assert_eq!(Profile::decode(&record), Ok(profile));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Profile::decode(&bytes);
            let record = [&MAGIC[..], &crc32c::crc32c(&bytes).to_le_bytes(), &bytes].concat();
            if let Ok(profile) = Profile::decode(&record) {
                prop_assert!(profile.units.len() <= UNITS_MAX);
                let _ = profile.plan(u64::MAX);
            }
        }
    }
}
