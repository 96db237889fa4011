//! Which blocks a layer holds: bits in memory, and their files (`docs/local-store.md`, "Maps").

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::files::{self, BootId, LayerId};
use crate::backend::fileio;
use crate::backend::pooled::BLOCK_BYTES;

const SECTOR_BYTES: usize = 512;
const WORDS_PER_SECTOR: usize = 63;
const BITS_PER_SECTOR: u64 = 64 * WORDS_PER_SECTOR as u64;
/// Where the number of a sector and the checksum of any sector are.
const NUMBER_AT: usize = 504;
const CHECKSUM_AT: usize = 508;
const MAGIC: &[u8; 8] = b"STIRRMAP";
const VERSION: u32 = 1;
/// Bytes read at a time when a map is loaded.
const LOAD_BYTES: usize = 128 * SECTOR_BYTES;

/// Where the header has the size.
const SIZE_AT: usize = 32;

/// The sizes that a map may be for, in bytes: a layer that was lengthened keeps the map it has.
pub(super) type Sizes = RangeInclusive<u64>;
type Words = [u64; WORDS_PER_SECTOR];
type Sector = [u8; SECTOR_BYTES];

/// One bit a block; takes memory only for sectors with bits. Read without a lock.
pub(super) struct Bits {
    /// The size of the volume that they are for.
    size_bytes: u64,
    sectors: Box<[OnceLock<Box<[AtomicU64; WORDS_PER_SECTOR]>>]>,
}

fn sectors_of(size_bytes: u64) -> u64 {
    size_bytes.div_ceil(BLOCK_BYTES).div_ceil(BITS_PER_SECTOR)
}

/// Index of the sector, of the word in it and of the bit in that.
fn place(block: u64) -> (usize, usize, u32) {
    let within = block % BITS_PER_SECTOR;
    ((block / BITS_PER_SECTOR) as usize, (within / 64) as usize, (within % 64) as u32)
}

impl Bits {
    fn new(size_bytes: u64) -> Self {
        let sectors = (0..sectors_of(size_bytes)).map(|_| OnceLock::new()).collect();
        Self { size_bytes, sectors }
    }

    fn words(&self, sector: usize) -> Words {
        self.sectors[sector].get().map_or([0; WORDS_PER_SECTOR], |words| {
            std::array::from_fn(|i| words[i].load(Ordering::Acquire))
        })
    }

    fn set_words(&self, sector: usize, new: &Words) {
        let words =
            self.sectors[sector].get_or_init(|| Box::new([const { AtomicU64::new(0) }; 63]));
        for (word, new) in words.iter().zip(new) {
            word.fetch_or(*new, Ordering::Release);
        }
    }

    /// Whether the layer holds `from`, and the first block before `end` of which that differs.
    pub(super) fn run(&self, from: u64, end: u64) -> (u64, bool) {
        let word_at = |block| {
            let (sector, word, bit) = place(block);
            let words = self.sectors[sector].get();
            (words.map(|words| words[word].load(Ordering::Acquire)), bit)
        };
        let (word, bit) = word_at(from);
        let held = word.unwrap_or(0) >> bit & 1 == 1;
        let mut at = from;
        while at < end {
            let (word, bit) = word_at(at);
            let Some(word) = word else {
                if held {
                    return (at, held);
                }
                at = (at / BITS_PER_SECTOR + 1) * BITS_PER_SECTOR;
                continue;
            };
            let differing = (if held { !word } else { word }) >> bit;
            if differing != 0 {
                return ((at + u64::from(differing.trailing_zeros())).min(end), held);
            }
            at += u64::from(64 - bit);
        }
        (end, held)
    }
}

/// Masks of the blocks `from..end` that lie in `sector`.
fn mask(sector: usize, from: u64, end: u64) -> Words {
    let first = sector as u64 * BITS_PER_SECTOR;
    std::array::from_fn(|word| {
        let start = first + 64 * word as u64;
        let (from, end) = (from.clamp(start, start + 64), end.clamp(start, start + 64));
        let count = end.saturating_sub(from);
        if count == 0 { 0 } else { u64::MAX >> (64 - count) << (from - start) }
    })
}

/// A `.map` or `.live` file that is open.
struct MapFile {
    file: File,
    layer: LayerId,
}

