//! LOG SENSE and LOG SELECT (SPC-4 6.5, 6.6), and the log pages. Nothing of them is saved.

use super::command::Call;
use super::lun::LogicalUnit;
use super::outcome::Refusal;
use super::parameters::with_list;
use super::sense::{Asc, Sense};
use super::statistics::{Counter, LOG_PAGES, Totals};
use super::task::Plan;
use super::vpd::THRESHOLD_EXPONENT;

/// A log page with parameters.
struct Page {
    code: u8,
    /// Where its last reset is kept, if it counts.
    reset: Option<usize>,
    /// Its parameters, ascending by code; `None` if the logical unit does not have the page.
    parameters: fn(&LogicalUnit, Totals) -> Option<Vec<Parameter>>,
}

/// Ascending by code.
const PAGES: &[Page] = &[
    Page { code: 0x02, reset: Some(0), parameters: write_errors },
    Page { code: 0x03, reset: Some(1), parameters: read_errors },
    Page { code: 0x0c, reset: None, parameters: provisioning },
    Page { code: 0x19, reset: Some(2), parameters: statistics },
];

/// A log parameter (SPC-4 7.3.2.2.2).
struct Parameter {
    code: u16,
    format: Format,
    value: Vec<u8>,
}

/// FORMAT AND LINKING of the parameter control byte.
#[derive(Clone, Copy)]
enum Format {
    /// A counter that never stops at its highest value.
    Counter = 0x02,
    /// A list of binary values.
    Binary = 0x03,
}

/// TSD of the parameter control byte: it is not saved.
const TSD: u8 = 0x20;
/// DS of the page header: nothing is saved.
const DS: u8 = 0x80;
/// SPF of the page header: there is a subpage code.
const SPF: u8 = 0x40;

impl Parameter {
    fn counter(code: u16, value: u64) -> Self {
        Self { code, format: Format::Counter, value: value.to_be_bytes().to_vec() }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.code.to_be_bytes());
        out.extend_from_slice(&[TSD | self.format as u8, self.value.len() as u8]);
        out.extend_from_slice(&self.value);
    }
}

/// SPC-4 7.3.5: total bytes processed, total uncorrected errors.
fn error_counters(bytes: u64, errors: u64) -> Option<Vec<Parameter>> {
    Some(vec![Parameter::counter(0x0005, bytes), Parameter::counter(0x0006, errors)])
}

fn write_errors(_: &LogicalUnit, totals: Totals) -> Option<Vec<Parameter>> {
    error_counters(totals.of(Counter::BytesWritten), totals.of(Counter::WriteErrors))
}

fn read_errors(_: &LogicalUnit, totals: Totals) -> Option<Vec<Parameter>> {
    error_counters(totals.of(Counter::BytesRead), totals.of(Counter::ReadErrors))
}

/// SBC-3 6.4.5: available and used LBA mapping resources, in threshold sets; of a volume that
/// tells what it takes in its store.
fn provisioning(unit: &LogicalUnit, _: Totals) -> Option<Vec<Parameter>> {
    let usage = unit.usage();
    let set_bytes = u64::from(unit.block_bytes) << THRESHOLD_EXPONENT;
    let parameter = |code, bytes: Option<u64>, scope| {
        let count = u32::try_from(bytes? / set_bytes).unwrap_or(u32::MAX);
        let value = [&count.to_be_bytes()[..], &[scope, 0, 0, 0]].concat();
        Some(Parameter { code, format: Format::Binary, value })
    };
    // What is free is there for others too (SCOPE 2); what is used is this unit's own (1).
    let available = parameter(0x0001, usage.available_bytes, 2);
    let used = parameter(0x0002, usage.used_bytes, 1);
    let all: Vec<_> = available.into_iter().chain(used).collect();
    (unit.has_unmap() && !all.is_empty()).then_some(all)
}

/// SPC-4 7.3.8, the general access statistics: READ and WRITE commands and their blocks.
/// Processing intervals are not measured, and stay 0.
fn statistics(unit: &LogicalUnit, totals: Totals) -> Option<Vec<Parameter>> {
    let blocks = |counter| totals.of(counter) / u64::from(unit.block_bytes);
    let values = [
        totals.of(Counter::Reads),
        totals.of(Counter::Writes),
        blocks(Counter::BytesWritten),
        blocks(Counter::BytesRead),
    ];
    let mut value: Vec<u8> = values.into_iter().flat_map(u64::to_be_bytes).collect();
    value.resize(64, 0);
    Some(vec![Parameter { code: 0x0001, format: Format::Binary, value }])
}

