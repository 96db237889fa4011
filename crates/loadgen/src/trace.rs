//! Recorded traces (`scripts/lab/boot-trace`), to be replayed.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};

/// The longest operation that is taken from a trace.
const LEN_MAX: usize = 16 << 20;

/// One read or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) reads: bool,
    /// Byte on the disk.
    pub(crate) position: u64,
    pub(crate) len: usize,
    /// Not to be sent as long as more than so many are in flight.
    pub(crate) in_flight_max: usize,
}

/// A trace and how far it was replayed.
#[derive(Debug, Clone)]
pub(crate) struct Replay {
    operations: Arc<[Operation]>,
    next: usize,
}

impl Replay {
    pub(crate) fn new(operations: &Arc<[Operation]>) -> Self {
        Self { operations: Arc::clone(operations), next: 0 }
    }

    pub(crate) fn next(&mut self) -> Option<Operation> {
        let operation = self.operations.get(self.next).copied();
        self.next += 1;
        operation
    }
}

/// Reads a trace; `reads_only` leaves its writes out.
pub(crate) fn load(path: &Path, reads_only: bool) -> Result<Arc<[Operation]>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    parse(&text, reads_only).with_context(|| format!("{} is no trace", path.display()))
}

fn parse(text: &str, reads_only: bool) -> Result<Arc<[Operation]>> {
    let mut operations = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.starts_with('#')) {
        let operation = operation(line).with_context(|| format!("line {number}: {line:?}"))?;
        if operation.reads || !reads_only {
            operations.push(operation);
        }
    }
    ensure!(!operations.is_empty(), "there is nothing in it");
    Ok(operations.into())
}

/// `R|W OFFSET LENGTH DEPTH GAP`. The gap is the recorded machine's: a replay does not wait.
fn operation(line: &str) -> Result<Operation> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [kind, offset, len, depth, _gap] = fields[..] else { bail!("five fields are wanted") };
    let reads = match kind {
        "R" => true,
        "W" => false,
        _ => bail!("it begins with R or W"),
    };
    let (position, len, in_flight_max) = (offset.parse()?, len.parse()?, depth.parse()?);
    ensure!((1..=LEN_MAX).contains(&len), "a length from 1 to {LEN_MAX}");
    Ok(Operation { reads, position, len, in_flight_max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_in_its_order() {
        let text = "# from somewhere\nR 512 4096 0 100\n# connection 2\nW 0 512 3 0\n";
        let read = Operation { reads: true, position: 512, len: 4096, in_flight_max: 0 };
        let write = Operation { reads: false, position: 0, len: 512, in_flight_max: 3 };
        assert_eq!(*parse(text, false).unwrap(), [read, write]);
        assert_eq!(*parse(text, true).unwrap(), [read]);
        let mut replay = Replay::new(&parse(text, false).unwrap());
        assert_eq!([replay.next(), replay.next(), replay.next()], [Some(read), Some(write), None]);
    }

    #[test]
    fn what_is_no_trace_is_refused() {
        for text in
            ["", "# only words\n", "R 0 512 0\n", "X 0 512 0 0\n", "R 0 0 0 0\n", "R a 1 0 0\n"]
        {
            assert!(parse(text, false).is_err(), "{text:?}");
        }
        assert!(parse("R 0 99999999 0 0\n", false).is_err());
    }
}
