//! What a session does next: which way, and where on the disk.

use crate::pattern::mix;

/// Kind of load, named as fio names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Sequential reads.
    Read,
    /// Sequential writes.
    Write,
    /// Sequential reads and writes.
    Rw,
    /// Reads at random places.
    Randread,
    /// Writes at random places.
    Randwrite,
    /// Reads and writes at random places.
    Randrw,
}

impl Kind {
    fn is_random(self) -> bool {
        matches!(self, Self::Randread | Self::Randwrite | Self::Randrw)
    }

    pub(crate) fn reads(self) -> bool {
        !matches!(self, Self::Write | Self::Randwrite)
    }

    pub(crate) fn writes(self) -> bool {
        !matches!(self, Self::Read | Self::Randread)
    }
}

/// The sequence of one session's operations.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    kind: Kind,
    /// Percent of reads in a mixed load.
    read_percent: u64,
    /// How many slots of one operation's size the disk has.
    slots: u64,
    next: u64,
    random: u64,
}

impl Job {
    /// Session `index` of `sessions`: sequential ones start apart from one another.
    pub(crate) fn new(kind: Kind, read_percent: u8, slots: u64, index: u16, sessions: u16) -> Self {
        let next = u64::from(index) * slots / u64::from(sessions);
        let random = mix(u64::from(index) ^ 0x5712_1179);
        Self { kind, read_percent: u64::from(read_percent), slots, next, random }
    }

    /// Whether the next operation reads, and its slot.
    pub(crate) fn next(&mut self) -> (bool, u64) {
        self.random = self.random.wrapping_add(1);
        let dice = mix(self.random);
        let reads = match (self.kind.reads(), self.kind.writes()) {
            (true, true) => dice % 100 < self.read_percent,
            (reads, _) => reads,
        };
        let slot = if self.kind.is_random() {
            // Multiply-shift (Lemire): even over the slots without a division.
            ((u128::from(mix(dice)) * u128::from(self.slots)) >> 64) as u64
        } else {
            let slot = self.next;
            self.next = if slot + 1 == self.slots { 0 } else { slot + 1 };
            slot
        };
        (reads, slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequential_sessions_start_apart_and_wrap() {
        let mut job = Job::new(Kind::Write, 50, 4, 1, 2);
        let slots: Vec<_> = (0..5).map(|_| job.next()).collect();
        assert_eq!(slots, [(false, 2), (false, 3), (false, 0), (false, 1), (false, 2)]);
    }

    #[test]
    fn random_mixed_load_reaches_every_slot_in_its_share() {
        let mut job = Job::new(Kind::Randrw, 70, 8, 0, 1);
        let (mut seen, mut reads) = ([0; 8], 0);
        for _ in 0..8000 {
            let (read, slot) = job.next();
            seen[slot as usize] += 1;
            reads += u32::from(read);
        }
        assert!(seen.iter().all(|&count| (800..1200).contains(&count)), "{seen:?}");
        assert!((5300..5900).contains(&reads), "{reads}");
    }
}
