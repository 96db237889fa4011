//! Random histories of a store against flat arrays of bytes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::block::Done;

const BYTES: u64 = 48 << 10;
const SECTORS: u64 = BYTES / 512;

#[derive(Debug, Clone, Copy)]
enum Act {
    Write { disk: usize, sector: u64, count: u64, fill: u8 },
    Zero { disk: usize, sector: u64, count: u64, discard: bool },
    CompareAndWrite { disk: usize, sector: u64, right: bool, fill: u8 },
    Flush { disk: usize },
    Grow { disk: usize, count: u64 },
    Snapshot { disk: usize },
    Clone { snapshot: usize },
    RemoveSnapshot { snapshot: usize },
    RemoveDisk { disk: usize },
    Close { disk: usize },
    Restart { write_cache: bool },
}

fn act() -> impl Strategy<Value = Act> {
    let (disk, snapshot) = (0..8_usize, 0..8_usize);
    let (sector, count) = (0..2 * SECTORS, 1..40_u64);
    prop_oneof![
        8 => (disk.clone(), sector.clone(), count.clone(), 1..=255_u8)
            .prop_map(|(disk, sector, count, fill)| Act::Write { disk, sector, count, fill }),
        3 => (disk.clone(), sector.clone(), count.clone(), any::<bool>())
            .prop_map(|(disk, sector, count, discard)| Act::Zero { disk, sector, count, discard }),
        1 => (disk.clone(), sector, any::<bool>(), 1..=255_u8).prop_map(
            |(disk, sector, right, fill)| Act::CompareAndWrite { disk, sector, right, fill }
        ),
        1 => disk.clone().prop_map(|disk| Act::Flush { disk }),
        2 => (disk.clone(), count.clone()).prop_map(|(disk, count)| Act::Grow { disk, count }),
        2 => disk.clone().prop_map(|disk| Act::Snapshot { disk }),
        2 => snapshot.clone().prop_map(|snapshot| Act::Clone { snapshot }),
        1 => snapshot.prop_map(|snapshot| Act::RemoveSnapshot { snapshot }),
        1 => disk.clone().prop_map(|disk| Act::RemoveDisk { disk }),
        1 => disk.prop_map(|disk| Act::Close { disk }),
        1 => any::<bool>().prop_map(|write_cache| Act::Restart { write_cache }),
    ]
}

/// The store as it should be: names to bytes.
struct World {
    dir: tempfile::TempDir,
    store: Option<LocalStore>,
    open: BTreeMap<String, Disk>,
    disks: BTreeMap<String, Vec<u8>>,
    /// (image, snapshot) to bytes and the number of clones.
    snapshots: BTreeMap<(String, String), (Vec<u8>, usize)>,
    parents: BTreeMap<String, (String, String)>,
    counter: usize,
}