fn header(layer: &LayerId, size_bytes: u64, boot: Option<BootId>) -> Sector {
    let mut sector = [0; SECTOR_BYTES];
    sector[..8].copy_from_slice(MAGIC);
    sector[8..12].copy_from_slice(&VERSION.to_le_bytes());
    sector[12..16].copy_from_slice(&(BLOCK_BYTES as u32).to_le_bytes());
    sector[16..32].copy_from_slice(layer.as_bytes());
    sector[SIZE_AT..40].copy_from_slice(&size_bytes.to_le_bytes());
    sector[40..56].copy_from_slice(&boot.unwrap_or_default());
    let checksum = crc32c::crc32c(&sector[..CHECKSUM_AT]);
    sector[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
    sector
}

impl MapFile {
    /// Makes a map without bits.
    fn create(
        path: &Path,
        layer: &LayerId,
        size_bytes: u64,
        boot: Option<BootId>,
    ) -> io::Result<Self> {
        let file = files::create_new(path)?;
        fileio::reserve(&file, 0, map_len(size_bytes))?;
        file.set_len(map_len(size_bytes))?;
        fileio::write(&file, 0, &mut [IoSlice::new(&header(layer, size_bytes, boot))])?;
        Ok(Self { file, layer: *layer })
    }

    /// Opens a map of a size in `sizes` and checks all of it. `Ok(None)`: another kernel wrote it
    /// (`boot` is given and differs), or that cannot be told.
    fn load(
        path: &Path,
        layer: &LayerId,
        sizes: &Sizes,
        boot: Option<BootId>,
    ) -> Result<Option<(Self, Bits)>, MapError> {
        let file = File::options().read(true).write(true).open(path)?;
        let mut first = [0; SECTOR_BYTES];
        let is_read = file.read_exact_at(&mut first, 0).is_ok();
        let size_bytes = u64::from_le_bytes(std::array::from_fn(|i| first[SIZE_AT + i]));
        let right =
            is_read && sizes.contains(&size_bytes) && first == header(layer, size_bytes, boot);
        if !right && boot.is_some() {
            return Ok(None);
        }
        if !right {
            return Err(MapError::Corrupt("its header is not that of this layer"));
        }
        if file.metadata()?.len() != map_len(size_bytes) {
            return Err(MapError::Corrupt("its length is wrong"));
        }
        let (map, bits) = (Self { file, layer: *layer }, Bits::new(size_bytes));
        map.load_sectors(&bits)?;
        Ok(Some((map, bits)))
    }

    fn load_sectors(&self, bits: &Bits) -> Result<(), MapError> {
        let mut buffer = vec![0; LOAD_BYTES];
        let count = bits.sectors.len();
        for base in (0..count).step_by(LOAD_BYTES / SECTOR_BYTES) {
            let bytes = ((count - base) * SECTOR_BYTES).min(LOAD_BYTES);
            let chunk = &mut buffer[..bytes];
            self.file.read_exact_at(chunk, ((base + 1) * SECTOR_BYTES) as u64)?;
            let (sectors, _none) = chunk.as_chunks::<SECTOR_BYTES>();
            for (sector, number) in sectors.iter().zip(base..) {
                if sector.iter().any(|byte| *byte != 0) {
                    let words = self.decode(number, sector)?;
                    bits.set_words(number, &words);
                }
            }
        }
        Ok(())
    }

    fn checksum(&self, sector: &Sector) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(self.layer.as_bytes()), &sector[..CHECKSUM_AT])
    }

    fn decode(&self, number: usize, sector: &Sector) -> Result<Words, MapError> {
        if sector[CHECKSUM_AT..] != self.checksum(sector).to_le_bytes() {
            return Err(MapError::Corrupt("a checksum is wrong"));
        }
        if sector[NUMBER_AT..CHECKSUM_AT] != (number as u32).to_le_bytes() {
            return Err(MapError::Corrupt("a sector is out of place"));
        }
        let (words, _number) = sector[..NUMBER_AT].as_chunks::<8>();
        Ok(std::array::from_fn(|i| u64::from_le_bytes(words[i])))
    }

    fn write(&self, number: usize, words: &Words) -> io::Result<()> {
        let mut sector = [0; SECTOR_BYTES];
        for (bytes, word) in sector.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        sector[NUMBER_AT..CHECKSUM_AT].copy_from_slice(&(number as u32).to_le_bytes());
        let checksum = self.checksum(&sector);
        sector[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        let at = ((number + 1) * SECTOR_BYTES) as u64;
        fileio::write(&self.file, at, &mut [IoSlice::new(&sector)])
    }
}

fn map_len(size_bytes: u64) -> u64 {
    (1 + sectors_of(size_bytes)) * SECTOR_BYTES as u64
}

