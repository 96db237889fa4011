//! Writes that are there as a whole or not at all.

use std::sync::Arc;

use super::{Disk, SIZE, pattern, with_clone};
use crate::backend::Store;
use crate::block::{Buffer, Op};

pub(super) fn seen_whole(store: &dyn Store, name: &str) {
    with_clone(store, name, |disk, mut wanted| {
        let most = disk.volume.info().max_atomic_write_bytes as usize;
        if most == 0 {
            return;
        }
        let write = |disk: &Disk, offset: u64, bytes: &[u8]| {
            disk.run(Op::WriteAtomic { offset, buf: Buffer::from_slice(bytes), fua: false })
                .unwrap();
        };
        // The last one next to the first, and none over a boundary.
        for (i, (at, len)) in (0..).zip([(0, most), (512, 1536), (4096, 4096), (most - 512, 512)]) {
            let bytes = pattern(10 + i, len);
            write(disk, at as u64, &bytes);
            wanted[at..at + len].copy_from_slice(&bytes);
        }
        assert!(disk.read(0, SIZE as usize) == wanted);
        let at = 2048;
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                (0..20_u8).for_each(|i| write(disk, at, &[i; 65_536]));
            });
            let reader = Disk::new(Arc::clone(&disk.volume));
            write(&reader, at, &[99; 65_536]);
            while !writer.is_finished() {
                let read = reader.read(at, 65_536);
                assert!(read.iter().all(|byte| *byte == read[0]), "a read between two halves");
            }
        });
    });
}
