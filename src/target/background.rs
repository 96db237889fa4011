//! What goes on in the background on the logical units of a target (SANITIZE, FORMAT UNIT): a
//! task on the shard of the connection that began it, and no part of its session.
//!
//! It ends when it is done, or between two operations when its logical unit is taken away.

use std::future::poll_fn;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::backing::{Backing, Removal};
use crate::block::{Completion, CompletionQueue, Done, ErrorKind, Request};
use crate::scsi::{Background, UnitId};

/// The work there is on the logical units of one target; never more than one on each.
#[derive(Default)]
pub(super) struct Works {
    state: Mutex<State>,
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    running: Vec<Running>,
    /// Who looks at the volumes just now ([`Look`]).
    looks: usize,
    /// What was taken away meanwhile: let go when the last of them has looked away.
    looked_at: Vec<Arc<Removal>>,
    /// The target is taken away: what begins now ends at once.
    closed: bool,
}

impl State {
    fn count(&self) -> usize {
        self.running.len() + self.looks
    }
}

struct Running {
    unit: UnitId,
    stop: bool,
    #[allow(dead_code, reason = "the volume of a removed logical unit is let go when this ends")]
    removal: Option<Arc<Removal>>,
}

impl Works {
    fn enter(&self, unit: UnitId) {
        let mut state = self.state.lock();
        let stop = state.closed;
        state.running.push(Running { unit, stop, removal: None });
        self.count.send_replace(state.count());
    }

    fn leave(&self, unit: UnitId) {
        let is_left = |work: &mut Running| work.unit == unit;
        let left: Vec<_> = self.state.lock().running.extract_if(.., is_left).collect();
        // Outside the lock: the last one of a removal lets volumes go. And before anyone is told.
        drop(left);
        let state = self.state.lock();
        self.count.send_replace(state.count());
    }

    fn look(&self, change: impl FnOnce(&mut usize)) {
        let mut state = self.state.lock();
        change(&mut state.looks);
        let let_go =
            if state.looks == 0 { std::mem::take(&mut state.looked_at) } else { Vec::new() };
        drop(state);
        // As in `leave`.
        drop(let_go);
        let state = self.state.lock();
        self.count.send_replace(state.count());
    }

    fn must_stop(&self, unit: UnitId) -> bool {
        self.state.lock().running.iter().any(|work| work.unit == unit && work.stop)
    }

    /// Logical units were taken away.
    pub(super) fn stop_removed(&self, removal: &Arc<Removal>) {
        let mut state = self.state.lock();
        if state.looks > 0 {
            state.looked_at.push(Arc::clone(removal));
        }
        for work in &mut state.running {
            if removal.units.contains(&work.unit) {
                (work.stop, work.removal) = (true, Some(Arc::clone(removal)));
            }
        }
    }

    /// All of them were, for good.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.running.iter_mut().for_each(|work| work.stop = true);
    }

    /// Waits until there is none.
    pub(super) async fn ended(&self) {
        // The sender lives in `self`, so this cannot fail.
        let mut count = self.count.subscribe();
        let _ended = count.wait_for(|count| *count == 0).await;
    }
}

/// Somebody looks at the volumes of a target, and may have to wait for their store. Who takes the
/// target away waits for the end of it.
pub(super) struct Look {
    backing: Option<Arc<Backing>>,
    works: Arc<Works>,
}

impl Look {
    /// Begins, before the target can be taken away.
    pub(super) fn at(backing: &Arc<Backing>) -> Self {
        let works = Arc::clone(&backing.works);
        works.look(|looks| *looks += 1);
        Self { backing: Some(Arc::clone(backing)), works }
    }

    /// Has initiators hear of what has changed. Blocks.
    pub(super) fn refresh(self) {
        if let Some(backing) = &self.backing {
            backing.refresh();
        }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.backing = None;
        self.works.look(|looks| *looks -= 1);
    }
}

/// Takes itself out of the list, however it ends; before that it lets the volumes go.
struct Entry {
    backing: Option<Arc<Backing>>,
    works: Arc<Works>,
    unit: UnitId,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.backing = None;
        self.works.leave(self.unit);
    }
}

/// Tells the task that waits for the work.
struct Waiter {
    queue: Arc<CompletionQueue>,
    tag: u64,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.queue.push(Completion { tag: self.tag, result: Ok(Done::Unit) });
    }
}

/// Lets `work` go on beside the connection. The task that asked for it gets one completion with
/// its `tag`, when it is due.
pub(super) fn spawn(
    work: Box<Background>,
    backing: Arc<Backing>,
    queue: &Arc<CompletionQueue>,
    tag: u64,
) {
    let unit = work.unit();
    let works = Arc::clone(&backing.works);
    works.enter(unit);
    let entry = Entry { backing: Some(backing), works, unit };
    let mut waiter = Some(Waiter { queue: Arc::clone(queue), tag });
    if work.is_immediate() {
        waiter = None;
    }
    tokio::task::spawn_local(async move {
        tracing::info!(unit = unit.0, "begins to erase a disk, as its initiator has asked");
        let end = drive(work, &entry).await;
        tracing::info!(unit = unit.0, "erasing a disk: {end}");
        // In this order: who is told finds the logical unit free.
        drop(entry);
        drop(waiter);
    });
}