/// Why a map cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum MapError {
    /// What is stored makes no sense.
    #[error("{0}")]
    Corrupt(&'static str),
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Makes the map of a new layer and puts it on stable storage.
pub(super) fn create(path: &Path, layer: &LayerId, size_bytes: u64) -> io::Result<()> {
    MapFile::create(path, layer, size_bytes, None)?.file.sync_all()
}

/// Loads the map of a frozen layer.
pub(super) fn load(path: &Path, layer: &LayerId, sizes: &Sizes) -> Result<Bits, MapError> {
    durable(path, layer, sizes).map(|(_file, bits)| bits)
}

fn durable(path: &Path, layer: &LayerId, sizes: &Sizes) -> Result<(MapFile, Bits), MapError> {
    MapFile::load(path, layer, sizes, None)?.ok_or(MapError::Corrupt("it is a live map"))
}

/// The map of a layer that is written.
pub(super) struct HeadMap {
    bits: Bits,
    file: MapFile,
    live: Option<MapFile>,
    /// Sectors with bits that the durable map does not have. Bits are set and sectors taken for
    /// writing under this lock: whoever sees a bit finds its sector here or in work.
    changed: Mutex<BTreeSet<usize>>,
    /// One sync at a time, or an older copy of a sector could be written over a newer one.
    syncing: Mutex<()>,
}

impl HeadMap {
    /// Loads the durable map and what the live one has beyond it, if this kernel wrote it. Only
    /// with `write_cache` a live map is kept from then on; without, [`Self::sync`] comes next.
    pub(super) fn load(
        path: &Path,
        live_path: &Path,
        layer: &LayerId,
        sizes: &Sizes,
        boot: BootId,
        write_cache: bool,
    ) -> Result<Self, MapError> {
        let (file, bits) = durable(path, layer, sizes)?;
        // That of the durable map, which the live one has to match.
        let size_bytes = bits.size_bytes;
        let same = size_bytes..=size_bytes;
        let (mut live, live_bits) = match MapFile::load(live_path, layer, &same, Some(boot)) {
            Err(MapError::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
            other => other?,
        }
        .map_or_else(|| (None, Bits::new(size_bytes)), |(live, bits)| (Some(live), bits));
        let mut changed = BTreeSet::new();
        for sector in 0..bits.sectors.len() {
            let (durable, live) = (bits.words(sector), live_bits.words(sector));
            if durable.iter().zip(&live).any(|(durable, live)| live & !durable != 0) {
                bits.set_words(sector, &live);
                changed.insert(sector);
            }
        }
        if !write_cache {
            live = None;
        } else if live.is_none() {
            // Complete before it has its name, so that a header that is not right under that name
            // was torn by a power loss.
            let new = live_path.with_extension("live.new");
            files::remove_if_there(&new)?;
            live = Some(MapFile::create(&new, layer, size_bytes, Some(boot))?);
            std::fs::rename(&new, live_path)?;
        }
        Ok(Self { bits, file, live, changed: changed.into(), syncing: Mutex::new(()) })
    }

    /// The bits.
    pub(super) fn bits(&self) -> &Bits {
        &self.bits
    }

    /// The layer holds `from..end` from now on: their data are written already.
    pub(super) fn mark(&self, from: u64, end: u64) -> io::Result<()> {
        if self.bits.run(from, end) == (end, true) {
            return Ok(());
        }
        let mut changed = self.changed.lock();
        for sector in place(from).0..=place(end - 1).0 {
            let old = self.bits.words(sector);
            let mask = mask(sector, from, end);
            let new: Words = std::array::from_fn(|i| old[i] | mask[i]);
            if new != old {
                if let Some(live) = &self.live {
                    live.write(sector, &new)?;
                }
                changed.insert(sector);
                self.bits.set_words(sector, &new);
            }
        }
        Ok(())
    }

    /// Puts the bits that are set now on stable storage, after `data_sync` has done so with the
    /// data.
    pub(super) fn sync(&self, data_sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let _one_at_a_time = self.syncing.lock();
        let sectors: Vec<(usize, Words)> = {
            let mut changed = self.changed.lock();
            let taken = std::mem::take(&mut *changed);
            taken.into_iter().map(|sector| (sector, self.bits.words(sector))).collect()
        };
        data_sync()?;
        if sectors.is_empty() {
            return Ok(());
        }
        for (sector, words) in &sectors {
            self.file.write(*sector, words)?;
        }
        fileio::sync(&self.file.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 40 << 20;
    const SIZES: Sizes = SIZE..=SIZE;
    const BOOT: BootId = [1; 16];

    fn blocks_of(bits: &Bits, blocks: u64) -> Vec<bool> {
        (0..blocks).map(|block| bits.run(block, block + 1).1).collect()
    }

    #[test]
    fn runs_are_those_of_single_bits() {
        let blocks = SIZE / BLOCK_BYTES;
        let bits = Bits::new(SIZE);
        let ranges = [(0, 1), (63, 65), (100, 200), (4000, 4100), (8063, 8065), (9000, blocks)];
        let mut wanted = vec![false; blocks as usize];
        for (from, end) in ranges {
            for sector in place(from).0..=place(end - 1).0 {
                bits.set_words(sector, &mask(sector, from, end));
            }
            wanted[from as usize..end as usize].fill(true);
        }
        assert_eq!(blocks_of(&bits, blocks), wanted);
        for from in 0..blocks as usize {
            for end in [from + 1, from + 70, blocks as usize] {
                let end = end.min(blocks as usize);
                let same = wanted[from..end].iter().take_while(|b| **b == wanted[from]).count();
                let run = bits.run(from as u64, end as u64);
                assert_eq!(run, ((from + same) as u64, wanted[from]), "{from}..{end}");
            }
        }
    }

    #[test]
    fn only_synced_bits_are_durable_and_the_live_map_counts_in_one_boot() {
        let dir = tempfile::tempdir().unwrap();
        let (path, live) = (dir.path().join("a.map"), dir.path().join("a.live"));
        let layer = LayerId::random().unwrap();
        create(&path, &layer, SIZE).unwrap();
        let head = HeadMap::load(&path, &live, &layer, &SIZES, BOOT, true).unwrap();
        head.mark(5, 7).unwrap();
        head.sync(|| Ok(())).unwrap();
        head.mark(4030, 4040).unwrap();
        drop(head);
        let held = |boot| {
            let head = HeadMap::load(&path, &live, &layer, &SIZES, boot, false).unwrap();
            (0..10_240).filter(|block| head.bits.run(*block, block + 1).1).collect::<Vec<_>>()
        };
        assert_eq!(held([2; 16]), [5, 6]);
        assert_eq!(held(BOOT), [&[5, 6][..], &(4030..4040).collect::<Vec<_>>()].concat());
        let head = HeadMap::load(&path, &live, &layer, &SIZES, BOOT, false).unwrap();
        head.sync(|| Ok(())).unwrap();
        assert_eq!(held([2; 16]).len(), 12);
    }

    #[test]
    fn a_bit_is_not_durable_when_its_data_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let (path, live) = (dir.path().join("a.map"), dir.path().join("a.live"));
        let layer = LayerId::random().unwrap();
        create(&path, &layer, SIZE).unwrap();
        let head = HeadMap::load(&path, &live, &layer, &SIZES, BOOT, false).unwrap();
        head.mark(1, 2).unwrap();
        // A write that comes while the data are synced may have missed that sync.
        head.sync(|| head.mark(2, 3)).unwrap();
        assert_eq!(
            blocks_of(&load(&path, &layer, &SIZES).unwrap(), 4),
            [false, true, false, false]
        );
        head.mark(3, 4).unwrap();
        assert!(head.sync(|| Err(io::ErrorKind::Other.into())).is_err());
        assert_eq!(
            blocks_of(&load(&path, &layer, &SIZES).unwrap(), 4),
            [false, true, false, false]
        );
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.map");
        let layer = LayerId::random().unwrap();
        create(&path, &layer, SIZE).unwrap();
        let live = dir.path().join("a.live");
        let head = HeadMap::load(&path, &live, &layer, &SIZES, BOOT, false).unwrap();
        head.mark(0, SIZE / BLOCK_BYTES).unwrap();
        head.sync(|| Ok(())).unwrap();
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(load(&path, &layer, &SIZES), Err(MapError::Corrupt(_))), "byte {at}");
        }
        for len in [0, 511, 512, good.len() - 1] {
            std::fs::write(&path, &good[..len]).unwrap();
            assert!(
                matches!(load(&path, &layer, &SIZES), Err(MapError::Corrupt(_))),
                "{len} bytes"
            );
        }
        std::fs::write(&path, &good).unwrap();
        assert!(load(&path, &LayerId::random().unwrap(), &SIZES).is_err(), "another layer's map");
        assert!(load(&path, &layer, &SIZES).is_ok());
        assert!(load(&path, &layer, &(4096..=2 * SIZE)).is_ok(), "the layer was lengthened");
        assert!(load(&path, &layer, &(SIZE + 512..=2 * SIZE)).is_err());
        assert!(load(&path, &layer, &(512..=SIZE - 512)).is_err());
    }
}
