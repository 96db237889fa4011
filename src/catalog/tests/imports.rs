//! Import of files, hostile ones too.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::faults::{engine, image_name, import_spec, project};
use super::world::World;
use crate::catalog::import::Progress;
use crate::catalog::{Engine, Error, Format, Image, ImportSpec, Options};

fn run(world: &World, spec: &ImportSpec) -> Result<Image, Error> {
    let engine = engine(world);
    let import = engine.begin_import(&project(), &image_name("i"), spec)?;
    engine.run_import(import, &Progress::default())
}

/// The bytes of the image, holes as zeros.
pub(super) fn content(world: &World, image: &Image) -> Vec<u8> {
    let images = world.store.images.lock();
    let stored = &images[&image.backing];
    let mut bytes = vec![0; usize::try_from(stored.size_bytes).unwrap()];
    for (offset, data) in &stored.data {
        let at = usize::try_from(*offset).unwrap();
        bytes[at..at + data.len()].copy_from_slice(data);
    }
    bytes
}

fn written(world: &World, image: &Image) -> usize {
    world.store.images.lock()[&image.backing].data.iter().map(|(_, bytes)| bytes.len()).sum()
}

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

#[test]
fn a_panic_leaves_neither_an_image_nor_its_name() {
    let world = World::new();
    let engine = engine(&world);
    let file = file(&pattern(4096));
    let (spec, name) = (import_spec(file.path()), image_name("i"));
    let import = engine.begin_import(&project(), &name, &spec).unwrap();
    world.store.panics.store(true, Ordering::SeqCst);
    let error = engine.run_import(import, &Progress::default()).unwrap_err();
    assert_eq!(error.code(), "internal");
    assert!(world.store.images.lock().is_empty() && engine.images(None).unwrap().is_empty());
    world.store.panics.store(false, Ordering::SeqCst);
    let import = engine.begin_import(&project(), &name, &spec).unwrap();
    engine.run_import(import, &Progress::default()).unwrap();
}

#[test]
fn files_of_others_are_refused() {
    let world = World::new();
    let file = file(&pattern(4096));
    let uid = rustix::process::geteuid().as_raw();
    let as_user =
        |path: &Path, owner| run(&world, &ImportSpec { owner: Some(owner), ..import_spec(path) });
    assert_eq!(as_user(file.path(), uid + 1).unwrap_err().code(), "source-not-owned");
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(as_user(directory.path(), uid + 1).unwrap_err().code(), "source-not-owned");
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(file.path(), &link).unwrap();
    assert_eq!(as_user(&link, uid).unwrap_err().code(), "source-unreadable");
    as_user(file.path(), uid).unwrap();
}

#[test]
fn raw_of_an_odd_length_is_padded_to_sectors() {
    let world = World::new();
    let bytes = pattern(2_500_001);
    let file = file(&bytes);
    let image = run(&world, &import_spec(file.path())).unwrap();
    assert_eq!(image.format, Format::Raw);
    assert_eq!(image.size_bytes, 2_500_001_u64.next_multiple_of(512));
    let content = content(&world, &image);
    assert!(content[..bytes.len()] == bytes[..] && content[bytes.len()..].iter().all(|&b| b == 0));
}

#[test]
fn holes_and_zeros_are_not_written() {
    let world = World::new();
    let file = file(&[]);
    file.as_file().set_len(64 << 20).unwrap();
    file.as_file().write_all_at(b"x", 10 << 20).unwrap();
    // Zeros that are written are no hole in the file, but become one.
    file.as_file().write_all_at(&[0; 1 << 20], 20 << 20).unwrap();
    let image = run(&world, &import_spec(file.path())).unwrap();
    assert_eq!(written(&world, &image), 4096);
    assert_eq!(content(&world, &image)[10 << 20], b'x');
}

#[test]
fn the_boot_chs_is_reported_and_mended_if_asked() {
    let mut bytes = pattern(8192);
    bytes[446..510].fill(0);
    bytes[450] = 0xee;
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    let file = file(&bytes);
    for (fix, end) in [(false, [0, 0, 0]), (true, [0xfe, 0xff, 0xff])] {
        let world = World::new();
        let spec = ImportSpec { fix_boot_chs: fix, ..import_spec(file.path()) };
        let image = run(&world, &spec).unwrap();
        let codes: Vec<&str> = image.warnings.iter().map(|w| w.code.as_str()).collect();
        assert_eq!(codes, if fix { vec!["no-gpt"] } else { vec!["no-gpt", "gpt-boot-chs"] });
        let content = content(&world, &image);
        assert_eq!(content[451..454], end);
        assert_eq!((&content[..451], &content[454..]), (&bytes[..451], &bytes[454..]));
    }
    assert_eq!(fs::read(file.path()).unwrap(), bytes, "the source is not touched");
}

