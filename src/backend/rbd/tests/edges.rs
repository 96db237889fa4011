//! What librbd does at its edges, and that nobody sees it.

use super::*;
use crate::block::{Completion, Done, Extent, Volume, VolumeInfo};

const OBJECT: u64 = 4 << 20;

/// An image without what [`RbdVolume`] answers in front of it.
pub(super) struct Bare(pub(super) Arc<Image>);

impl Volume for Bare {
    fn info(&self) -> VolumeInfo {
        panic!("nobody asks")
    }

    fn submit(
        &self,
        requests: &mut Vec<Request>,
        _done: &mut Vec<Completion>,
        queue: &Arc<CompletionQueue>,
    ) {
        requests.drain(..).for_each(|request| self.0.submit(request, queue));
    }
}

fn bare(store: &RbdStore, image: &str, access: Access) -> Disk {
    let image = Image::open(&store.pool().unwrap(), image, None, access).unwrap();
    Disk::new(Arc::new(Bare(image)))
}

fn write(offset: u64, len: usize) -> Op {
    Op::Write { offset, buf: Buffer::from_slice(&vec![9; len]), fua: false }
}

fn refusal(result: Result<Done, crate::block::Error>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn what_goes_beyond_the_end_is_refused_and_not_cut() {
    let Some(conf) = cluster("what_goes_beyond_the_end_is_refused_and_not_cut") else { return };
    let store = open_store(conf);
    let name = image(&store, "end");
    // librbd would write the half that fits, and say that all is well; and read that half.
    let bare = bare(&store, &name, Access::ReadWrite);
    bare.run(write(SIZE - 512, 1024)).unwrap();
    let cut = bare.run(Op::Read { offset: SIZE - 512, buf: Buffer::unfilled(1024) });
    assert_eq!(refusal(cut), ErrorKind::OutOfRange);
    // EINVAL.
    assert_eq!(refusal(bare.run(write(SIZE, 512))), ErrorKind::OutOfRange);
    drop(bare);
    store.pool().unwrap().wait_closed(&name);
    let disk = open(&store, &name);
    assert_eq!(disk.read(SIZE - 512, 512), [9; 512], "cut");
    disk.write(SIZE - 1024, &[1; 1024]);
    let beyond = |at, len: usize| {
        let ops = [
            Op::Read { offset: at, buf: Buffer::unfilled(len) },
            write(at, len),
            Op::WriteAtomic { offset: at, buf: Buffer::zeroed(len), fua: false },
            Op::Discard { offset: at, len: len as u64 },
            Op::WriteZeroes { offset: at, len: len as u64, fua: false },
            Op::WriteSame { offset: at, len: len as u64, pattern: Buffer::from_slice(&[3; 512]) },
            Op::Extents { offset: at, len: len as u64, max: 1 },
            Op::CompareAndWrite {
                offset: at + len as u64 - 512,
                compare: Buffer::zeroed(512),
                write: Buffer::zeroed(512),
            },
        ];
        disk.run_all(ops).into_iter().for_each(|result| {
            assert_eq!(refusal(result), ErrorKind::OutOfRange);
        });
    };
    beyond(SIZE - 512, 1024);
    beyond(SIZE, 512);
    assert_eq!(disk.read(SIZE - 1024, 1024), [1; 1024]);

    // Another client makes the image smaller, as no one should.
    let half = SIZE / 2;
    run(conf, &["rbd", "resize", "--no-progress", "--allow-shrink", "--size", "32M", &name]);
    let begun = std::time::Instant::now();
    while disk.volume().info().size_bytes != half {
        assert!(begun.elapsed() < Duration::from_secs(60), "the new size is not seen");
        std::thread::yield_now();
    }
    beyond(half, 512);
    beyond(half - 512, 1024);
    disk.write(half - 512, &[2; 512]);
    drop(disk);
    store.remove(&name).unwrap();
}

#[test]
fn empty_requests_do_not_reach_librbd() {
    let Some(conf) = cluster("empty_requests_do_not_reach_librbd") else { return };
    let store = open_store(conf);
    let name = image(&store, "empty");
    let disk = open(&store, &name);
    disk.write(0, &[1; 512]);
    for offset in [0, 512, SIZE] {
        let ops = [
            // librbd would end the process.
            Op::Read { offset, buf: Buffer::unfilled(0) },
            write(offset, 0),
            Op::WriteAtomic { offset, buf: Buffer::unfilled(0), fua: false },
            Op::Discard { offset, len: 0 },
            Op::WriteZeroes { offset, len: 0, fua: true },
            Op::WriteSame { offset, len: 0, pattern: Buffer::zeroed(512) },
            Op::CompareAndWrite { offset, compare: Buffer::zeroed(0), write: Buffer::zeroed(0) },
            Op::Extents { offset, len: 0, max: 1 },
        ];
        disk.run_all(ops).into_iter().for_each(|result| drop(result.unwrap()));
    }
    assert_eq!(disk.read(0, 512), [1; 512]);
    drop(disk);
    store.remove(&name).unwrap();
}

#[test]
fn a_pattern_is_repeated_by_the_cluster_and_bad_ones_do_not_reach_it() {
    let Some(conf) = cluster("a_pattern_is_repeated_by_the_cluster") else { return };
    let store = open_store(conf);
    let name = image(&store, "same");
    let child = format!("{name}.clone");
    let mut wanted = pattern(1, 2 * OBJECT as usize);
    open(&store, &name).write(0, &wanted);
    store.snapshot(&name, "s").unwrap();
    store.clone_image(&name, "s", &child).unwrap();
    let disk = open(&store, &child);
    assert!(disk.volume().info().has_write_same);
    let same = |offset, len, pattern: &[u8]| Op::WriteSame {
        offset,
        len,
        pattern: Buffer::from_slice(pattern),
    };
    let (small, large) = (pattern(2, 512), pattern(3, 4096));
    // Within an object, over its end, whole objects, from the middle of a pattern's own length on.
    for (offset, times, bytes) in [
        (512, 1, &small),
        (4096, 100, &small),
        (OBJECT - 1024, 4, &small),
        (OBJECT - 512 - 2 * 4096, 5, &large),
        (3 * OBJECT, OBJECT / 512 * 4, &small),
    ] {
        let len = times * bytes.len() as u64;
        disk.run(same(offset, len, bytes)).unwrap();
        let all = bytes.repeat(times as usize);
        wanted.resize(wanted.len().max((offset + len) as usize), 0);
        wanted[offset as usize..][..all.len()].copy_from_slice(&all);
        assert!(disk.read(0, wanted.len()) == wanted, "{times} times at {offset}");
    }
    // Zeros are zeros.
    disk.run(same(0, 2 * OBJECT, &[0; 512])).unwrap();
    wanted[..2 * OBJECT as usize].fill(0);
    assert!(disk.read(0, wanted.len()) == wanted);
    for (offset, len, bytes) in
        [(0, 768, &small), (0, 512, &large), (SIZE - 512, 1024, &small), (SIZE, 512, &small)]
    {
        let kind = refusal(disk.run(same(offset, len, bytes)));
        assert_eq!(kind, ErrorKind::OutOfRange, "{len} at {offset}");
    }
    assert_eq!(refusal(disk.run(same(0, 512, &[]))), ErrorKind::OutOfRange);
    for (offset, bytes) in [(0, &small[..]), (SIZE, &[])] {
        assert!(matches!(disk.run(same(offset, 0, bytes)), Ok(Done::Unit)), "empty");
    }
    assert!(disk.read(0, wanted.len()) == wanted, "nothing of these was done");
    drop(disk);
    let bare = bare(&store, &child, Access::ReadWrite);
    assert_eq!(refusal(bare.run(same(0, 768, &small))), ErrorKind::OutOfRange, "EINVAL");
    drop(bare);
    store.pool().unwrap().wait_closed(&child);
    store.remove(&child).unwrap();
    store.remove_snapshot(&name, "s").unwrap();
    store.remove(&name).unwrap();
}

#[test]
fn the_smallest_discard_zeroes_exactly_its_range() {
    let Some(conf) = cluster("the_smallest_discard_zeroes_exactly_its_range") else { return };
    let store = open_store(conf);
    let name = image(&store, "discard");
    let child = format!("{name}.clone");
    let bytes = pattern(1, 2 * OBJECT as usize);
    open(&store, &name).write(0, &bytes);
    store.snapshot(&name, "s").unwrap();
    store.clone_image(&name, "s", &child).unwrap();
    let disk = open(&store, &child);
    let mut wanted = bytes;
    let ranges = [(512, 512), (8192, 4096), (OBJECT - 512, 1024), (OBJECT + 65_536, 65_536 + 512)];
    for (offset, len) in ranges {
        // `rbd_aio_discard` would leave the data of all but a part of the last.
        disk.run(Op::Discard { offset, len }).unwrap();
        wanted[offset as usize..(offset + len) as usize].fill(0);
    }
    assert!(disk.read(0, wanted.len()) == wanted);
    drop(disk);
    store.remove(&child).unwrap();
    store.remove_snapshot(&name, "s").unwrap();
    store.remove(&name).unwrap();
}

#[test]
fn what_hides_the_parents_data_is_not_mapped() {
    let Some(conf) = cluster("what_hides_the_parents_data_is_not_mapped") else { return };
    let store = open_store(conf);
    let name = image(&store, "erased");
    let child = format!("{name}.clone");
    let golden = open(&store, &name);
    for object in 0..SIZE / OBJECT {
        golden.write(object * OBJECT, &[1; 512]);
    }
    drop(golden);
    store.snapshot(&name, "s").unwrap();
    store.clone_image(&name, "s", &child).unwrap();
    let disk = open(&store, &child);
    let extents = |disk: &Disk, offset, max| match disk.run(Op::Extents {
        offset,
        len: SIZE - offset,
        max,
    }) {
        Ok(Done::Extents(extents)) => extents,
        other => panic!("{other:?}"),
    };
    let run = |offset, len, mapped| Extent { offset, len, mapped };
    assert!(extents(&disk, 0, 1)[0].mapped, "the parent's data");
    disk.run(Op::Discard { offset: OBJECT, len: 3 * OBJECT }).unwrap();
    let found = extents(&disk, 0, 100);
    let wanted = [
        run(0, OBJECT, true),
        run(OBJECT, 3 * OBJECT, false),
        run(4 * OBJECT, SIZE - 4 * OBJECT, true),
    ];
    assert_eq!(found, wanted);
    disk.run(Op::Discard { offset: 0, len: SIZE }).unwrap();
    assert_eq!(extents(&disk, 0, 100), [run(0, SIZE, false)], "all is erased");
    disk.write(5 * OBJECT, &[2; 512]);
    assert!(extents(&disk, 5 * OBJECT, 1)[0].mapped);
    assert_eq!(extents(&disk, 0, 1), [run(0, 5 * OBJECT, false)]);
    drop(disk);
    store.remove(&child).unwrap();
    store.remove_snapshot(&name, "s").unwrap();
    store.remove(&name).unwrap();
}

#[test]
fn an_answer_ends_after_so_many_objects_and_goes_on_from_there() {
    let Some(conf) = cluster("an_answer_ends_after_so_many_objects") else { return };
    let store = open_store(conf);
    let name = unique("many");
    let (object, objects) = (64 << 10, 1040_u64);
    let size = (objects * object).to_string();
    let features = "layering,exclusive-lock,object-map,fast-diff";
    let spec = format!("rbd/{name}");
    run(
        conf,
        &[
            &["rbd", "create", "--object-size", "64K", "--size", &format!("{size}B")][..],
            &["--image-feature", features, &spec],
        ]
        .concat(),
    );
    let size = objects * object;
    let disk = open(&store, &name);
    let written = [2, 1000, 1025, 1026, 1030];
    written.iter().for_each(|at| disk.write(at * object, &[1; 512]));
    let (mut at, mut ends, mut mapped) = (0, Vec::new(), Vec::new());
    while at < size {
        let answer = disk.run(Op::Extents { offset: at, len: size - at, max: 1000 });
        let Ok(Done::Extents(found)) = answer else { panic!("{answer:?}") };
        for extent in found {
            assert!(extent.offset == at && extent.len > 0);
            if extent.mapped {
                mapped.push((extent.offset / object, extent.len));
            }
            at += extent.len;
        }
        ends.push(at / object);
    }
    // The first of them and 1023 more were asked.
    assert_eq!(ends, [2 + 1024, objects]);
    assert_eq!(mapped, written.map(|at| (at, 512)));
    drop(disk);
    store.remove(&name).unwrap();
}

#[test]
fn a_handle_for_reading_writes_nothing() {
    let Some(conf) = cluster("a_handle_for_reading_writes_nothing") else { return };
    let store = open_store(conf);
    let name = image(&store, "reader");
    // EROFS.
    let kind = refusal(bare(&store, &name, Access::ReadOnly).run(write(0, 512)));
    assert_eq!(kind, ErrorKind::Fenced);
    let reader = Disk::new(store.open(&name, None, OpenMode::ReadOnly).unwrap());
    assert_eq!(refusal(reader.run(write(0, 512))), ErrorKind::ReadOnly, "it is not asked");
    drop(reader);
    store.remove(&name).unwrap();
}

#[test]
fn an_image_whose_pool_is_gone_is_gone() {
    let Some(conf) = cluster("an_image_whose_pool_is_gone_is_gone") else { return };
    let pool = unique("gone");
    run(conf, &["ceph", "osd", "pool", "create", &pool, "1"]);
    run(conf, &["rbd", "pool", "init", &pool]);
    let store = RbdStore::open(Options { pool: pool.clone(), ..options(conf) }).unwrap();
    store.create("disk", SIZE).unwrap();
    let disk = open(&store, "disk");
    disk.write(0, &[1; 512]);
    run(conf, &["ceph", "config", "set", "mon", "mon_allow_pool_delete", "true"]);
    let sure = "--yes-i-really-really-mean-it";
    run(conf, &["ceph", "osd", "pool", "delete", &pool, &pool, sure]);
    // ENOENT.
    assert_eq!(refusal(disk.run(write(OBJECT, 512))), ErrorKind::Gone);
    assert_eq!(kind_of(store.stat("disk")), StoreErrorKind::NotFound);
}
