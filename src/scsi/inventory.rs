//! What all commands of a device share: its logical units and its I_T nexuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::attention::Attentions;
use super::copies::Copies;
use super::lun::{LUN_MAX, LogicalUnit, LogicalUnitSpec, flag};
use super::nexus::{Nexus, NexusSpec};
use super::sense::Asc;

/// Logical units and nexuses of one target.
pub(super) struct Inventory {
    /// iSCSI name of the target.
    pub(super) target_name: String,
    /// Ascending by number.
    pub(super) units: Vec<Arc<LogicalUnit>>,
    nexuses: Mutex<Vec<Arc<Nexus>>>,
    next_nexus: AtomicU64,
}

impl Inventory {
    pub(super) fn new(target_name: String, mut luns: Vec<LogicalUnitSpec>) -> Self {
        luns.retain(|lun| lun.number <= LUN_MAX);
        luns.sort_by_key(|lun| lun.number);
        luns.dedup_by_key(|lun| lun.number);
        let units = luns.into_iter().enumerate();
        Self {
            target_name,
            units: units.map(|(i, spec)| Arc::new(LogicalUnit::new(i, spec))).collect(),
            nexuses: Mutex::default(),
            next_nexus: AtomicU64::new(1),
        }
    }

    /// The logical unit of a number.
    pub(super) fn unit(&self, number: u16) -> Option<&Arc<LogicalUnit>> {
        let at = self.units.binary_search_by_key(&number, |unit| unit.number).ok()?;
        self.units.get(at)
    }

    pub(super) fn attach(&self, spec: NexusSpec) -> Arc<Nexus> {
        let attentions: Box<[_]> = self.units.iter().map(|_| Attentions::default()).collect();
        attentions.iter().for_each(|unit| unit.establish(Asc::POWER_ON_OR_RESET));
        // A machine that powers up finds its disk spinning, whoever stopped it before.
        self.units.iter().for_each(|unit| unit.set_flag(flag::STOPPED, false));
        let id = self.next_nexus.fetch_add(1, Ordering::Relaxed);
        let nexus = Arc::new(Nexus { id, spec, attentions, copies: Copies::default() });
        self.nexuses.lock().push(Arc::clone(&nexus));
        nexus
    }

    /// Forgets a nexus; what it reserved with RESERVE is free.
    pub(super) fn detach(&self, nexus: &Nexus) {
        self.nexuses.lock().retain(|other| other.id != nexus.id);
        for unit in &self.units {
            unit.with_reservations(|reservations| reservations.release(nexus));
        }
    }

    /// A unit attention condition for every nexus that `concerns` picks.
    pub(super) fn establish(
        &self,
        unit: &LogicalUnit,
        asc: Asc,
        concerns: impl Fn(&Nexus) -> bool,
    ) {
        for nexus in self.nexuses.lock().iter().filter(|nexus| concerns(nexus)) {
            nexus.establish(unit.index, asc);
        }
    }
}