#[test]
fn a_cancelled_import_leaves_nothing() {
    let world = World::new();
    let engine = engine(&world);
    let file = file(&pattern(8192));
    let spec = import_spec(file.path());
    let import = engine.begin_import(&project(), &image_name("i"), &spec).unwrap();
    let busy = engine.remove_image(&project(), &image_name("i")).unwrap_err();
    assert_eq!(busy.code(), "busy");
    let again = engine.begin_import(&project(), &image_name("i"), &spec).err().unwrap();
    assert_eq!(again.code(), "image-exists");
    let progress = Progress::default();
    progress.cancel();
    let error = engine.run_import(import, &progress).unwrap_err();
    assert_eq!(error.code(), "cancelled");
    assert!(world.store.images.lock().is_empty());
    assert!(engine.images(None).unwrap().is_empty());
    run(&world, &spec).unwrap();
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let empty = file(&[]);
    let cases = [
        (directory.path().join("nothing"), "source-unreadable"),
        (directory.path().to_owned(), "source-not-a-file"),
        (fifo, "source-not-a-file"),
        (Path::new("/dev/zero").to_owned(), "source-not-a-file"),
        (Path::new("relative.img").to_owned(), "invalid-path"),
        (empty.path().to_owned(), "source-empty"),
    ];
    for (path, code) in cases {
        let world = World::new();
        let error = run(&world, &import_spec(&path)).unwrap_err();
        assert_eq!(error.code(), code, "{}: {error}", path.display());
        assert!(engine(&world).images(None).unwrap().is_empty());
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let world = World::new();
    let options = Options { image_max_bytes: 1 << 20, ..Options::default() };
    let exporter = world.exporter.clone();
    let engine = Engine::new(world.state(), world.stores(), exporter, options).unwrap();
    let raw = file(&[]);
    raw.as_file().set_len((1 << 20) + 1).unwrap();
    let qcow2 = file(&qcow2((1 << 20) + 512, [b"data", b"data"]));
    for file in [raw, qcow2] {
        let spec = import_spec(file.path());
        let error = engine.begin_import(&project(), &image_name("i"), &spec).err().unwrap();
        assert_eq!(error.code(), "source-too-large");
    }
}

const CLUSTER: usize = 65536;

/// A qcow2 file of version 3 with two clusters of data out of `size_bytes`: header, refcount
/// table, refcount block, L1, L2, data of cluster 0, data of cluster 3.
fn qcow2(size_bytes: u64, data: [&[u8]; 2]) -> Vec<u8> {
    let mut image = vec![0; 7 * CLUSTER];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"QFI\xfb");
    put(4, &3_u32.to_be_bytes());
    put(20, &16_u32.to_be_bytes());
    put(24, &size_bytes.to_be_bytes());
    put(36, &1_u32.to_be_bytes());
    put(40, &(3 * CLUSTER as u64).to_be_bytes());
    put(48, &(CLUSTER as u64).to_be_bytes());
    put(56, &1_u32.to_be_bytes());
    put(96, &4_u32.to_be_bytes());
    put(100, &104_u32.to_be_bytes());
    put(CLUSTER, &(2 * CLUSTER as u64).to_be_bytes());
    for cluster in 0..7 {
        put(2 * CLUSTER + cluster * 2, &1_u16.to_be_bytes());
    }
    let entry = |cluster: usize| ((1_u64 << 63) | (cluster * CLUSTER) as u64).to_be_bytes();
    put(3 * CLUSTER, &entry(4));
    put(4 * CLUSTER, &entry(5));
    put(4 * CLUSTER + 3 * 8, &entry(6));
    put(5 * CLUSTER, data[0]);
    put(6 * CLUSTER, data[1]);
    image
}

#[test]
fn qcow2_is_known_by_its_magic_and_read_sparsely() {
    let world = World::new();
    let (first, second) = (pattern(CLUSTER), vec![9; CLUSTER]);
    let file = file(&qcow2(1 << 20, [&first, &second]));
    let image = run(&world, &import_spec(file.path())).unwrap();
    assert_eq!((image.format, image.size_bytes), (Format::Qcow2, 1 << 20));
    let content = content(&world, &image);
    assert!(content[..CLUSTER] == first[..]);
    assert!(content[CLUSTER..3 * CLUSTER].iter().all(|&byte| byte == 0));
    assert!(content[3 * CLUSTER..4 * CLUSTER] == second[..]);
    assert!(content[4 * CLUSTER..].iter().all(|&byte| byte == 0));
    assert_eq!(written(&world, &image), 2 * CLUSTER);
}