/// PC: which values are meant (SPC-4 table 174).
const CUMULATIVE: u8 = 1;
const DEFAULT_CUMULATIVE: u8 = 3;

pub(super) fn sense(call: &Call<'_>) -> Result<Plan, Refusal> {
    let (control, code, subpage) = (call.cdb.u8(2) >> 6, call.cdb.u8(2) & 0x3f, call.cdb.u8(3));
    let pointer = call.cdb.u16(5);
    let (header, body) = match (code, subpage) {
        (0x00, 0x00) => ([0x00, 0x00], supported(call).collect()),
        (0x00, 0xff) => {
            let pages = supported(call).skip(1).flat_map(|code| [code, 0]);
            ([SPF, 0xff], [0x00, 0x00, 0x00, 0xff].into_iter().chain(pages).collect())
        }
        _ => ([DS | code, 0], parameters(call, control, code, subpage, pointer)?),
    };
    let mut data = header.to_vec();
    data.extend_from_slice(&(body.len() as u16).to_be_bytes());
    data.extend_from_slice(&body);
    Ok(Plan::answer(data, call.cdb.u16(7).into()))
}

/// The codes of all pages that the logical unit has.
fn supported(call: &Call<'_>) -> impl Iterator<Item = u8> {
    let has = |page: &&Page| (page.parameters)(call.unit, Totals::default()).is_some();
    [0x00].into_iter().chain(PAGES.iter().filter(has).map(|page| page.code))
}

/// The parameters of a page from `pointer` on.
fn parameters(
    call: &Call<'_>,
    control: u8,
    code: u8,
    subpage: u8,
    pointer: u16,
) -> Result<Vec<u8>, Refusal> {
    let page =
        PAGES.iter().find(|page| page.code == code).ok_or_else(|| Sense::cdb_field(2, Some(5)))?;
    if subpage != 0 {
        return Err(Sense::cdb_field(3, Some(7)).into());
    }
    let totals = match (control, page.reset) {
        (_, None) | (DEFAULT_CUMULATIVE, _) => Totals::default(),
        (CUMULATIVE, Some(reset)) => call.inventory.totals(call.unit, reset),
        // There are no thresholds.
        _ => return Err(Sense::cdb_field(2, Some(7)).into()),
    };
    let all = (page.parameters)(call.unit, totals);
    let all = all.ok_or_else(|| Sense::cdb_field(2, Some(5)))?;
    if all.last().is_some_and(|last| last.code < pointer) {
        return Err(Sense::cdb_field(5, None).into());
    }
    let mut out = Vec::new();
    let wanted = all.iter().filter(|parameter| parameter.code >= pointer);
    wanted.for_each(|parameter| parameter.encode(&mut out));
    Ok(out)
}

/// Counters can be reset, with PCR or to their defaults; no parameter can be given a value.
pub(super) fn select(call: &Call<'_>) -> Result<Plan, Refusal> {
    let (control, code, subpage) = (call.cdb.u8(2) >> 6, call.cdb.u8(2) & 0x3f, call.cdb.u8(3));
    let resets = call.cdb.bit(1, 1);
    let len = call.cdb.u16(7);
    if len > 0 {
        if resets {
            return Err(Sense::cdb_field(1, Some(1)).into());
        }
        if (code, subpage) != (0, 0) {
            return Err(Sense::cdb_field(2, Some(5)).into());
        }
        return with_list(call, len.into(), |_, list, _| {
            Err(match list.len() {
                0..4 => Sense::illegal(Asc::PARAMETER_LIST_LENGTH_ERROR).into(),
                _ => Sense::parameter(0, Some(5)).into(),
            })
        });
    }
    if subpage != 0 {
        return Err(Sense::cdb_field(3, Some(7)).into());
    }
    let pages: Vec<usize> = match code {
        0 => (0..LOG_PAGES).collect(),
        code => {
            let page = PAGES.iter().find(|page| page.code == code);
            vec![page.and_then(|page| page.reset).ok_or_else(|| Sense::cdb_field(2, Some(5)))?]
        }
    };
    if resets || control == DEFAULT_CUMULATIVE {
        call.inventory.reset_totals(call.unit, &pages);
        let others = |nexus: &super::nexus::Nexus| nexus.id != call.nexus.id;
        call.inventory.establish(call.unit, Asc::LOG_PARAMETERS_CHANGED, others);
    }
    Ok(Plan::good())
}
