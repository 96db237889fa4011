//! Readahead for readers that keep one read in flight: iPXE, GRUB, a kernel that pages a file in.
//!
//! [`Readahead`] is a planner, one for each disk: it is shown every read and says what to fetch
//! ahead. It knows no clock, no I/O and no cache, and what may be under way is its caller's to
//! say. Several sequential streams may be interleaved,
//! as a boot loader's are (a file's blocks, and the metadata that lead to them). A stream's window
//! grows as long as it goes on; what runs of reads were not worth makes it more careful.

use std::ops::Range;

/// Streams that are told apart; the one that rested longest makes room.
const STREAMS: usize = 8;
/// Reads in a row that make a stream, at best and after much that was fetched in vain.
const RUN_MIN: u32 = 2;
const RUN_MAX: u32 = 64;
/// A stream of so many reads would have been worth it, whether or not anything was fetched ahead.
const RUN_LONG: u32 = 8;

/// Window of a stream that begins, in bytes.
const WINDOW_MIN: u64 = 64 << 10;
/// Largest window, in bytes.
pub(super) const WINDOW_MAX: u64 = 1 << 20;

/// A run of reads, each beginning where the one before ended, or inside of it.
#[derive(Debug, Clone, Copy, Default)]
struct Stream {
    /// First byte of the last read.
    from: u64,
    /// The byte after it.
    next: u64,
    /// Reads so far; 0: the place is free.
    run: u32,
    /// How far to be ahead of `next`.
    window: u64,
    /// Everything before this was read or asked for.
    asked: u64,
    /// Bytes that were asked for in all.
    planned: u64,
    /// Turn of the last read.
    turn: u64,
}

impl Stream {
    /// Whether the read goes on with it, and gets it further.
    fn goes_on(&self, offset: u64, end: u64) -> bool {
        self.run > 0 && (self.from..=self.next).contains(&offset) && end > self.next
    }
}

/// See the [module](self) docs.
#[derive(Debug)]
pub(super) struct Readahead {
    streams: [Stream; STREAMS],
    turn: u64,
    /// Reads in a row that it takes now until anything is fetched ahead.
    run_needed: u32,
}

impl Readahead {
    /// A planner that has seen nothing.
    pub(super) fn new() -> Self {
        Self { streams: [Stream::default(); STREAMS], turn: 0, run_needed: RUN_MIN }
    }

    /// Takes a read of `len` bytes at `offset` of a disk of `size` bytes. What to fetch now, if
    /// anything: it lies behind the read and inside the disk, and is at most `room` bytes.
    pub(super) fn read(
        &mut self,
        offset: u64,
        len: u64,
        size: u64,
        room: u64,
    ) -> Option<Range<u64>> {
        let end = offset.saturating_add(len).min(size);
        if end <= offset {
            return None;
        }
        self.turn += 1;
        let Some(index) = self.streams.iter().position(|stream| stream.goes_on(offset, end)) else {
            self.begin(offset, end);
            return None;
        };
        let (turn, run_needed) = (self.turn, self.run_needed);
        let stream = &mut self.streams[index];
        let run = stream.run.saturating_add(1);
        *stream = Stream { from: offset, next: end, run, turn, ..*stream };
        stream.asked = stream.asked.max(end);
        let ahead = stream.asked - end;
        if run < run_needed || (stream.window > 0 && ahead > stream.window / 2) {
            return None;
        }
        let window = (stream.window * 2).clamp(WINDOW_MIN, WINDOW_MAX);
        let wanted = end.saturating_add(window).min(size).saturating_sub(stream.asked);
        let len = wanted.min(room);
        if len == 0 {
            return None;
        }
        let begin = stream.asked;
        stream.window = window;
        stream.asked += len;
        stream.planned += len;
        Some(begin..begin + len)
    }

    /// A new stream, in the place of the one that rested longest.
    fn begin(&mut self, offset: u64, end: u64) {
        let turn = self.turn;
        let Some(place) = self.streams.iter_mut().min_by_key(|stream| stream.turn) else { return };
        let old = *place;
        *place = Stream { from: offset, next: end, run: 1, asked: end, turn, ..Stream::default() };
        self.judge(&old);
    }

