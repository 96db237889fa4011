//! A volume that takes writes and forgets them, and reads as zeros: the protocol's cost alone.

use std::sync::Arc;

use crate::block::{
    Completion, CompletionQueue, Done, ErrorKind, Extent, Op, Request, Volume, VolumeInfo,
};

/// For benchmarks: nothing is stored.
pub struct NullVolume {
    size_bytes: u64,
    read_only: bool,
}

impl NullVolume {
    /// A volume that claims to be `size_bytes` long.
    #[must_use]
    pub fn new(size_bytes: u64, read_only: bool) -> Self {
        Self { size_bytes, read_only }
    }
}

impl Volume for NullVolume {
    fn info(&self) -> VolumeInfo {
        VolumeInfo {
            size_bytes: self.size_bytes,
            read_only: self.read_only,
            write_cache: false,
            physical_block_bytes: 4096,
            optimal_io_bytes: 0,
            discard_granularity_bytes: 4096,
            max_compare_and_write_bytes: 0,
            max_atomic_write_bytes: 0,
            atomic_write_boundary_bytes: 0,
            has_write_same: false,
        }
    }

    fn submit(
        &self,
        requests: &mut Vec<Request>,
        done: &mut Vec<Completion>,
        _queue: &Arc<CompletionQueue>,
    ) {
        done.extend(requests.drain(..).map(|Request { tag, op }| {
            let result = match op {
                Op::Read { offset: _, mut buf } => {
                    buf.slices_mut().for_each(|slice| slice.fill(0));
                    Ok(Done::Data(buf))
                }
                Op::Extents { offset, len, max: _ } => {
                    Ok(Done::Extents(vec![Extent { offset, len, mapped: false }]))
                }
                Op::WriteAtomic { .. }
                | Op::WriteSame { .. }
                | Op::CompareAndWrite { .. }
                | Op::SaveState(_) => Err(ErrorKind::Unsupported.into()),
                _ if self.read_only => Err(ErrorKind::ReadOnly.into()),
                _ => Ok(Done::Unit),
            };
            Completion { tag, result }
        }));
    }
}
