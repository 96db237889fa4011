//! Power losses for tests: what was written and not synced may be there afterwards, or not.
//!
//! While a directory is watched, `fileio` tells of every write to a file in it, and of every sync.
//! The power fails after a given number of these: all later ones fail and change nothing. Then
//! [`Power::lose`] gives each sector of each file one of the contents it had since the last sync
//! of the file, by chance, as a page cache and a disk that write back in any order would.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

const SECTOR_BYTES: u64 = 512;

static WATCHED: Mutex<Vec<(PathBuf, Arc<Power>)>> = Mutex::new(Vec::new());

/// The power of the machine that a directory is on.
pub(super) struct Power {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    steps_left: u64,
    next_id: u64,
    files: HashMap<PathBuf, Vec<Unsynced>>,
}

/// A write that no sync has covered.
struct Unsynced {
    id: u64,
    /// The write has returned: a sync that starts now covers it.
    done: bool,
    /// The sectors it changed, as they were before.
    before: Vec<(u64, Vec<u8>)>,
}

/// A write or sync in work.
pub(super) struct Step {
    power: Arc<Power>,
    path: PathBuf,
    id: u64,
    covered: Vec<u64>,
}

impl Power {
    /// Watches `dir`; the power fails after `steps` writes and syncs.
    pub(super) fn watch(dir: &Path, steps: u64) -> Arc<Self> {
        let state = State { steps_left: steps, ..State::default() };
        let power = Arc::new(Self { state: Mutex::new(state) });
        let dir = dir.canonicalize().unwrap();
        WATCHED.lock().push((dir, Arc::clone(&power)));
        power
    }

    /// Makes the files what they are when the power is back, and stops watching. `pick(n)` is
    /// some number below `n`.
    pub(super) fn lose(self: &Arc<Self>, mut pick: impl FnMut(usize) -> usize) {
        WATCHED.lock().retain(|(_, power)| !Arc::ptr_eq(power, self));
        for (path, writes) in std::mem::take(&mut self.state.lock().files) {
            let mut versions: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
            for (sector, before) in writes.into_iter().flat_map(|write| write.before) {
                versions.entry(sector).or_default().push(before);
            }
            let file = File::options().write(true).open(&path).unwrap();
            for (sector, versions) in versions {
                // One more than there are: the last is what the file holds now.
                if let Some(bytes) = versions.get(pick(versions.len() + 1)) {
                    file.write_all_at(bytes, sector * SECTOR_BYTES).unwrap();
                }
            }
        }
    }
}

fn find(file: &File) -> Option<(PathBuf, Arc<Power>)> {
    let watched = WATCHED.lock();
    if watched.is_empty() {
        return None;
    }
    let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    let power = watched.iter().find(|(dir, _)| path.starts_with(dir))?.1.clone();
    Some((path, power))
}

fn begin(file: &File) -> io::Result<Option<Step>> {
    let Some((path, power)) = find(file) else { return Ok(None) };
    let mut state = power.state.lock();
    state.steps_left =
        state.steps_left.checked_sub(1).ok_or_else(|| io::Error::other("the power is off"))?;
    let id = state.next_id;
    state.next_id += 1;
    drop(state);
    Ok(Some(Step { power, path, id, covered: Vec::new() }))
}

/// A write to `file` begins; it is over when the step is dropped.
pub(super) fn begin_write(file: &File, offset: u64, len: u64) -> io::Result<Option<Step>> {
    let Some(step) = begin(file)? else { return Ok(None) };
    let reader = File::open(&step.path)?;
    let end = reader.metadata()?.len();
    let sectors = offset / SECTOR_BYTES..(offset + len).div_ceil(SECTOR_BYTES);
    let before = sectors.map(|sector| {
        let at = sector * SECTOR_BYTES;
        let mut bytes = vec![0; (end - at).min(SECTOR_BYTES) as usize];
        reader.read_exact_at(&mut bytes, at).map(|()| (sector, bytes))
    });
    let unsynced = Unsynced { id: step.id, done: false, before: before.collect::<Result<_, _>>()? };
    step.power.state.lock().files.entry(step.path.clone()).or_default().push(unsynced);
    Ok(Some(step))
}

/// A sync of `file` begins.
pub(super) fn begin_sync(file: &File) -> io::Result<Option<Step>> {
    let Some(mut step) = begin(file)? else { return Ok(None) };
    let state = step.power.state.lock();
    let writes = state.files.get(&step.path).into_iter().flatten();
    step.covered = writes.filter(|write| write.done).map(|write| write.id).collect();
    drop(state);
    Ok(Some(step))
}

impl Drop for Step {
    fn drop(&mut self) {
        let mut state = self.power.state.lock();
        let writes = state.files.entry(std::mem::take(&mut self.path)).or_default();
        writes.retain(|write| !self.covered.contains(&write.id));
        if let Some(write) = writes.iter_mut().find(|write| write.id == self.id) {
            write.done = true;
        }
    }
}
