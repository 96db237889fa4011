//! What an image holds, by its object map and its objects.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

use parking_lot::Mutex;

use super::{Error, Image};
use crate::block::Extent;

/// Bytes that one question looks at most: 65,536 objects of the usual size, a few KiB of object
/// map.
const LEN_MAX: u64 = 256 << 30;

/// Objects that one question has asked at most, 4 GiB of the usual size: a round trip each.
const ASKED_OBJECTS_MAX: u64 = 1024;

/// Runs of objects that one question looks at most.
const RUNS_MAX: usize = 1024;

/// Objects that are asked at the same time: librbd has no more than so many questions under way
/// (`rbd_concurrent_management_ops`).
const ASKED_AT_ONCE: u64 = 10;

/// How closely an image is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Objects {
    /// By its object map.
    Whole,
    /// Each object that is there is asked.
    Exact,
}

/// Whether what is behind a clone counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parents {
    Included,
    Left,
}

/// A run that librbd tells of: data, or what was data and is gone.
#[derive(Debug, Clone, Copy)]
struct Run {
    offset: u64,
    end: u64,
    exists: bool,
}

/// What an answer is made of.
struct Finder {
    /// Where the next run begins.
    at: u64,
    end: u64,
    max: usize,
    found: Vec<Extent>,
    /// There is enough.
    full: bool,
}

impl Finder {
    fn new(from: u64, to: u64, max: usize) -> Self {
        Self { at: from, end: to, max, found: Vec::new(), full: false }
    }

    /// Adds what was told of everything up to `to`, in whatever order.
    fn take(&mut self, mut runs: Vec<Run>, to: u64) {
        runs.sort_unstable_by_key(|run| run.offset);
        for run in runs {
            self.add(run.offset, false);
            self.add(run.end, run.exists);
        }
        self.add(to, false);
    }

    fn add(&mut self, end: u64, mapped: bool) {
        if self.full {
            return;
        }
        let end = end.min(self.end);
        let Some(len) = end.checked_sub(self.at).filter(|len| *len > 0) else { return };
        let is_full = self.found.len() == self.max;
        match self.found.last_mut() {
            Some(last) if last.mapped == mapped => last.len += len,
            _ if is_full => return self.full = true,
            _ => self.found.push(Extent { offset: self.at, len, mapped }),
        }
        self.at = end;
    }
}

impl Image {
    /// Which parts of a range hold data, of the image or of its parents: at most `max` runs from
    /// `offset` on, which may end before the range does. Blocks.
    ///
    /// Objects that are not there are known from the object map. Those that are, in a clone also
    /// what was discarded and hides the parent's data, are asked, a bounded number of them: the
    /// answer ends with them. Without a usable object map every object would have to be asked:
    /// then all of the range counts as held.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn extents(&self, offset: u64, len: u64, max: usize) -> Result<Vec<Extent>, Error> {
        // librbd's differences are in places of what is stored, the header of LUKS included.
        if self.is_decrypted() || !self.has_object_map()? {
            return Ok(vec![Extent { offset, len, mapped: true }]);
        }
        let end = offset.saturating_add(len.min(LEN_MAX));
        let object = self.object_bytes().max(1);
        // Own objects have to be asked. What is only a parent's cannot have been discarded.
        let mut own = Finder::new(offset, end, RUNS_MAX);
        own.take(self.diff(offset, end, Objects::Whole, Parents::Left)?, end);
        let asked_end = own.found.iter().find(|run| run.mapped).map_or(end, |run| {
            let first = run.offset - run.offset % object;
            first.saturating_add(ASKED_OBJECTS_MAX * object).min(end)
        });
        let mut finder = Finder::new(offset, end, max);
        for run in own.found {
            let to = (run.offset + run.len).min(asked_end);
            if finder.full || to <= run.offset {
                break;
            }
            if run.mapped {
                // A few at a time: what is told of one may be thousands of runs.
                let mut from = run.offset;
                while from < to && !finder.full {
                    let next = (from - from % object).saturating_add(ASKED_AT_ONCE * object);
                    let next = next.min(to);
                    let found = self.diff(from, next, Objects::Exact, Parents::Left)?;
                    finder.take(found, next);
                    from = next;
                }
            } else {
                let found = self.diff(run.offset, to, Objects::Whole, Parents::Included)?;
                finder.take(found, to);
            }
        }
        Ok(finder.found)
    }

    /// What is in a range, in whole objects or exactly. In no order: of several objects that are
    /// asked, librbd tells in the order in which they answer.
    fn diff(
        &self,
        from: u64,
        to: u64,
        objects: Objects,
        parents: Parents,
    ) -> Result<Vec<Run>, Error> {
        let found = Mutex::new(Vec::new());
        // SAFETY: `hold` takes such a list, which outlives the call.
        let code = unsafe {
            (self.api().rbd_diff_iterate2)(
                self.handle(),
                std::ptr::null(),
                from,
                to - from,
                (parents == Parents::Included).into(),
                (objects == Objects::Whole).into(),
                hold,
                (&raw const found).cast_mut().cast(),
            )
        };
        self.check(code, "rbd_diff_iterate2")?;
        Ok(found.into_inner())
    }
}

