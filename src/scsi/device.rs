//! The device server: what comes in from the transport.

use std::sync::Arc;

use super::cdb::Cdb;
use super::command::{AnyCall, Call, Handler, Row};
use super::inventory::Inventory;
use super::lun::{Address, LogicalUnit, LogicalUnitSpec, REPORT_LUNS_LUN, UnitId, flag};
use super::nexus::{Nexus, NexusSpec, Seen};
use super::opcode;
use super::outcome::{Outcome, Refusal, Status, TaskAttribute};
use super::reservation::Guard;
use super::sense::{Asc, Sense, SenseFormat, SenseKey};
use super::statistics::Counter;
use super::task::{Plan, Prepared};
use crate::block::{Usage, VolumeInfo};

/// The SCSI target device of one target: its logical units, shared by all sessions and shards.
pub struct Device {
    inventory: Arc<Inventory>,
}

/// A command as the transport received it.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    /// The LUN field, in wire order.
    pub lun: u64,
    /// At least the bytes of the CDB's length; a transport that pads with zeros is welcome.
    pub cdb: &'a [u8],
    /// Task attribute.
    pub attribute: TaskAttribute,
    /// What the initiator says it will send, in bytes; 0 if nothing.
    pub data_out_bytes: u64,
}

/// What becomes of a command.
pub enum Admission {
    /// It goes on: move the data it asks for, then start it.
    Run(Prepared),
    /// It has ended: refused, or answered from the device's own state.
    Done(Outcome),
}

/// The LUN field of a task management function addresses no logical unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchLun;

impl Device {
    /// A device with these logical units (of two with one number, the first; none beyond
    /// [`super::LUN_MAX`]). `target_name` is the iSCSI name, for the designators of VPD page 83h.
    #[must_use]
    pub fn new(target_name: impl Into<String>, luns: Vec<LogicalUnitSpec>) -> Self {
        Self { inventory: Arc::new(Inventory::new(target_name.into(), luns)) }
    }

    /// Replaces the logical units. One whose identifier and number were there stays, with its
    /// reservations, mode parameters and unit attentions, whatever else its spec says. If any
    /// came or went, every nexus hears REPORTED LUNS DATA HAS CHANGED on all of them, and true is
    /// returned: [`Self::luns_changed_event`] is what to tell initiators besides.
    ///
    /// A command that was admitted before goes on: its operations are for the volume of
    /// [`super::Prepared::unit`], which must stay until it has ended.
    pub fn set_luns(&self, luns: Vec<LogicalUnitSpec>) -> bool {
        self.inventory.set_luns(luns)
    }

    /// The asynchronous event (SAM-5 7.13, RFC 7143 11.9) after a change of the logical units:
    /// LUN field and sense data.
    #[must_use]
    pub fn luns_changed_event(&self) -> (u64, Vec<u8>) {
        let lun = self
            .inventory
            .units()
            .first()
            .map_or(REPORT_LUNS_LUN, |unit| u64::from_be_bytes(Address::encode(unit.number)));
        (lun, Sense::new(SenseKey::UnitAttention, Asc::REPORTED_LUNS_CHANGED).encode())
    }

    /// A session is established. Its first command to each logical unit hears POWER ON, RESET, OR
    /// BUS DEVICE RESET OCCURRED; if the same ports had a nexus before, I_T NEXUS LOSS OCCURRED,
    /// and what else it had not heard by then.
    #[must_use]
    pub fn attach(&self, spec: NexusSpec) -> Arc<Nexus> {
        self.inventory.attach(spec)
    }

    /// I_T nexus loss (SAM-5 6.3.4): what it reserved with RESERVE is free; persistent
    /// registrations stay.
    pub fn detach(&self, nexus: &Nexus) {
        self.inventory.detach(nexus);
    }