/// Submits and resumes until the end. Returns what it came to.
async fn drive(mut work: Box<Background>, entry: &Entry) -> &'static str {
    let Some(backing) = &entry.backing else { return "no volumes" };
    let Some(service) = &backing.service else { return "no volumes" };
    let queue = Arc::new(CompletionQueue::new());
    let (mut requests, mut done) = (Vec::new(), Vec::new());
    loop {
        if entry.works.must_stop(entry.unit) {
            return "given up, the disk is taken away";
        }
        requests.extend(work.ops().drain_own().map(|op| Request { tag: 0, op }));
        let volumes = service.volumes();
        match volumes.binary_search_by_key(&entry.unit, |(unit, _)| *unit) {
            Ok(at) => volumes[at].1.submit(&mut requests, &mut done, &queue),
            Err(_) => done.extend(
                requests
                    .drain(..)
                    .map(|_| Completion { tag: 0, result: Err(ErrorKind::Gone.into()) }),
            ),
        }
        drop(volumes);
        if done.is_empty() {
            poll_fn(|cx| queue.poll_drain(cx, &mut done)).await;
        } else {
            // Answered at once: the connections of the shard have their turn.
            tokio::task::yield_now().await;
        }
        for Completion { result, .. } in done.drain(..) {
            if let Err(error) = &result {
                tracing::error!(unit = entry.unit.0, %error, "erasing a disk fails");
            }
            if work.resume(result) {
                return "ended";
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::*;
    use crate::backend::memory::MemoryVolume;
    use crate::block::{Volume, VolumeInfo};
    use crate::target::backing::Fences;
    use crate::target::registry::Registry;
    use crate::target::spec::{Lun, TargetSpec};

    #[test]
    fn volumes_are_let_go_before_the_end_is_told() {
        let volume = Arc::new(MemoryVolume::new(1 << 20, false));
        let lun = Lun {
            number: 1,
            volume: Some(volume.clone()),
            identity: "one".into(),
            block_bytes: 512,
            read_only: false,
            limits: crate::block::Limits::default(),
        };
        let backing = Backing::new("iqn.2026-07.example:a", &[lun], &Fences::default());
        let works = Arc::clone(&backing.works);
        let unit = UnitId(0);
        works.enter(unit);
        let entry = Entry { backing: Some(backing), works: Arc::clone(&works), unit };
        // The end cannot be told before this lock is free.
        let (told, held) = (works.count.subscribe(), works.state.lock());
        let ends = std::thread::spawn(move || drop(entry));
        while Arc::strong_count(&volume) > 1 {
            std::thread::yield_now();
        }
        assert_eq!(*told.borrow(), 1);
        drop(held);
        ends.join().unwrap();
        assert_eq!(*told.borrow(), 0);
    }

    /// A volume whose store, once it is to hang, says nothing until it is told to.
    struct Hanging {
        hangs: AtomicBool,
        looks: mpsc::Sender<()>,
        may_go_on: Mutex<mpsc::Receiver<()>>,
    }

    impl Volume for Hanging {
        fn info(&self) -> VolumeInfo {
            if self.hangs.swap(false, Ordering::Relaxed) {
                self.looks.send(()).unwrap();
                self.may_go_on.lock().recv().unwrap();
            }
            MemoryVolume::new(1 << 20, false).info()
        }

        fn submit(&self, _: &mut Vec<Request>, _: &mut Vec<Completion>, _: &Arc<CompletionQueue>) {
            unreachable!("nobody reads or writes")
        }
    }

    #[tokio::test]
    async fn who_takes_a_target_away_waits_for_a_look_at_its_volumes() {
        let (looks, looking) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel();
        let may_go_on = Mutex::new(may_go_on);
        let volume = Arc::new(Hanging { hangs: AtomicBool::new(false), looks, may_go_on });
        let weak = Arc::downgrade(&volume);
        let registry = Registry::new(1);
        let name = "iqn.2026-07.example:a";
        let lun = Lun {
            number: 1,
            volume: Some(volume.clone()),
            identity: "one".into(),
            block_bytes: 512,
            read_only: false,
            limits: crate::block::Limits::default(),
        };
        let access = crate::target::spec::Access::default();
        registry.publish(TargetSpec { name: name.into(), luns: vec![lun], access });
        volume.hangs.store(true, Ordering::Relaxed);
        drop(volume);
        let look = registry.look_at(name).unwrap();
        let refreshed = std::thread::spawn(|| look.refresh());
        looking.recv().unwrap();

        assert!(registry.withdraw(name));
        assert!(registry.look_at(name).is_none());
        let works = registry.closed_works(Some(name));
        let ended = async {
            for works in works {
                works.ended().await;
            }
        };
        tokio::pin!(ended);
        let pending = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(std::future::Future::poll(ended.as_mut(), cx).is_pending())
        });
        assert!(pending.await, "the store has not answered");
        go_on.send(()).unwrap();
        ended.await;
        assert!(weak.upgrade().is_none(), "the volume is closed");
        refreshed.join().unwrap();
    }
}
