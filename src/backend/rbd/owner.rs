//! Who may write to an image: one client, the holder of RBD's exclusive lock.
//!
//! The lock is taken when an image is opened for writing and kept until it is closed; librbd is
//! told not to hand it over. What is left is to tell a live owner (refused: in use) from a dead
//! one, and fast, for this daemon restarted after a crash must be back long before its initiators
//! give up:
//!
//! * The owner's process is known to be gone: the owner leaves a note with the image which process
//!   of which running kernel it is. A process that was started later on the same kernel can see
//!   that it is gone. The lock is broken at once; the cluster blocklists the old client, so that
//!   what it had sent and was not done yet never will be.
//! * The owner has no watch on the image: the cluster itself found it dead (30 s after its last
//!   sign of life), and librbd breaks the lock on its own account.
//! * Otherwise it may be alive: refused, with its address.

use std::fmt;

use rustix::io::Errno;

use super::super::{StoreError, StoreErrorKind};
use crate::rbd::{self, Image};

/// Where the note is kept in the image's metadata. Clones inherit their parent's, so it counts
/// only if it names the client that has the lock.
const KEY: &str = "stirrup.owner";
/// The lock may change hands between two looks; then it is looked at again.
const ATTEMPTS: usize = 3;

/// A process, for as long as the kernel it runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    /// Random, made anew at each boot.
    boot: String,
    /// Process ids mean something only within one namespace.
    namespace: String,
    pid: u32,
    /// Clock ticks from boot to its start: process ids are used again.
    started: u64,
}

impl Process {
    fn current() -> Option<Self> {
        let pid = std::process::id();
        Some(Self {
            boot: std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().into(),
            namespace: std::fs::read_link("/proc/self/ns/pid").ok()?.to_string_lossy().into(),
            pid,
            started: start_of(pid)?,
        })
    }

    /// Whether it is gone for certain, as seen from process `here`.
    fn is_gone(&self, here: &Self) -> bool {
        self.boot == here.boot
            && self.namespace == here.namespace
            && start_of(self.pid) != Some(self.started)
    }
}

/// When the process was started; `None` if there is none, or only its remains.
fn start_of(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything. State is field 3, start time field 22.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let alive = !matches!(fields.next()?, "Z" | "X");
    let started = fields.nth(18)?.parse().ok()?;
    alive.then_some(started)
}

/// The note: which process is behind the client at `address`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Note {
    address: String,
    process: Process,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Process { boot, namespace, pid, started } = &self.process;
        write!(f, "1 {} {boot} {namespace} {pid} {started}", self.address)
    }
}

impl Note {
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split(' ').collect();
        let ["1", address, boot, namespace, pid, started] = fields[..] else { return None };
        let process = Process {
            boot: boot.into(),
            namespace: namespace.into(),
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
        };
        Some(Self { address: address.into(), process })
    }
}

/// Makes this client the owner of an image just opened for writing.
pub(super) fn claim(image: &Image) -> Result<(), StoreError> {
    if !image.has_exclusive_lock() {
        let name = image.label();
        let message = format!(
            "{name} has no exclusive lock, without which two gateways could write to it: \
             rbd feature enable {name} exclusive-lock"
        );
        return Err(StoreError::new(StoreErrorKind::Invalid, message));
    }
    evict_if_dead(image)?;
    if let Some(owner) = image.lock_owner()?
        && image.watchers()?.contains(&owner)
    {
        return Err(in_use(image, &owner));
    }
    image.acquire_lock().map_err(|error| match error.errno() {
        Errno::ROFS | Errno::BUSY => in_use(image, "another client, since a moment"),
        _ => error.into(),
    })?;
    leave_note(image)?;
    Ok(())
}

fn in_use(image: &Image, owner: &str) -> StoreError {
    let message = format!(
        "{} is open for writing by {owner} (if that client is dead, try again after 30 s)",
        image.label()
    );
    StoreError::new(StoreErrorKind::InUse, message)
}

/// Breaks the lock of an owner whose process is gone; returns whether there was one.
pub(super) fn evict_if_dead(image: &Image) -> Result<bool, rbd::Error> {
    let mut evicted = false;
    for _ in 0..ATTEMPTS {
        let Some(owner) = image.lock_owner()? else { break };
        let note = image.metadata(KEY)?.and_then(|text| Note::parse(&text));
        let gone = note
            .zip(Process::current())
            .is_some_and(|(note, here)| note.address == owner && note.process.is_gone(&here));
        if !gone {
            break;
        }
        match image.break_lock(&owner) {
            Err(error) if !matches!(error.errno(), Errno::NOENT | Errno::BUSY) => {
                return Err(error);
            }
            // Broken, or it has another owner since: look again.
            _ => {
                tracing::info!(image = image.label(), owner, "took the lock from a dead process");
                evicted = true;
            }
        }
    }
    Ok(evicted)
}

fn leave_note(image: &Image) -> Result<(), rbd::Error> {
    // Without a note a restart waits for the cluster to find out; nothing else is lost.
    if let (Some(address), Some(process)) = (image.lock_owner()?, Process::current()) {
        image.set_metadata(KEY, &Note { address, process }.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_and_a_bad_one_is_none() {
        let process = Process::current().unwrap();
        let note = Note { address: "127.0.0.1:0/4711".into(), process };
        assert_eq!(Note::parse(&note.to_string()), Some(note));
        for bad in ["", "1", "2 a b c 1 2", "1 a b c x 2", "1 a b c 1 2 3", "1 a b c -1 2"] {
            assert_eq!(Note::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_a_process_that_is_certainly_gone_is_gone() {
        let here = Process::current().unwrap();
        assert!(!here.is_gone(&here));
        // The same number, started at another time: the one that was meant is gone.
        assert!(Process { started: here.started - 1, ..here.clone() }.is_gone(&here));
        // Another kernel or namespace: nothing is known.
        let elsewhere = Process { started: 0, boot: "other".into(), ..here.clone() };
        assert!(!elsewhere.is_gone(&here));
        let elsewhere = Process { started: 0, namespace: "pid:[1]".into(), ..here.clone() };
        assert!(!elsewhere.is_gone(&here));

        let mut child = std::process::Command::new("cat");
        child.stdin(std::process::Stdio::piped());
        let mut child = child.spawn().unwrap();
        let pid = child.id();
        let process = Process { pid, started: start_of(pid).unwrap(), ..here.clone() };
        assert!(!process.is_gone(&here));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(process.is_gone(&here));
    }
}
