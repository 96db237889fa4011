//! The steady path allocates nothing: 4 KiB reads and writes over a socket, with and without
//! digests, on a volume in memory, with limits too, and on a clone in the local store.
//!
//! The whole process is counted, the initiator too, which therefore has all its memory before. One
//! test, for a second one beside it would be counted with it. If it fails, `dhat-heap.json` in
//! the directory of temporary files says who has allocated (`dh_view.html` of Valgrind shows it).

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stirrup::backend::local::{self, LocalStore};
use stirrup::backend::memory::MemoryVolume;
use stirrup::backend::pool::Pool;
use stirrup::backend::{OpenMode, Store};
use stirrup::block::{Limits, Rates, Volume};
use stirrup::iscsi::pdu::digest::crc32c;
use stirrup::target::{Access, Lun, Options, Server, TargetSpec};

use support::HANG;
use support::raw::{BHS_LEN, CONT, Digests, FINAL, Pdu, READ, WRITE, Wire, op};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const BLOCK: usize = 4096;
const VOLUME_BYTES: u64 = 16 << 20;
const QUEUE_DEPTH: u32 = 32;
/// Until every list has its length, and every buffer that can be in use at a time is there.
const WARM_UP_BATCHES: u32 = 100;
const BATCHES: u32 = 320;
/// What is allowed for all of them: a list may still find a length that it has not had, and a map
/// of written blocks is synced.
const ALLOCATIONS_MAX: u64 = 40;
/// And for each second that they take: the target looks at its volumes that often.
const ALLOCATIONS_A_SECOND: u64 = 20;

/// An initiator that allocates nothing once it is logged in.
struct Steady {
    wire: Wire,
    cmd_sn: u32,
    out: Vec<u8>,
    segment: Vec<u8>,
    data: Vec<u8>,
    data_digest: [u8; 4],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

impl Steady {
    fn log_in(portal: SocketAddr, target: &str, digests: bool) -> Self {
        let mut wire = Wire::connect(portal);
        let digest = if digests { "CRC32C" } else { "None" };
        let keys = format!(
            "InitiatorName=iqn.2026-11.test:node\0TargetName={target}\0SessionType=Normal\0\
             HeaderDigest={digest}\0DataDigest={digest}\0InitialR2T=No\0ImmediateData=Yes\0\
             MaxRecvDataSegmentLength=65536\0"
        );
        // Operational stage, on to the full feature phase; the ISID is random (type 2).
        let login = Pdu::new(op::LOGIN | 0x40, FINAL | 1 << 2 | 3).byte(8, 0x80).set(24, 1);
        wire.send(&login.with(keys.as_bytes()));
        let response = wire.receive().unwrap();
        assert_eq!(response.half(36), 0, "the login is granted");
        assert_eq!(response.flags() & CONT, 0);
        wire.digests = Digests { header: digests, data: digests };
        let data: Vec<u8> = (0..BLOCK).map(|i| (i % 251) as u8).collect();
        let room = QUEUE_DEPTH as usize * (BHS_LEN + BLOCK + 8);
        let data_digest = crc32c([&data[..]]);
        let (out, segment) = (Vec::with_capacity(room), vec![0; BLOCK]);
        let mut this = Self { wire, cmd_sn: 1, out, segment, data, data_digest };
        // POWER ON, RESET, OR BUS DEVICE RESET OCCURRED.
        assert_eq!(this.one(&[0; 16]), 2);
        assert_eq!(this.one(&[0; 16]), 0);
        this
    }

    /// A command without data; its status.
    fn one(&mut self, cdb: &[u8; 16]) -> u8 {
        self.push(0, cdb, 0);
        self.wire.stream.write_all(&self.out).unwrap();
        self.out.clear();
        self.wire.receive().unwrap().bhs[3]
    }

    fn push(&mut self, flags: u8, cdb: &[u8; 16], length: u32) {
        let immediate_data = if flags == WRITE { length } else { 0 };
        let mut bhs = [0; BHS_LEN];
        (bhs[0], bhs[1]) = (op::SCSI, FINAL | flags | 1);
        bhs[4..8].copy_from_slice(&immediate_data.to_be_bytes());
        // Tags that are not consecutive: nothing is to rely on it.
        bhs[16..20].copy_from_slice(&self.cmd_sn.wrapping_mul(0x9e37_79b1).to_be_bytes());
        bhs[20..24].copy_from_slice(&length.to_be_bytes());
        bhs[24..28].copy_from_slice(&self.cmd_sn.to_be_bytes());
        bhs[32..48].copy_from_slice(cdb);
        self.cmd_sn = self.cmd_sn.wrapping_add(1);
        self.out.extend_from_slice(&bhs);
        if self.wire.digests.header {
            self.out.extend_from_slice(&crc32c([&bhs[..]]));
        }
        if immediate_data > 0 {
            self.out.extend_from_slice(&self.data);
            if self.wire.digests.data {
                self.out.extend_from_slice(&self.data_digest);
            }
        }
    }