    /// Learns from a stream that has ended.
    fn judge(&mut self, ended: &Stream) {
        if ended.asked - ended.next > ended.planned / 2 {
            self.run_needed = (self.run_needed * 2).min(RUN_MAX);
        } else if ended.planned > 0 || ended.run >= RUN_LONG {
            self.run_needed = (self.run_needed / 2).max(RUN_MIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIB: u64 = 1 << 10;
    const SIZE: u64 = 1 << 30;

    const ROOM: u64 = 2 << 20;

    /// Reads in pieces of `step` from `from` to `to`; what was asked for is there at once.
    fn run(planner: &mut Readahead, from: u64, to: u64, step: u64) -> Vec<Range<u64>> {
        let read = |offset| planner.read(offset, step, SIZE, ROOM);
        (from..to).step_by(step as usize).filter_map(read).collect()
    }

    #[test]
    fn a_sequential_reader_gets_a_growing_window_without_holes() {
        let asked = run(&mut Readahead::new(), 0, 8 << 20, 16 * KIB);
        assert_eq!(asked[0], 32 * KIB..96 * KIB, "after the second read");
        assert!(asked.windows(2).all(|pair| pair[0].end == pair[1].start), "{asked:?}");
        let longest = asked.iter().map(|range| range.end - range.start).max().unwrap();
        assert!((512 * KIB..=1 << 20).contains(&longest), "{longest}");
        let ahead = asked.last().unwrap().end - (8 << 20);
        assert!(ahead <= 1 << 20, "{ahead} ahead of the last read");
        assert!(asked.len() < 40, "{} requests for 512 reads", asked.len());
    }

    #[test]
    fn interleaved_streams_are_told_apart() {
        let mut planner = Readahead::new();
        let mut asked = [0; 4];
        for i in 0..64 {
            for (stream, bytes) in asked.iter_mut().enumerate() {
                let base = stream as u64 * (64 << 20);
                if let Some(range) = planner.read(base + i * 4 * KIB, 4 * KIB, SIZE, ROOM) {
                    assert!(range.start >= base && range.end <= base + (2 << 20));
                    *bytes += range.end - range.start;
                }
            }
        }
        assert!(asked.iter().all(|&bytes| bytes >= 256 * KIB), "{asked:?}");
    }

    #[test]
    fn the_same_place_over_and_over_is_no_stream() {
        let mut planner = Readahead::new();
        assert!((0..100).all(|_| planner.read(4096, 4096, SIZE, ROOM).is_none()));
    }

    #[test]
    fn nothing_is_asked_for_without_room_and_what_was_read_meanwhile_never() {
        let mut planner = Readahead::new();
        assert!((0..64).all(|i| planner.read(i * 16 * KIB, 16 * KIB, SIZE, 0).is_none()));
        let asked = planner.read(64 * 16 * KIB, 16 * KIB, SIZE, 5000);
        assert_eq!(asked, Some(65 * 16 * KIB..65 * 16 * KIB + 5000));
    }

    #[test]
    fn runs_that_end_early_are_soon_left_alone() {
        let mut planner = Readahead::new();
        let mut wasted = 0;
        for i in 0..1000 {
            wasted += run(&mut planner, i * 300 * KIB, i * 300 * KIB + 8 * KIB, 4 * KIB).len();
        }
        assert!(wasted <= 16, "{wasted} of 1000 runs of two reads");
        let asked = run(&mut planner, 900 << 20, 902 << 20, 4 * KIB);
        assert!(!asked.is_empty(), "a long run is still seen");
        for i in 0..40 {
            run(&mut planner, (400 << 20) + i * (4 << 20), (401 << 20) + i * (4 << 20), 64 * KIB);
        }
        assert_eq!(planner.run_needed, RUN_MIN, "trust comes back");
    }

    #[test]
    fn reads_beyond_the_end_do_no_harm() {
        let mut planner = Readahead::new();
        for (offset, len) in
            [(SIZE, 1), (u64::MAX, 1), (SIZE - 1, u64::MAX), (0, 0), (u64::MAX, u64::MAX)]
        {
            assert_eq!(planner.read(offset, len, SIZE, ROOM), None);
        }
        assert_eq!(planner.read(0, 1, 0, ROOM), None);
    }

    proptest! {
        #[test]
        fn any_reads_stay_within_disk_and_room(
            reads in prop::collection::vec((0..64_u64, 0..4_u64, 1..5_u64, 0..100 * KIB), 1..400),
            size in 1..300 * KIB,
        ) {
            let mut planner = Readahead::new();
            let mut at = 0;
            for (place, jump, blocks, room) in reads {
                if jump == 0 {
                    at = place * 5000;
                }
                let end = at + blocks * 512;
                if let Some(range) = planner.read(at, blocks * 512, size, room) {
                    prop_assert!(range.start >= end && range.start < range.end);
                    prop_assert!(range.end <= size && range.end <= end + WINDOW_MAX);
                    prop_assert!(range.end - range.start <= room);
                }
                at = end;
            }
        }

        #[test]
        fn random_reads_bring_no_readahead(
            places in prop::collection::hash_set(0..1_000_000_u64, 1..500),
        ) {
            // Every read is apart from every other.
            let mut planner = Readahead::new();
            for place in places {
                prop_assert_eq!(planner.read(place * 8192, 4096, 1 << 40, ROOM), None);
            }
        }
    }
}
