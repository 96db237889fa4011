//! What all commands of a device share: its logical units and its I_T nexuses.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::attention::Attentions;
use super::lun::{LUN_MAX, LogicalUnit, LogicalUnitSpec, flag};
use super::nexus::{Nexus, NexusSpec, Seen, View};
use super::sense::Asc;
use super::statistics::{Past, Totals};

/// Ports that are remembered after their nexus was lost.
const LOST_MAX: usize = 256;

/// Logical units and nexuses of one target.
pub(super) struct Inventory {
    /// iSCSI name of the target.
    pub(super) target_name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Ascending by number.
    units: Vec<Arc<LogicalUnit>>,
    nexuses: Vec<Arc<Nexus>>,
    last_nexus: u64,
    /// Nexuses that are gone, oldest first: should they come back, they hear what they missed.
    lost: VecDeque<Arc<Nexus>>,
}

impl State {
    fn totals(&self, unit: &LogicalUnit, past: &Past) -> Totals {
        let mut totals = past.gone;
        for nexus in &self.nexuses {
            let view = nexus.view();
            if let Some(seen) = view.find(unit.number).filter(|seen| seen.unit.id == unit.id) {
                totals.add(seen.counters.totals());
            }
        }
        totals
    }
}

impl Inventory {
    pub(super) fn new(target_name: String, luns: Vec<LogicalUnitSpec>) -> Self {
        let inventory = Self { target_name, state: Mutex::default() };
        inventory.set_luns(luns);
        inventory
    }

    /// These are the logical units now: those of an identifier that was there stay as they are,
    /// with their state, the others are new. True if any came or went.
    pub(super) fn set_luns(&self, mut luns: Vec<LogicalUnitSpec>) -> bool {
        luns.retain(|lun| lun.number <= LUN_MAX);
        luns.sort_by_key(|lun| lun.number);
        luns.dedup_by_key(|lun| lun.number);
        let mut state = self.state.lock();
        let held = &state.units;
        let stays = |spec: &LogicalUnitSpec| {
            let at = held.binary_search_by_key(&spec.number, |unit| unit.number).ok()?;
            held.get(at).filter(|unit| unit.id == spec.id)
        };
        let units: Vec<_> = luns
            .into_iter()
            .map(|spec| match stays(&spec) {
                Some(unit) => Arc::clone(unit),
                None => Arc::new(LogicalUnit::new(spec)),
            })
            .collect();
        let same = |(a, b): (&Arc<LogicalUnit>, &Arc<LogicalUnit>)| Arc::ptr_eq(a, b);
        if units.len() == held.len() && units.iter().zip(held).all(same) {
            return false;
        }
        state.units = units;
        for nexus in state.nexuses.iter().chain(&state.lost) {
            nexus.set_view(next_view(&nexus.view(), &state.units));
            nexus.establish_all(Asc::REPORTED_LUNS_CHANGED);
        }
        true
    }

    /// The logical unit of a number.
    pub(super) fn unit(&self, number: u16) -> Option<Arc<LogicalUnit>> {
        let state = self.state.lock();
        let at = state.units.binary_search_by_key(&number, |unit| unit.number).ok()?;
        state.units.get(at).map(Arc::clone)
    }

    pub(super) fn units(&self) -> Vec<Arc<LogicalUnit>> {
        self.state.lock().units.clone()
    }

    /// A nexus is there: for the first time since the device is, or again after it was lost.
    pub(super) fn attach(&self, spec: NexusSpec) -> Arc<Nexus> {
        let mut state = self.state.lock();
        // A machine that powers up finds its disk spinning, whoever stopped it before, unless that
        // is another one's too. What it left behind itself may still be there.
        let shared = state.nexuses.iter().any(|nexus| !nexus.spec.is_same_node(&spec));
        if !shared {
            state.units.iter().for_each(|unit| unit.set_flag(flag::STOPPED, false));
        }
        let lost = state.lost.iter().position(|lost| lost.spec.is_same_nexus(&spec));
        let view = match lost.and_then(|at| state.lost.remove(at)) {
            Some(lost) => view_after_loss(&lost.view()),
            None => next_view(&View { seen: Vec::new() }, &state.units),
        };
        state.last_nexus += 1;
        let nexus = Arc::new(Nexus::new(state.last_nexus, spec, view));
        state.nexuses.push(Arc::clone(&nexus));
        nexus
    }

