//! Reading a volume from a thread that may wait.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::Thread;

use crate::block::{
    Buffer, Completion, CompletionQueue, Done, Error, ErrorKind, Op, Request, Volume,
};

/// Runs of data that are asked for at once.
const EXTENTS_MAX: u32 = 64;
/// Bytes in which data are looked for at once.
const LOOK_BYTES: u64 = 1 << 30;

/// A volume that is read from beginning to end, by a thread of the blocking pool.
pub struct VolumeReader {
    volume: Arc<dyn Volume>,
    queue: Arc<CompletionQueue>,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl VolumeReader {
    /// Reads `volume`.
    #[must_use]
    pub fn new(volume: Arc<dyn Volume>) -> Self {
        Self { volume, queue: Arc::new(CompletionQueue::new()) }
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.volume.info().size_bytes
    }

    /// Fills `out` from `offset` on; waits for the store.
    ///
    /// # Errors
    /// What the volume says.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        match self.run(Op::Read { offset, buf: Buffer::unfilled(out.len()) })? {
            Done::Data(buf) if buf.len() == out.len() => {
                let mut at = 0;
                for slice in buf.slices() {
                    out[at..at + slice.len()].copy_from_slice(slice);
                    at += slice.len();
                }
                Ok(())
            }
            _ => Err(ErrorKind::Medium.into()),
        }
    }

    /// The first byte at or after `from` that may hold data; `None`: all that is left are zeros.
    ///
    /// # Errors
    /// What the volume says.
    pub fn next_data(&self, from: u64) -> Result<Option<u64>, Error> {
        let size_bytes = self.size_bytes();
        let mut at = from;
        while at < size_bytes {
            let len = LOOK_BYTES.min(size_bytes - at);
            let extents = match self.run(Op::Extents { offset: at, len, max: EXTENTS_MAX }) {
                Ok(Done::Extents(extents)) => extents,
                // A volume that does not know may hold data anywhere.
                Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(Some(at)),
                Ok(_) => return Err(ErrorKind::Medium.into()),
                Err(error) => return Err(error),
            };
            if let Some(data) = extents.iter().find(|extent| extent.mapped) {
                return Ok(Some(data.offset.max(at)));
            }
            match extents.last() {
                Some(last) if last.offset + last.len > at => at = last.offset + last.len,
                _ => return Ok(Some(at)),
            }
        }
        Ok(None)
    }

    fn run(&self, op: Op) -> Result<Done, Error> {
        let (mut requests, mut done) = (vec![Request { tag: 0, op }], Vec::new());
        self.volume.submit(&mut requests, &mut done, &self.queue);
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        loop {
            if let Some(Completion { result, .. }) = done.pop() {
                return result;
            }
            let mut cx = Context::from_waker(&waker);
            if self.queue.poll_drain(&mut cx, &mut done).is_pending() {
                std::thread::park();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::memory::MemoryVolume;

    #[test]
    fn it_reads_what_was_written_and_finds_it() {
        let volume: Arc<dyn Volume> = Arc::new(MemoryVolume::new(4 << 20, false));
        let reader = VolumeReader::new(Arc::clone(&volume));
        let op = Op::Write { offset: 2 << 20, buf: Buffer::from_slice(&[7; 4096]), fua: false };
        reader.run(op).unwrap();
        let at = reader.next_data(0).unwrap().unwrap();
        assert!(at <= 2 << 20, "{at}");
        let mut bytes = [0; 8192];
        reader.read_at((2 << 20) - 4096, &mut bytes).unwrap();
        assert!(bytes[..4096] == [0; 4096] && bytes[4096..] == [7; 4096]);
        assert_eq!(reader.next_data(4 << 20).unwrap(), None);
        reader.read_at(4 << 20, &mut bytes).unwrap_err();
    }
}