    /// Looks at a command before any data are moved.
    #[must_use]
    pub fn admit(&self, nexus: &Arc<Nexus>, command: &Command<'_>) -> Admission {
        let address = Address::decode(command.lun);
        let view = nexus.view();
        let seen = match address {
            Address::Unit(number) => view.find(number),
            Address::ReportLuns | Address::Other => None,
        };
        let format = seen.map_or(SenseFormat::Fixed, |seen| seen.unit.sense_format());
        let outcome = match (self.plan(nexus, address, seen, command), seen) {
            (Ok(Plan::Done(outcome)), _) => outcome,
            (Ok(plan), Some(seen)) => {
                seen.count(&plan);
                let (unit, lun) = (seen.unit.id, seen.unit.number);
                return Admission::Run(Prepared { unit, lun, format, plan });
            }
            // What is no logical unit has no command that would go on.
            (Ok(_), None) => Outcome::check(Sense::illegal(Asc::LUN_NOT_SUPPORTED)),
            (Err(refusal), _) => Outcome::from(refusal),
        };
        Admission::Done(outcome.in_format(format))
    }

    /// The checks in the order of SAM-5 5.3.3 and SPC-4 5.12.1.
    fn plan(
        &self,
        nexus: &Arc<Nexus>,
        address: Address,
        seen: Option<&Seen>,
        command: &Command<'_>,
    ) -> Result<Plan, Refusal> {
        let cdb = Cdb::new(command.cdb);
        let row = opcode::find(&cdb);
        let attentions = match (seen, address) {
            (Some(seen), _) => Some(&*seen.attentions),
            (None, Address::ReportLuns) => Some(&nexus.well_known),
            (None, _) => None,
        };
        let anywhere = matches!(row, Ok(Row { handler: Handler::Anywhere(_), .. }));
        if !anywhere {
            let attentions = attentions.ok_or_else(|| Sense::illegal(Asc::LUN_NOT_SUPPORTED))?;
            if let Some(asc) = attentions.take() {
                return Err(Sense::new(SenseKey::UnitAttention, asc).into());
            }
        }
        let row = row?;
        if command.attribute == TaskAttribute::Aca {
            return Err(Sense::illegal(Asc::INVALID_FIELD_IN_INFORMATION_UNIT).into());
        }
        if command.cdb.len() < row.usage.len() {
            return Err(Sense::illegal(Asc::INVALID_FIELD_IN_CDB).into());
        }
        let unit = seen.map(|seen| &seen.unit);
        if let Some(unit) = unit {
            check_unit(nexus, unit, row)?;
        }
        cdb.check_usage(row.usage)?;
        let inventory = &self.inventory;
        let plan = match (&row.handler, unit) {
            (Handler::Anywhere(handle) | Handler::Existing(handle), _) => {
                handle(&AnyCall { cdb, inventory, nexus, address, unit, attentions })?
            }
            (Handler::Unit(handle), Some(unit)) => {
                let (data_out_bytes, table) = (command.data_out_bytes, opcode::TABLE);
                handle(&Call { cdb, inventory, nexus, unit, data_out_bytes, table })?
            }
            // The well-known logical unit has no other commands (SPC-4 8.2).
            (Handler::Unit(_), None) => return Err(Sense::illegal(Asc::INVALID_OPCODE).into()),
        };
        if plan.agrees_with(command.data_out_bytes) {
            Ok(plan)
        } else {
            Err(Sense::illegal(Asc::INVALID_FIELD_IN_CDB).into())
        }
    }

    /// Takes over what the volumes say of themselves now: of each logical unit, if `look` answers.
    /// Where size or abilities are others than before, every nexus hears of it.
    pub fn refresh(&self, look: impl Fn(UnitId) -> Option<VolumeInfo>) {
        for unit in self.inventory.units() {
            let Some(changes) = look(unit.id).and_then(|info| unit.set_info(info)) else {
                continue;
            };
            if changes.capacity {
                self.inventory.establish(&unit, Asc::CAPACITY_CHANGED, |_| true);
            }
            if changes.mode {
                self.inventory.establish(&unit, Asc::MODE_PARAMETERS_CHANGED, |_| true);
            }
        }
    }

    /// Takes over what the volumes take in their stores now.
    pub fn set_usage(&self, look: impl Fn(UnitId) -> Usage) {
        self.inventory.units().iter().for_each(|unit| unit.set_usage(look(unit.id)));
    }

    /// A command has ended with this sense data; counted if the medium was the reason.
    pub fn failed(&self, nexus: &Nexus, unit: UnitId, sense: &Sense) {
        let counter = match (sense.key, sense.asc) {
            (SenseKey::MediumError, Asc::WRITE_ERROR) => Counter::WriteErrors,
            (SenseKey::MediumError, _) => Counter::ReadErrors,
            _ => return,
        };
        if let Some(seen) = nexus.view().seen.iter().find(|seen| seen.unit.id == unit) {
            seen.counters.add(counter, 1);
        }
    }