/// One run that differs from nothing. May be called by several threads at once.
unsafe extern "C" fn hold(offset: u64, len: usize, exists: c_int, arg: *mut c_void) -> c_int {
    // SAFETY: `arg` is the list of `Image::diff`, which waits for the call to end.
    let found = unsafe { &*arg.cast_const().cast::<Mutex<Vec<Run>>>() };
    let end = offset.saturating_add(len as u64);
    found.lock().push(Run { offset, end, exists: exists != 0 });
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_joined_cut_and_counted() {
        let mut finder = Finder::new(10, 100, 3);
        let run = |offset, len, mapped| Extent { offset, len, mapped };
        for (end, mapped) in [(5, false), (20, true), (30, true), (40, false), (50, false)] {
            finder.add(end, mapped);
        }
        assert_eq!(finder.found, [run(10, 20, true), run(30, 20, false)]);
        finder.add(200, true);
        assert_eq!(finder.found[2], run(50, 50, true), "cut to the range");
        assert!(!finder.full);
        let mut finder = Finder::new(0, 100, 1);
        finder.add(10, true);
        finder.add(20, false);
        assert!(finder.full && finder.found.len() == 1);
    }

    #[test]
    fn objects_that_answer_in_another_order_are_told_in_theirs() {
        let run = |offset, len, mapped| Extent { offset, len, mapped };
        let told = [(40, 5, 1), (10, 10, 1), (60, 20, 0), (20, 4, 1), (45, 15, 1), (90, 10, 1)];
        let wanted = [
            run(0, 10, false),
            run(10, 14, true),
            run(24, 16, false),
            run(40, 20, true),
            run(60, 30, false),
            run(90, 10, true),
        ];
        // In every order in which one of them is late, by the callback itself.
        for late in 0..told.len() {
            let found = Mutex::new(Vec::new());
            let arg = (&raw const found).cast_mut().cast();
            let mut told = told;
            told[late..].rotate_left(1);
            for (offset, len, exists) in told {
                // SAFETY: the list outlives the call.
                assert_eq!(unsafe { hold(offset, len, exists, arg) }, 0);
            }
            let mut finder = Finder::new(0, 100, 100);
            finder.take(found.into_inner(), 100);
            assert_eq!(finder.found, wanted, "{late}");
        }
        let mut finder = Finder::new(0, 100, 2);
        finder.take(vec![Run { offset: 50, end: 60, exists: true }], 55);
        finder.take(vec![Run { offset: 0, end: 100, exists: true }], 100);
        assert_eq!(finder.found, [run(0, 50, false), run(50, 50, true)], "cut, and gone on");
        finder.add(200, false);
        assert!(!finder.full, "there is nothing beyond the end");
    }
}