    /// Forgets a nexus; what it reserved with RESERVE is free.
    pub(super) fn detach(&self, nexus: &Nexus) {
        let mut state = self.state.lock();
        let Some(at) = state.nexuses.iter().position(|other| other.id == nexus.id) else { return };
        let gone = state.nexuses.swap_remove(at);
        state.lost.retain(|lost| !lost.spec.is_same_nexus(&gone.spec));
        if state.lost.len() >= LOST_MAX {
            state.lost.pop_front();
        }
        state.lost.push_back(gone);
        let view = nexus.view();
        for seen in &view.seen {
            seen.unit.with_past(|past| past.gone.add(seen.counters.totals()));
        }
        drop(state);
        for seen in &view.seen {
            seen.unit.with_reservations(|reservations| reservations.release(nexus));
        }
    }

    /// The target ports that are known, ascending.
    pub(super) fn target_ports(&self) -> Vec<u16> {
        let state = self.state.lock();
        let told = |nexus: &Arc<Nexus>| {
            let spec = &nexus.spec;
            spec.target_ports.iter().copied().chain([spec.target_port]).collect::<Vec<_>>()
        };
        let mut ports: Vec<u16> = state.nexuses.iter().flat_map(told).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// The nexuses there are.
    pub(super) fn nexuses(&self) -> Vec<Arc<Nexus>> {
        self.state.lock().nexuses.clone()
    }

    /// A unit attention condition for every nexus that `concerns` picks, also one that was lost.
    pub(super) fn establish(
        &self,
        unit: &LogicalUnit,
        asc: Asc,
        concerns: impl Fn(&Nexus) -> bool,
    ) {
        let state = self.state.lock();
        for nexus in state.nexuses.iter().chain(&state.lost).filter(|nexus| concerns(nexus)) {
            nexus.establish(unit, asc);
        }
    }

    /// What all nexuses have done with a logical unit since the last reset of a log page.
    pub(super) fn totals(&self, unit: &LogicalUnit, page: usize) -> Totals {
        let state = self.state.lock();
        unit.with_past(|past| state.totals(unit, past).since(past.at_reset[page]))
    }

    /// Log pages count from here on.
    pub(super) fn reset_totals(&self, unit: &LogicalUnit, pages: &[usize]) {
        let state = self.state.lock();
        unit.with_past(|past| {
            let now = state.totals(unit, past);
            pages.iter().for_each(|page| past.at_reset[*page] = now);
        });
    }

    /// A unit attention condition of the whole device for every nexus.
    pub(super) fn establish_all(&self, asc: Asc) {
        let state = self.state.lock();
        state.nexuses.iter().chain(&state.lost).for_each(|nexus| nexus.establish_all(asc));
    }
}

/// What a nexus sees after the logical units have changed: of those that it saw before it has
/// still to hear what it had, new ones have just powered on.
fn next_view(old: &View, units: &[Arc<LogicalUnit>]) -> View {
    let see = |unit: &Arc<LogicalUnit>| match old.find(unit.number) {
        Some(seen) if seen.unit.id == unit.id => seen.clone(),
        _ => Seen::new(unit, Arc::new(Attentions::of(vec![Asc::POWER_ON_OR_RESET]))),
    };
    View { seen: units.iter().map(see).collect() }
}

/// What a nexus sees that was lost and is there again: of the loss, and what it had still to hear
/// (SAM-5 6.3.4).
fn view_after_loss(lost: &View) -> View {
    let see = |seen: &Seen| {
        seen.attentions.establish(Asc::NEXUS_LOSS);
        Seen::new(&seen.unit, Arc::clone(&seen.attentions))
    };
    View { seen: lost.seen.iter().map(see).collect() }
}
