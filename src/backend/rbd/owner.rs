//! Who may write to an image: one client, the holder of RBD's exclusive lock.
//!
//! The lock is taken at the first write, or when an image is opened whose reads are answered from
//! memory, and kept until it is closed; librbd is told not to hand it over. What is left is to tell a live owner (refused: in use) from a dead
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
use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::super::{StoreError, StoreErrorKind};
use super::moment::Moment;
use crate::rbd::{self, Access, Image, Pool};

/// Where the note is kept in the image's metadata. Clones inherit their parent's, so it counts
/// only if it names the client that has the lock.
pub(super) const KEY: &str = "stirrup.owner";
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
            started: stat_of(pid)?.started,
        })
    }

    /// Whether it is gone for certain, as seen from process `here`.
    fn is_gone(&self, here: &Self) -> bool {
        self.boot == here.boot
            && self.namespace == here.namespace
            && self.has_ended(stat_of(self.pid))
    }

    /// Going by the process that has this number now, and what is to be seen of it: that this may
    /// not be read, or not at the moment, says nothing.
    fn has_ended(&self, now: Option<Stat>) -> bool {
        match now {
            Some(now) => now.ended || now.started != self.started,
            None => is_free(self.pid),
        }
    }
}

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    started: u64,
    /// Only its remains are there: no thread of it runs any more.
    ended: bool,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name, in parentheses, may hold anything. State is field 3, the number of threads
        // field 20, start time field 22.
        let (_, fields) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let (state, threads) = (fields.first()?, fields.get(17)?.parse::<u32>().ok()?);
        let ended = matches!((*state, threads), ("Z", 0 | 1) | ("X", _));
        Some(Self { started: fields.get(19)?.parse().ok()?, ended })
    }
}

fn stat_of(pid: u32) -> Option<Stat> {
    Stat::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Whether no process has this number.
fn is_free(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

/// The note: which process is behind the client at `address`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Note {
    address: String,
    process: Process,
    /// Another one each time that the lock is taken: who was there before sees that somebody was in
    /// between.
    claim: u64,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Process { boot, namespace, pid, started } = &self.process;
        write!(f, "2 {} {boot} {namespace} {pid} {started} {:x}", self.address, self.claim)
    }
}

impl Note {
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split(' ').collect();
        let ["2", address, boot, namespace, pid, started, claim] = fields[..] else { return None };
        let process = Process {
            boot: boot.into(),
            namespace: namespace.into(),
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
        };
        let claim = u64::from_str_radix(claim, 16).ok()?;
        Some(Self { address: address.into(), process, claim })
    }
}

/// Refuses an image that another client owns, or that cannot be owned.
pub(super) fn check(image: &Image) -> Result<(), StoreError> {
    if !image.has_exclusive_lock() {
        let name = image.label();
        let message = format!(
            "{name} has no exclusive lock, without which two gateways could write to it: \
             rbd feature enable {name} exclusive-lock"
        );
        return Err(StoreError::new(StoreErrorKind::Invalid, message));
    }
    evict(image)?;
    match image.live_owner()? {
        // For an operation of its own, after which it is free again.
        Some(owner) if owner != image.pool().cluster().address() => Err(in_use(image, &owner)),
        _ => Ok(()),
    }
}

/// Makes this client the owner of an image that is open for writing.
pub(super) fn claim(image: &Image) -> Result<(), StoreError> {
    acquire(image)?;
    image.set_found(KEY, image.metadata(KEY)?);
    leave_note(image)
}

/// Takes the lock, and for now only that: nobody is told that it is for long.
pub(super) fn acquire(image: &Image) -> Result<(), StoreError> {
    check(image)?;
    image.acquire_lock().map_err(|error| match error.errno() {
        Errno::ROFS | Errno::BUSY => in_use(image, "another client, since a moment"),
        _ => error.into(),
    })
}

/// Makes this the only handle here that may write.
pub(super) fn begin(image: &Image) -> Result<(), StoreError> {
    match image.begin_writing() {
        true => Ok(()),
        false => {
            Err(in_use(image, &format!("this gateway ({})", image.pool().cluster().address())))
        }
    }
}

