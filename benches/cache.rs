//! What a read costs that the golden-image cache answers, beside the same read of the memory
//! volume. `cargo bench --bench cache`.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stirrup::backend::memory::MemoryVolume;
use stirrup::block::{Buffer, CompletionQueue, Done, Op, Request, Volume};
use stirrup::cache::{Cache, Mine, Options, Origin, Snapshot};

const SIZE: u64 = 64 << 20;
/// Requests that one turn of a connection hands over.
const BATCH: u64 = 32;

fn filled() -> Arc<dyn Volume> {
    let volume = MemoryVolume::new(SIZE, false);
    let queue = Arc::new(CompletionQueue::new());
    for offset in (0..SIZE).step_by(1 << 20) {
        let buf = Buffer::from_slice(&vec![7; 1 << 20]);
        let op = Op::Write { offset, buf, fua: false };
        volume.submit(&mut vec![Request { tag: 0, op }], &mut Vec::new(), &queue);
    }
    Arc::new(volume)
}

/// A clone that has nothing of its own, all of whose parent is in the cache.
fn cached() -> Arc<dyn Volume> {
    let cache = Cache::new(Options { golden_bytes: 4 * SIZE, disk_bytes: 0 });
    let snapshot = Snapshot { volume: filled(), own: None, above: None };
    let origin = Origin::new(cache.add_parent("golden", snapshot), SIZE, &[]);
    let volume = Arc::new(cache.wrap(Arc::new(MemoryVolume::new(SIZE, false)), Some(origin), Mine));
    let queue = Arc::new(CompletionQueue::new());
    for offset in (0..SIZE).step_by(1 << 20) {
        let op = Op::Read { offset, buf: Buffer::unfilled(1 << 20) };
        volume.submit(&mut vec![Request { tag: 0, op }], &mut Vec::new(), &queue);
    }
    volume
}

fn reads(c: &mut Criterion) {
    let volumes = [("memory", filled()), ("golden-image cache", cached())];
    for len in [4_u64 << 10, 64 << 10, 128 << 10] {
        let mut group = c.benchmark_group(format!("{BATCH} random reads of {} KiB", len >> 10));
        group.throughput(Throughput::Elements(BATCH));
        for (name, volume) in &volumes {
            let queue = Arc::new(CompletionQueue::new());
            let (mut requests, mut done) = (Vec::new(), Vec::new());
            let mut random = 1_u64;
            group.bench_function(*name, |b| {
                b.iter(|| {
                    for tag in 0..BATCH {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let offset = (random >> 33) % (SIZE / len) * len;
                        let buf = Buffer::unfilled(len as usize);
                        requests.push(Request { tag, op: Op::Read { offset, buf } });
                    }
                    volume.submit(&mut requests, &mut done, &queue);
                    assert_eq!(done.len(), BATCH as usize, "all of it is there");
                    for completion in done.drain(..) {
                        assert!(matches!(black_box(completion.result), Ok(Done::Data(_))));
                    }
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, reads);
criterion_main!(benches);