impl World {
    fn new(write_cache: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), write_cache);
        store.create("base", BYTES).unwrap();
        Self {
            dir,
            store: Some(store),
            open: BTreeMap::new(),
            disks: [("base".to_owned(), vec![0; BYTES as usize])].into(),
            snapshots: BTreeMap::new(),
            parents: BTreeMap::new(),
            counter: 0,
        }
    }

    fn store(&self) -> &LocalStore {
        self.store.as_ref().unwrap()
    }

    fn name(&mut self, prefix: &str) -> String {
        self.counter += 1;
        format!("{prefix}{}", self.counter)
    }

    fn pick<K: Clone, V>(map: &BTreeMap<K, V>, index: usize) -> Option<K> {
        (!map.is_empty()).then(|| map.keys().nth(index % map.len()).unwrap().clone())
    }

    /// The open disk and the bytes it should have from `sector` on.
    fn with_disk(
        &mut self,
        index: usize,
        sector: u64,
        count: u64,
        act: impl FnOnce(&Disk, u64, &mut [u8]),
    ) {
        let name = Self::pick(&self.disks, index).unwrap();
        let store = self.store.as_ref().unwrap();
        let disk = self.open.entry(name.clone()).or_insert_with(|| writable(store, &name));
        let bytes = self.disks.get_mut(&name).unwrap();
        let sectors = bytes.len() as u64 / 512;
        let sector = sector % sectors;
        let (from, to) = (sector * 512, (sector + count).min(sectors) * 512);
        act(disk, from, &mut bytes[from as usize..to as usize]);
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Write { disk, sector, count, fill } => {
                self.with_disk(disk, sector, count, |disk, at, bytes| {
                    bytes.fill(fill);
                    disk.write(at, bytes);
                });
            }
            Act::Zero { disk, sector, count, discard } => {
                self.with_disk(disk, sector, count, |disk, offset, bytes| {
                    bytes.fill(0);
                    let len = bytes.len() as u64;
                    disk.run(if discard {
                        Op::Discard { offset, len }
                    } else {
                        Op::WriteZeroes { offset, len, fua: false }
                    })
                    .unwrap();
                });
            }
            Act::CompareAndWrite { disk, sector, right, fill } => {
                self.with_disk(disk, sector, 1, |disk, offset, bytes| {
                    let mut compare = bytes.to_vec();
                    compare[17] ^= u8::from(!right);
                    let write = Buffer::from_slice(&vec![fill; bytes.len()]);
                    let compare = Buffer::from_slice(&compare);
                    let result = disk.run(Op::CompareAndWrite { offset, compare, write });
                    if right {
                        bytes.fill(fill);
                        result.unwrap();
                    } else {
                        let kind = result.unwrap_err().kind();
                        assert_eq!(kind, ErrorKind::Miscompare { offset: 17 });
                    }
                });
            }
            Act::Flush { disk } => self.with_disk(disk, 0, 1, |disk, _, _| {
                assert!(matches!(disk.run(Op::Flush), Ok(Done::Unit)));
            }),
            Act::Close { disk } => {
                let name = Self::pick(&self.disks, disk).unwrap();
                self.open.remove(&name);
            }
            Act::Restart { write_cache } => {
                self.open.clear();
                self.store = None;
                self.store = Some(open(self.dir.path(), write_cache));
            }
            Act::Grow { disk, count } => {
                let name = Self::pick(&self.disks, disk).unwrap();
                let bytes = self.disks.get_mut(&name).unwrap();
                bytes.resize(bytes.len() + count as usize * 512, 0);
                self.store.as_ref().unwrap().resize(&name, bytes.len() as u64).unwrap();
            }
            Act::Snapshot { .. } | Act::Clone { .. } => self.grow(act),
            Act::RemoveSnapshot { .. } | Act::RemoveDisk { .. } => self.shrink(act),
        }
    }

    fn grow(&mut self, act: Act) {
        match act {
            Act::Snapshot { disk } => {
                let image = Self::pick(&self.disks, disk).unwrap();
                let name = self.name("s");
                self.store().snapshot(&image, &name).unwrap();
                let bytes = self.disks[&image].clone();
                self.snapshots.insert((image, name), (bytes, 0));
            }
            Act::Clone { snapshot } => {
                let Some(parent) = Self::pick(&self.snapshots, snapshot) else { return };
                let child = self.name("c");
                self.store().clone_image(&parent.0, &parent.1, &child).unwrap();
                let (bytes, clones) = self.snapshots.get_mut(&parent).unwrap();
                *clones += 1;
                self.disks.insert(child.clone(), bytes.clone());
                self.parents.insert(child, parent);
            }
            _ => unreachable!("not an act that makes something"),
        }
    }

    fn shrink(&mut self, act: Act) {
        let refused = Some(StoreErrorKind::HasChildren);
        match act {
            Act::RemoveSnapshot { snapshot } => {
                let Some(key) = Self::pick(&self.snapshots, snapshot) else { return };
                let result = self.store().remove_snapshot(&key.0, &key.1);
                if self.snapshots[&key].1 > 0 {
                    assert_eq!(result.err().map(|error| error.kind()), refused);
                } else {
                    result.unwrap();
                    self.snapshots.remove(&key);
                }
            }
            Act::RemoveDisk { disk } => {
                let name = Self::pick(&self.disks, disk).unwrap();
                self.open.remove(&name);
                if name == "base" {
                    return;
                }
                let result = self.store().remove(&name);
                if self.snapshots.keys().any(|(image, _)| *image == name) {
                    assert_eq!(result.err().map(|error| error.kind()), refused);
                } else {
                    result.unwrap();
                    self.disks.remove(&name);
                    let parent = self.parents.remove(&name).unwrap();
                    self.snapshots.get_mut(&parent).unwrap().1 -= 1;
                }
            }
            _ => unreachable!("not an act that removes something"),
        }
    }

    fn check(&self) {
        for (name, bytes) in &self.disks {
            let disk = Disk::new(self.store().open(name, None, OpenMode::ReadOnly).unwrap());
            assert!(disk.read(0, bytes.len()) == *bytes, "{name}");
        }
        for ((image, snapshot), (bytes, _)) in &self.snapshots {
            let volume = self.store().open(image, Some(snapshot), OpenMode::ReadOnly).unwrap();
            assert!(Disk::new(volume).read(0, bytes.len()) == *bytes, "{image}@{snapshot}");
        }
        // No layer is forgotten, and none is left: each has a data file, and nothing else does.
        let known = self.store().meta.layers().unwrap().len();
        let data = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "data");
        assert_eq!(layer_files(self.dir.path()).iter().filter(|path| data(path)).count(), known);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_history_reads_as_flat_bytes(
        write_cache: bool,
        acts in proptest::collection::vec(act(), 1..60),
    ) {
        let mut world = World::new(write_cache);
        for act in acts {
            world.act(act);
        }
        world.check();
        world.act(Act::Restart { write_cache: !write_cache });
        world.check();
    }
}