fn in_use(image: &Image, owner: &str) -> StoreError {
    let message = format!(
        "{} is open for writing by {owner} (if that client is dead, try again after 30 s)",
        image.label()
    );
    StoreError::new(StoreErrorKind::InUse, message)
}

/// The note, if the process that left it is gone for certain.
fn dead_note(image: &Image) -> Result<Option<Note>, rbd::Error> {
    let note = image.metadata(KEY)?.and_then(|text| Note::parse(&text));
    let here = Process::current();
    Ok(note.filter(|note| here.is_some_and(|here| note.process.is_gone(&here))))
}

/// Breaks the lock of an owner whose process is gone.
fn evict(image: &Image) -> Result<(), rbd::Error> {
    for _ in 0..ATTEMPTS {
        let Some(Note { address: owner, .. }) = dead_note(image)? else { break };
        if image.lock_owner()?.as_ref() != Some(&owner) {
            break;
        }
        match image.break_lock(&owner) {
            // It has another owner since: look again.
            Err(error) if matches!(error.errno(), Errno::NOENT | Errno::BUSY) => {}
            result => {
                result?;
                tracing::info!(image = image.label(), owner, "took the lock from a dead process");
            }
        }
    }
    Ok(())
}

/// As [`claim`] does, for an operation of librbd's own that needs the lock and would wait for the
/// cluster to find out about a dead owner.
pub(super) fn evict_if_dead(pool: &Arc<Pool>, name: &str) -> Result<(), rbd::Error> {
    let seen = Image::open(pool, name, None, Access::ReadOnly)?;
    if seen.has_exclusive_lock() && dead_note(&seen)?.is_some() {
        let open = Moment::open(pool, name)?;
        evict(&open)?;
        drop(open);
        pool.wait_closed(name);
    }
    Ok(())
}

/// Tells whose the lock is. Nothing is written to the image before that.
pub(super) fn leave_note(image: &Image) -> Result<(), StoreError> {
    let mut claim = [0; 8];
    getrandom::fill(&mut claim).map_err(|error| {
        StoreError::new(StoreErrorKind::Unavailable, format!("no random numbers: {error}"))
    })?;
    let claim = u64::from_ne_bytes(claim);
    // Without a note a restart waits for the cluster to find out, and who only reads hears of a
    // writer by the reservations that it makes.
    if let (Some(address), Some(process)) = (image.lock_owner()?, Process::current()) {
        image.leave_mark(KEY, Note { address, process, claim }.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_and_a_bad_one_is_none() {
        let process = Process::current().unwrap();
        let note = Note { address: "127.0.0.1:0/4711".into(), process, claim: u64::MAX - 1 };
        assert_eq!(Note::parse(&note.to_string()), Some(note));
        for bad in [
            "",
            "2",
            "1 a b c 1 2",
            "3 a b c 1 2 f",
            "2 a b c x 2 f",
            "2 a b c 1 2 f 3",
            "2 a b c -1 2 f",
            "2 a b c 1 2 g",
        ] {
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

        let mut command = std::process::Command::new("cat");
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let process = Process { pid, started: stat_of(pid).unwrap().started, ..here.clone() };
        assert!(!process.is_gone(&here));
        assert!(!process.has_ended(None), "it is only not to be seen");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(process.is_gone(&here));
        assert!(process.has_ended(None));
        for pid in [0, u32::MAX] {
            assert!(!Process { pid, ..here.clone() }.has_ended(None), "{pid} is no process's");
        }
    }

    #[test]
    fn remains_have_ended_once_no_thread_runs() {
        let stat = |state: &str, threads: u32| {
            let text = format!(
                "7 (a) Z (b) {state} 1 7 7 0 -1 4194560 96 0 0 0 0 0 0 0 20 0 {threads} 0 4711 0 0"
            );
            Stat::parse(&text)
        };
        for (state, threads, ended) in
            [("S", 1, false), ("Z", 1, true), ("Z", 0, true), ("Z", 2, false), ("X", 0, true)]
        {
            assert_eq!(stat(state, threads), Some(Stat { started: 4711, ended }), "{state}");
        }
        assert_eq!(Stat::parse("7 (a) S 1"), None);
    }
}
