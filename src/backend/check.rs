//! What every volume says to a request before it looks at it closer.

use crate::block::{Buffer, Done, Error, ErrorKind, Op};

/// The answer to what a volume of `size_bytes` need not do: refuses what is beyond its end, changes
/// something that is `read_only`, or compares what it would not write; an empty request is done.
pub(super) fn answer(op: &mut Op, size_bytes: u64, read_only: bool) -> Option<Result<Done, Error>> {
    let (offset, len, changes) = match op {
        Op::Flush => return None,
        Op::SaveState(_) => return read_only.then(|| Err(ErrorKind::ReadOnly.into())),
        Op::Read { offset, buf } => (*offset, buf.len() as u64, false),
        Op::Extents { offset, len, .. } => (*offset, *len, false),
        Op::Write { offset, buf, .. } | Op::WriteAtomic { offset, buf, .. } => {
            (*offset, buf.len() as u64, true)
        }
        Op::Discard { offset, len } | Op::WriteZeroes { offset, len, .. } => (*offset, *len, true),
        Op::WriteSame { offset, len, pattern } => {
            // The length of an empty pattern is that of no range.
            if !len.is_multiple_of(pattern.len() as u64) {
                let message = "a range of which the pattern does not go whole times";
                return Some(Err(Error::new(ErrorKind::OutOfRange, message)));
            }
            (*offset, *len, true)
        }
        Op::CompareAndWrite { offset, compare, write } => {
            if compare.len() != write.len() {
                let message = "compare and write differ in length";
                return Some(Err(Error::new(ErrorKind::OutOfRange, message)));
            }
            (*offset, compare.len() as u64, true)
        }
    };
    if changes && read_only {
        return Some(Err(ErrorKind::ReadOnly.into()));
    }
    if offset.checked_add(len).is_none_or(|end| end > size_bytes) {
        return Some(Err(ErrorKind::OutOfRange.into()));
    }
    (len == 0).then(|| match op {
        Op::Read { buf, .. } => Ok(Done::Data(std::mem::replace(buf, Buffer::unfilled(0)))),
        Op::Extents { .. } => Ok(Done::Extents(Vec::new())),
        _ => Ok(Done::Unit),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::StateRecord;

    const SIZE: u64 = 4096;

    fn refusal(mut op: Op, read_only: bool) -> Option<ErrorKind> {
        answer(&mut op, SIZE, read_only).map(|answer| answer.unwrap_err().kind())
    }

    fn ops(offset: u64, len: usize) -> [Op; 8] {
        let (buf, n) = (|| Buffer::zeroed(len), len as u64);
        [
            Op::Read { offset, buf: buf() },
            Op::Extents { offset, len: n, max: 1 },
            Op::Write { offset, buf: buf(), fua: false },
            Op::WriteAtomic { offset, buf: buf(), fua: false },
            Op::Discard { offset, len: n },
            Op::WriteZeroes { offset, len: n, fua: false },
            Op::WriteSame { offset, len: n, pattern: buf() },
            Op::CompareAndWrite { offset, compare: buf(), write: buf() },
        ]
    }

    #[test]
    fn only_what_is_inside_goes_on() {
        for (offset, len) in [(0, SIZE as usize), (SIZE - 512, 512)] {
            assert!(ops(offset, len).map(|op| refusal(op, false)).iter().all(Option::is_none));
        }
        for (offset, len) in [(SIZE, 512), (SIZE - 512, 1024), (u64::MAX, 512), (SIZE + 1, 0)] {
            for op in ops(offset, len) {
                assert_eq!(refusal(op, false), Some(ErrorKind::OutOfRange), "{len} at {offset}");
            }
        }
        assert_eq!(refusal(Op::Flush, true), None);
    }

    #[test]
    fn state_is_saved_where_data_may_be_written() {
        let save = || Op::SaveState(StateRecord::new(Vec::new()).unwrap());
        assert_eq!(refusal(save(), false), None);
        assert_eq!(refusal(save(), true), Some(ErrorKind::ReadOnly));
    }

    #[test]
    fn what_is_read_only_is_only_read() {
        let refusals = ops(0, 512).map(|op| refusal(op, true));
        assert_eq!(refusals[..2], [None; 2]);
        assert_eq!(refusals[2..], [Some(ErrorKind::ReadOnly); 5]);
    }

    #[test]
    fn lengths_that_differ_are_refused() {
        let (compare, write) = (Buffer::zeroed(512), Buffer::zeroed(1024));
        let op = Op::CompareAndWrite { offset: 0, compare, write };
        assert_eq!(refusal(op, false), Some(ErrorKind::OutOfRange));
    }

    #[test]
    fn an_empty_request_is_done() {
        for offset in [0, 512, SIZE] {
            for mut op in ops(offset, 0) {
                assert!(matches!(answer(&mut op, SIZE, false), Some(Ok(_))), "{op:?}");
            }
        }
    }
}