#[test]
fn a_compressed_qcow2_is_read_and_said_to_be_one() {
    // Cluster 0 as deflate has it (RFC 1951): 65536 times the byte 7.
    let mut deflated = vec![
        0xed, 0xc1, 0x21, 0x01, 0x00, 0x00, 0x00, 0x80, 0xa0, 0xe8, 0xff, 0xc7, 0x1e, 0x01, 0x0a,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x6a,
    ];
    deflated.resize(512, 0);
    let mut bytes = qcow2(1 << 20, [&deflated, &[9; CLUSTER]]);
    // Bit 62 says so; that there are no more sectors than one is in the bits from 54 on.
    let entry = (1_u64 << 62) | (5 * CLUSTER as u64);
    bytes[4 * CLUSTER..4 * CLUSTER + 8].copy_from_slice(&entry.to_be_bytes());
    let world = World::new();
    let image = run(&world, &import_spec(file(&bytes).path())).unwrap();
    let codes: Vec<&str> = image.warnings.iter().map(|warning| warning.code.as_str()).collect();
    assert_eq!(codes, ["no-boot-signature", "compressed"]);
    assert!(content(&world, &image)[..CLUSTER].iter().all(|&byte| byte == 7));
}

#[test]
fn raw_can_be_forced() {
    let world = World::new();
    let bytes = qcow2(1 << 20, [&[], &[]]);
    let file = file(&bytes);
    let spec = ImportSpec { format: Some(Format::Raw), ..import_spec(file.path()) };
    let image = run(&world, &spec).unwrap();
    assert_eq!(image.format, Format::Raw);
    assert_eq!(image.warnings[0].code, "raw-is-qcow2");
    assert!(content(&world, &image) == bytes);
}

#[test]
fn hostile_qcow2_is_refused_before_anything_is_made() {
    type Spoil = (&'static str, fn(&mut Vec<u8>));
    let cases: [Spoil; 12] = [
        ("source-has-backing-file", |q| {
            q[8..16].copy_from_slice(&200_u64.to_be_bytes());
            q[16..20].copy_from_slice(&11_u32.to_be_bytes());
            q[200..211].copy_from_slice(b"/etc/passwd");
        }),
        ("source-has-data-file", |q| q[79] = 4),
        ("source-encrypted", |q| q[35] = 2),
        ("source-invalid", |q| q[79] = 2),
        ("source-unsupported", |q| q[72] = 0x80),
        ("source-unsupported", |q| q[7] = 9),
        ("source-invalid", |q| q[23] = 63),
        ("source-invalid", |q| q[23] = 1),
        ("source-invalid", |q| q[36..40].fill(0xff)),
        ("source-invalid", |q| q[56..60].fill(0xff)),
        ("source-too-large", |q| q[24] = 0x7f),
        ("source-invalid", |q| q.truncate(80)),
    ];
    for (code, spoil) in cases {
        let world = World::new();
        let mut bytes = qcow2(1 << 20, [b"data", b"data"]);
        spoil(&mut bytes);
        let file = file(&bytes);
        let error = run(&world, &import_spec(file.path())).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(world.store.images.lock().is_empty());
    }
}

#[test]
fn qcow2_with_tables_out_of_the_file_fails_and_leaves_nothing() {
    // L1 at an odd place, beyond the file; L2 beyond the file; the data likewise.
    for (at, value) in [
        (40, 1_u64 << 50),
        (40, 13),
        (3 * CLUSTER, (1 << 63) | (1 << 55)),
        (4 * CLUSTER, (1 << 63) | (1 << 55)),
        (4 * CLUSTER, 1 << 62 | 0x3fff_ffff_ffff_ffff),
    ] {
        let world = World::new();
        let mut bytes = qcow2(1 << 20, [b"data", b"data"]);
        bytes[at..at + 8].copy_from_slice(&value.to_be_bytes());
        let file = file(&bytes);
        let result = run(&world, &import_spec(file.path()));
        // Reading beyond the end gives zeros in this format; what may not be is half an image.
        let images = world.store.images.lock().len();
        assert_eq!(images, usize::from(result.is_ok()), "{at}: {result:?}");
    }
}
