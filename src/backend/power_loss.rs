//! Power losses for tests: what was written and not synced may be there afterwards, or not.
//!
//! While a directory is watched, `fileio` tells of every write to a file in it, and of every sync.
//! The power fails after a given number of these: all later ones fail and change nothing. Then
//! [`Power::lose`] gives each sector of each file, in a copy of the directory, one of the contents
//! it had since the last sync of the file, by chance, as a page cache and a disk that write back
//! in any order would.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

const SECTOR_BYTES: u64 = 512;

static WATCHED: Mutex<Vec<Arc<Power>>> = Mutex::new(Vec::new());

/// The power of the machine that a directory is on.
pub(super) struct Power {
    dir: PathBuf,
    state: Mutex<State>,
}

struct State {
    steps_left: u64,
    error: io::ErrorKind,
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
    /// Watches `dir`; after `steps` writes and syncs all fail with `error`.
    pub(super) fn watch(dir: &Path, steps: u64, error: io::ErrorKind) -> Arc<Self> {
        let dir = dir.canonicalize().unwrap();
        let state = State { steps_left: steps, error, next_id: 0, files: HashMap::new() };
        let power = Arc::new(Self { dir, state: Mutex::new(state) });
        WATCHED.lock().push(Arc::clone(&power));
        power
    }

    /// From now on all writes and syncs fail.
    pub(super) fn cut(&self) {
        self.state.lock().steps_left = 0;
    }

    /// Stops watching.
    pub(super) fn restore(&self) {
        WATCHED.lock().retain(|power| !std::ptr::eq(&**power, self));
    }

    /// Makes the files in `copy`, a copy of the directory, what they are when the power is back.
    /// `pick(n)` is some number below `n`.
    pub(super) fn lose(&self, copy: &Path, mut pick: impl FnMut(usize) -> usize) {
        for (path, writes) in &self.state.lock().files {
            let mut versions: BTreeMap<u64, Vec<&[u8]>> = BTreeMap::new();
            for (sector, before) in writes.iter().flat_map(|write| &write.before) {
                versions.entry(*sector).or_default().push(before);
            }
            let path = copy.join(path.strip_prefix(&self.dir).unwrap());
            // A live map goes after a failed sync.
            let Ok(file) = File::options().write(true).open(&path) else { continue };
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
    let power = Arc::clone(watched.iter().find(|power| path.starts_with(&power.dir))?);
    Some((path, power))
}

fn begin(file: &File) -> io::Result<Option<Step>> {
    let Some((path, power)) = find(file) else { return Ok(None) };
    let mut state = power.state.lock();
    let left = state.steps_left.checked_sub(1);
    state.steps_left = left.ok_or_else(|| io::Error::from(state.error))?;
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