    /// Commands at queue depth 32, all over the volume.
    fn batches(&mut self, kind: Kind, count: u32) {
        for _ in 0..count {
            for _ in 0..QUEUE_DEPTH {
                let blocks = (VOLUME_BYTES / BLOCK as u64) as u32;
                let lba = self.cmd_sn.wrapping_mul(7919) % blocks * (BLOCK as u32 / 512);
                let mut cdb = [0; 16];
                cdb[0] = if kind == Kind::Read { 0x28 } else { 0x2a };
                cdb[2..6].copy_from_slice(&lba.to_be_bytes());
                cdb[8] = (BLOCK / 512) as u8;
                let flags = if kind == Kind::Read { READ } else { WRITE };
                self.push(flags, &cdb, BLOCK as u32);
            }
            self.wire.stream.write_all(&self.out).unwrap();
            self.out.clear();
            for _ in 0..QUEUE_DEPTH {
                self.finish(kind);
            }
        }
    }

    /// Takes the answer to one of the commands.
    fn finish(&mut self, kind: Kind) {
        let digests = self.wire.digests;
        let mut bhs = [0; BHS_LEN];
        let mut digest = [0; 4];
        self.wire.stream.read_exact(&mut bhs).unwrap();
        if digests.header {
            self.wire.stream.read_exact(&mut digest).unwrap();
        }
        assert_eq!(bhs[3], 0, "GOOD");
        let length = u32::from_be_bytes([0, bhs[5], bhs[6], bhs[7]]) as usize;
        match kind {
            Kind::Read => {
                assert_eq!((bhs[0], bhs[1] & 0x81), (op::DATA_IN, 0x81), "with its status");
                self.wire.stream.read_exact(&mut self.segment[..length]).unwrap();
                if digests.data {
                    self.wire.stream.read_exact(&mut digest).unwrap();
                }
                assert!(self.segment == self.data, "what was written");
            }
            Kind::Write => assert_eq!((bhs[0], length), (op::SCSI_RESPONSE, 0)),
        }
    }

    /// Allocations in the whole process during some batches, and how many are too many.
    fn counted(&mut self, kind: Kind) -> (u64, u64) {
        self.batches(kind, WARM_UP_BATCHES);
        let (before, since) = (dhat::HeapStats::get().total_blocks, Instant::now());
        self.batches(kind, BATCHES);
        let allocations = dhat::HeapStats::get().total_blocks - before;
        (allocations, ALLOCATIONS_MAX + ALLOCATIONS_A_SECOND * (since.elapsed().as_secs() + 1))
    }
}

/// A clone of an empty image, as a disk is one.
fn clone_in(dir: &std::path::Path, write_cache: bool, pool: &Arc<Pool>) -> Arc<dyn Volume> {
    let store = LocalStore::open(dir, local::Options { write_cache }, pool).unwrap();
    store.create("golden", VOLUME_BYTES).unwrap();
    store.snapshot("golden", "one").unwrap();
    store.clone_image("golden", "one", "disk").unwrap();
    store.open("disk", None, OpenMode::ReadWrite).unwrap()
}

/// A disk with limits.
const LIMITED: &str = "iqn.2026-11.test:limited";

fn never_reached() -> Limits {
    let total = Rates { operations: Some(1 << 40), bytes: Some(1 << 40) };
    Limits { total, burst: Duration::from_secs(1), ..Limits::default() }
}

#[test]
fn reads_and_writes_allocate_nothing() {
    let heap = std::env::temp_dir().join("dhat-heap.json");
    let _profiler = dhat::Profiler::builder().testing().file_name(heap).build();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let pool = Pool::start(2).unwrap();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let volumes: [(&str, Arc<dyn Volume>); 4] = [
        ("iqn.2026-11.test:memory", Arc::new(MemoryVolume::new(VOLUME_BYTES, false))),
        (LIMITED, Arc::new(MemoryVolume::new(VOLUME_BYTES, false))),
        ("iqn.2026-11.test:cached", clone_in(dirs[0].path(), true, &pool)),
        ("iqn.2026-11.test:synced", clone_in(dirs[1].path(), false, &pool)),
    ];
    let (server, portal) = runtime.block_on(async {
        let mut server = Server::start(Options { shards: 1, ..Options::default() }).unwrap();
        let portal = server.listen(&["127.0.0.1:0".parse().unwrap()]).unwrap()[0];
        (server, portal)
    });
    let mut found = Vec::new();
    for (name, volume) in volumes {
        let volume = Some(volume);
        let lun = Lun {
            number: 0,
            volume,
            identity: "d".into(),
            block_bytes: 512,
            read_only: false,
            limits: if name == LIMITED { never_reached() } else { Limits::default() },
        };
        let (name, access) = (name.to_owned(), Access::default());
        server.handle().publish(TargetSpec { name: name.clone(), luns: vec![lun], access });
        for digests in [false, true] {
            let mut peer = Steady::log_in(portal, &name, digests);
            // Writes first: reads check what they have written, everywhere.
            peer.batches(Kind::Write, (VOLUME_BYTES / BLOCK as u64) as u32 / QUEUE_DEPTH);
            for kind in [Kind::Write, Kind::Read] {
                found.push((name.clone(), digests, kind, peer.counted(kind)));
            }
        }
    }
    for (.., (allocations, max)) in &found {
        dhat::assert!(
            allocations <= max,
            "for {} commands each: {found:#?}",
            BATCHES * QUEUE_DEPTH
        );
    }
    assert!(runtime.block_on(server.stop(HANG)));
}
