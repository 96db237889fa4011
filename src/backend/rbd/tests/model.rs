//! Random operations on a chain of clones, against bytes in memory.

use super::*;

/// xorshift64*: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit
    }

    /// A run of sectors; often around an object's boundary, sometimes a whole object.
    fn range(&mut self) -> (u64, u64) {
        const OBJECT: u64 = 4 << 20;
        let sectors = SIZE / 512;
        let offset = match self.below(4) {
            0 => self.below(SIZE / OBJECT) * OBJECT,
            1 => (1 + self.below(SIZE / OBJECT - 1)) * OBJECT - 512 * (1 + self.below(16)),
            _ => self.below(sectors) * 512,
        };
        let len = match self.below(8) {
            0 => OBJECT,
            1 => 512 * (1 + self.below(4096)),
            _ => 512 * (1 + self.below(64)),
        };
        (offset, len.min(SIZE - offset))
    }
}

struct Model<'a> {
    store: &'a RbdStore,
    random: Random,
    chain: Vec<String>,
    disk: Option<Disk>,
    bytes: Vec<u8>,
}

impl Model<'_> {
    fn disk(&self) -> &Disk {
        self.disk.as_ref().unwrap()
    }

    fn step(&mut self, number: u64) {
        let (offset, len) = self.random.range();
        let range = offset as usize..(offset + len) as usize;
        match self.random.below(100) {
            0..40 => {
                let bytes = pattern(number, range.len());
                self.disk().write(offset, &bytes);
                self.bytes[range].copy_from_slice(&bytes);
            }
            40..55 => {
                let op = if number.is_multiple_of(2) {
                    Op::Discard { offset, len }
                } else {
                    Op::WriteZeroes { offset, len, fua: true }
                };
                self.disk().run(op).unwrap();
                self.bytes[range].fill(0);
            }
            55..65 => self.compare_and_write(offset, number),
            65..96 => {
                assert!(self.disk().read(offset, range.len()) == self.bytes[range]);
            }
            96..98 => drop(self.disk().run(Op::Flush).unwrap()),
            _ => self.clone_on(),
        }
    }

    fn compare_and_write(&mut self, offset: u64, number: u64) {
        let sector = offset as usize..offset as usize + 512;
        let mut compare = self.bytes[sector.clone()].to_vec();
        let differs = self.random.below(2) == 0;
        let at = self.random.below(512) as usize;
        compare[at] ^= u8::from(differs);
        let write = pattern(number, 512);
        let op = Op::CompareAndWrite {
            offset,
            compare: Buffer::from_slice(&compare),
            write: Buffer::from_slice(&write),
        };
        match self.disk().run(op) {
            Ok(_) => {
                assert!(!differs);
                self.bytes[sector].copy_from_slice(&write);
            }
            Err(error) => {
                assert!(differs, "{error}");
                assert_eq!(error.kind(), ErrorKind::Miscompare { offset: at as u64 });
            }
        }
    }

    /// Goes on with a clone of what there is now; what was there stays as it is.
    fn clone_on(&mut self) {
        let image = self.chain.last().unwrap().clone();
        self.store.snapshot(&image, "s").unwrap();
        self.disk().write(0, &[0xee; 65536]);
        let child = unique("model");
        self.store.clone_image(&image, "s", &child).unwrap();
        self.disk = Some(open(self.store, &child));
        self.chain.push(child);
        self.compare_all();
    }

    fn compare_all(&self) {
        for (i, wanted) in self.bytes.chunks(1 << 20).enumerate() {
            let read = self.disk().read((i << 20) as u64, wanted.len());
            assert!(read == wanted, "MiB {i} of {:?}", self.chain);
        }
    }
}

#[test]
fn random_operations_do_as_the_model_does() {
    let Some(conf) = cluster("random_operations_do_as_the_model_does") else { return };
    let store = open_store(conf);
    for seed in 1..=3 {
        eprintln!("seed {seed}");
        let name = image(&store, "model");
        let disk = Some(open(&store, &name));
        let bytes = vec![0; SIZE as usize];
        let random = Random(seed);
        let mut model = Model { store: &store, random, chain: vec![name], disk, bytes };
        (0..300).for_each(|number| model.step(number));
        model.compare_all();
        drop(model.disk);
        store.remove(model.chain.last().unwrap()).unwrap();
        for image in model.chain.iter().rev().skip(1) {
            store.remove_snapshot(image, "s").unwrap();
            store.remove(image).unwrap();
        }
    }
}