    /// The number of the logical unit that a LUN field addresses, for task management.
    ///
    /// # Errors
    /// If there is none; the function is then answered with "LUN does not exist".
    pub fn resolve(&self, lun: u64) -> Result<u16, NoSuchLun> {
        match Address::decode(lun) {
            Address::Unit(number) => self.inventory.unit(number).map(|unit| unit.number),
            Address::ReportLuns | Address::Other => None,
        }
        .ok_or(NoSuchLun)
    }

    /// As [`Self::resolve`]: the logical unit itself.
    ///
    /// # Errors
    /// If there is none.
    pub fn unit(&self, lun: u64) -> Result<UnitId, NoSuchLun> {
        match Address::decode(lun) {
            Address::Unit(number) => self.inventory.unit(number).map(|unit| unit.id),
            Address::ReportLuns | Address::Other => None,
        }
        .ok_or(NoSuchLun)
    }

    /// QUERY ASYNCHRONOUS EVENT (SAM-5 7.10): the additional response information of the function,
    /// if a unit attention condition is pending.
    ///
    /// # Errors
    /// If the LUN field addresses no logical unit.
    pub fn asynchronous_event(
        &self,
        nexus: &Nexus,
        lun: u64,
    ) -> Result<Option<[u8; 3]>, NoSuchLun> {
        let number = self.resolve(lun)?;
        let unit = self.inventory.unit(number).ok_or(NoSuchLun)?;
        Ok(nexus.asynchronous_event(&unit))
    }

    /// LOGICAL UNIT RESET (SAM-5 6.3.3), after the tasks of all nexuses are aborted: RESERVE ends,
    /// every nexus hears BUS DEVICE RESET FUNCTION OCCURRED, the one that asked for it, too.
    ///
    /// # Errors
    /// If the LUN field addresses no logical unit.
    pub fn reset_lun(&self, lun: u64) -> Result<u16, NoSuchLun> {
        let number = self.resolve(lun)?;
        let unit = self.inventory.unit(number).ok_or(NoSuchLun)?;
        unit.reset();
        self.inventory.establish(&unit, Asc::BUS_DEVICE_RESET, |_| true);
        Ok(number)
    }

    /// TARGET WARM RESET and TARGET COLD RESET (RFC 7143 11.5.1): as a reset of every logical
    /// unit.
    pub fn reset_target(&self) {
        self.inventory.units().iter().for_each(|unit| unit.reset());
        self.inventory.establish_all(Asc::BUS_DEVICE_RESET);
    }

    /// Tasks of a nexus on the logical unit that a LUN field addresses have ended with one of its
    /// iSCSI connections: it hears SOME COMMANDS CLEARED BY ISCSI PROTOCOL EVENT (RFC 7143
    /// 11.14.5).
    ///
    /// # Errors
    /// If the LUN field addresses no logical unit.
    pub fn cleared_by_protocol(&self, whose: &Nexus, lun: u64) -> Result<(), NoSuchLun> {
        let unit = self.inventory.unit(self.resolve(lun)?).ok_or(NoSuchLun)?;
        self.inventory.establish(&unit, Asc::CLEARED_BY_PROTOCOL, |nexus| nexus.id == whose.id);
        Ok(())
    }
}

/// Reservations, and whether this logical unit has the command.
fn check_unit(nexus: &Nexus, unit: &LogicalUnit, row: &Row) -> Result<(), Refusal> {
    if unit.has(flag::EXCLUSIVE)
        && !matches!(row.handler, Handler::Anywhere(_))
        && let Some(sense) = unit.with_exclusive(|state| state.refusal(row.opcode))
    {
        return Err(sense.into());
    }
    if unit.has(flag::RESERVED)
        && row.guard != Guard::Free
        && !unit.with_reservations(|reservations| reservations.allow(nexus, row.guard))
    {
        return Err(Refusal::Status(Status::ReservationConflict));
    }
    if (row.supported)(unit) { Ok(()) } else { Err(Sense::illegal(Asc::INVALID_OPCODE).into()) }
}
