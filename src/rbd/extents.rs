//! What an image holds, by its object map and its objects.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

use super::{Error, Image};
use crate::block::Extent;

/// Bytes that one question looks at most: 65,536 objects of the usual size, a few KiB of object
/// map.
const LEN_MAX: u64 = 256 << 30;

/// Objects that one question has asked at most, 4 GiB of the usual size: a round trip each.
const ASKED_OBJECTS_MAX: u64 = 1024;

/// Runs of objects that one question looks at most.
const RUNS_MAX: usize = 1024;

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

/// What an answer is made of, as the callback finds it.
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

    fn add(&mut self, end: u64, mapped: bool) {
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
        self.diff(offset, end, Objects::Whole, Parents::Left, &mut own)?;
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
                // One by one: of several, librbd tells in the order in which they answer.
                let mut from = run.offset;
                while from < to && !finder.full {
                    let next = (from - from % object).saturating_add(object).min(to);
                    self.diff(from, next, Objects::Exact, Parents::Left, &mut finder)?;
                    from = next;
                }
            } else {
                self.diff(run.offset, to, Objects::Whole, Parents::Included, &mut finder)?;
            }
        }
        Ok(finder.found)
    }

    /// Adds what is in a range, in whole objects or exactly.
    fn diff(
        &self,
        from: u64,
        to: u64,
        objects: Objects,
        parents: Parents,
        finder: &mut Finder,
    ) -> Result<(), Error> {
        // SAFETY: `hold` takes a `Finder`, which outlives the call.
        let code = unsafe {
            (self.api().rbd_diff_iterate2)(
                self.handle(),
                std::ptr::null(),
                from,
                to - from,
                (parents == Parents::Included).into(),
                (objects == Objects::Whole).into(),
                hold,
                (&raw mut *finder).cast(),
            )
        };
        if !finder.full {
            self.check(code, "rbd_diff_iterate2")?;
            finder.add(to, false);
        }
        Ok(())
    }
}

/// One run that differs from nothing: data, or what was data and is gone. Ends the iteration when
/// there is enough.
unsafe extern "C" fn hold(offset: u64, len: usize, exists: c_int, arg: *mut c_void) -> c_int {
    // SAFETY: `arg` is the `Finder` of `Image::extents`, which waits for the call to end.
    let finder = unsafe { &mut *arg.cast::<Finder>() };
    finder.add(offset, false);
    if !finder.full {
        finder.add(offset.saturating_add(len as u64), exists != 0);
    }
    if finder.full { -1 } else { 0 }
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
}
