//! The running target over real sockets: access, isolation, sessions that take each other's
//! place, memory that runs short. `aborts`: task management while the store hangs. `order`: task
//! attributes.

#![allow(clippy::unwrap_used, reason = "a test")]

mod aborts;
#[path = "../support/mod.rs"]
mod support;

mod background;
mod initiator;
mod luns;
mod order;
mod panics;
mod portals;
mod qos;

use crate::support::gated::Gated;
use std::net::SocketAddr;
use std::sync::Arc;

use initiator::{HANG, Initiator, Wishes, rw10};
use stirrup::backend::memory::MemoryVolume;
use stirrup::block::Volume;
use stirrup::iscsi::pdu::{Opcode, Pdu, ScsiCommand, TaskManagementRequest};
use stirrup::target::{
    Access, Chap, Handle, Initiators, Lun, Options, PortalGroup, Server, TargetSpec,
};
use tokio::runtime::Runtime;

const A: &str = "iqn.2026-11.test:a";
const B: &str = "iqn.2026-11.test:b";
const MIB: u64 = 1 << 20;

/// A target of the test's own.
struct Lab {
    runtime: Runtime,
    server: Option<Server>,
    handle: Handle,
    portal: SocketAddr,
    groups: Vec<Arc<PortalGroup>>,
}

impl Lab {
    fn with(options: Options, address: &str) -> Self {
        Self::in_groups(options, vec![PortalGroup::open(1, &[address.parse().unwrap()])])
    }

    fn in_groups(options: Options, groups: Vec<PortalGroup>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (server, groups) = runtime.block_on(async {
            let mut server = Server::start(options).unwrap();
            let groups = server.listen_in(groups).unwrap();
            (server, groups)
        });
        let portal = groups[0].portals[0];
        Self { handle: server.handle(), runtime, server: Some(server), portal, groups }
    }

    fn new() -> Self {
        Self::with(Options { shards: 2, ..Options::default() }, "127.0.0.1:0")
    }

    fn publish(&self, name: &str, volume: Option<Arc<dyn Volume>>, access: Access) {
        let luns = vec![lun(1, volume)];
        self.handle.publish(TargetSpec { name: name.into(), luns, access });
    }

    fn open(&self, name: &str) {
        self.publish(name, Some(Arc::new(MemoryVolume::new(64 * MIB, false))), Access::default());
    }

    fn log_in(&self, target: &str, wishes: &Wishes) -> Result<Initiator, u16> {
        Initiator::log_in(self.portal, target, wishes)
    }

    /// A session that has heard its unit attentions.
    fn ready(&self, target: &str, isid: u8) -> Initiator {
        let mut peer = self.log_in(target, &Wishes { isid, ..Wishes::default() }).unwrap();
        peer.get_ready();
        peer
    }
}

fn lun(number: u16, volume: Option<Arc<dyn Volume>>) -> Lun {
    let identity = format!("image {number}");
    Lun {
        number,
        volume,
        identity,
        block_bytes: 512,
        read_only: false,
        limits: stirrup::block::Limits::default(),
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            assert!(self.runtime.block_on(server.stop(HANG)));
        }
    }
}

fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| (i as u8).wrapping_mul(31).wrapping_add((i >> 8) as u8) ^ seed).collect()
}

#[test]
fn data_of_all_sizes_comes_back_with_and_without_digests() {
    let lab = Lab::new();
    lab.open(A);
    for digests in [false, true] {
        let wishes = Wishes { digests, ..Wishes::default() };
        let mut peer = lab.log_in(A, &wishes).unwrap();
        peer.get_ready();
        for (i, len) in
            [512, 4096, 8192, 65_536 + 512, 300 * 512, 2048 * 512].into_iter().enumerate()
        {
            let data = pattern(len, i as u8);
            let lba = 4096 * u32::try_from(i).unwrap() + 3;
            assert_eq!(peer.write_blocks(lba, &data).status, 0);
            assert!(peer.read_blocks(lba, len) == data, "{len} bytes, digests {digests}");
        }
    }
}

#[test]
fn immediate_data_in_one_batch_of_commands() {
    let lab = Lab::new();
    lab.open(A);
    let mut peer = lab.ready(A, 1);
    let commands: Vec<_> = (0..64u32)
        .map(|i| {
            let data = pattern(4096, i as u8);
            let command = peer.command(&rw10(0x2a, i * 8, 4096), 0, 4096);
            peer.send(&command, &data);
            command
        })
        .collect();
    for command in &commands {
        assert_eq!(peer.finish(command, &[]).status, 0);
    }
    for i in 0..64 {
        assert!(peer.read_blocks(i * 8, 4096) == pattern(4096, i as u8));
    }
}

#[test]
fn two_targets_never_see_each_others_writes() {
    let lab = Lab::new();
    lab.open(A);
    lab.open(B);
    let (mut a, mut b) = (lab.ready(A, 1), lab.ready(B, 1));
    a.write_blocks(5, &pattern(4096, 1));
    b.write_blocks(5, &pattern(4096, 2));
    assert!(a.read_blocks(5, 4096) == pattern(4096, 1));
    assert!(b.read_blocks(5, 4096) == pattern(4096, 2));
}

#[test]
fn who_is_not_allowed_gets_no_session_and_learns_no_name() {
    let lab = Lab::new();
    lab.open(A);
    let volume = || Some(Arc::new(MemoryVolume::new(MIB, false)) as Arc<dyn Volume>);
    let named = Access {
        initiators: Initiators::Listed(vec!["iqn.2026-11.test:other*".into()]),
        ..Access::default()
    };
    lab.publish(B, volume(), named);
    let elsewhere =
        Access { addresses: vec![("10.0.0.0".parse().unwrap(), 8)], ..Access::default() };
    lab.publish("iqn.2026-11.test:c", volume(), elsewhere);
    let chap = Chap { user: "u".into(), secret: "0123456789ab".to_owned().into(), mutual: None };
    lab.publish("iqn.2026-11.test:d", volume(), Access { chap: Some(chap), ..Access::default() });
    lab.publish("iqn.2026-11.test:e", None, Access::default());

    let stranger = Wishes::default();
    assert_eq!(lab.log_in(B, &stranger).err(), Some(0x0202));
    assert_eq!(lab.log_in("iqn.2026-11.test:c", &stranger).err(), Some(0x0202));
    assert_eq!(lab.log_in("iqn.2026-11.test:d", &stranger).err(), Some(0x0201), "no CHAP shown");
    assert_eq!(lab.log_in("iqn.2026-11.test:e", &stranger).err(), Some(0x0301), "not ready");
    assert_eq!(lab.log_in("iqn.2026-11.test:x", &stranger).err(), Some(0x0203));
    let other = Wishes { initiator: "iqn.2026-11.test:other9".into(), ..Wishes::default() };
    assert!(lab.log_in(&B.to_uppercase(), &other).is_ok(), "names compare in lower case");

    let discover = |wishes: Wishes| {
        lab.log_in("", &Wishes { discovery: true, ..wishes }).unwrap().send_targets()
    };
    let (mine, others) = (discover(stranger), discover(other));
    assert!(mine.contains(A) && !mine.contains(B) && !mine.contains("test:c"), "{mine:?}");
    assert!(others.contains(B) && others.contains(&format!("TargetAddress={},1", lab.portal)));
}

#[test]
fn other_isids_live_side_by_side() {
    let lab = Lab::new();
    lab.open(A);
    let (mut one, mut two) = (lab.ready(A, 1), lab.ready(A, 2));
    one.write_blocks(0, &pattern(512, 1));
    assert!(two.read_blocks(0, 512) == pattern(512, 1));
    assert_eq!(lab.handle.sessions().len(), 2);
}

#[test]
fn a_target_that_is_withdrawn_leaves_nothing_in_the_store() {
    let lab = Lab::new();
    let volume = Gated::new(MIB);
    lab.publish(A, Some(volume.clone()), Access::default());
    let mut peer = lab.ready(A, 1);
    volume.hold();
    let command = peer.command(&rw10(0x2a, 0, 4096), 0, 4096);
    peer.send(&command, &pattern(4096, 1));
    volume.wait_for(1);
    let gone = lab.runtime.spawn({
        let handle = lab.handle.clone();
        async move { handle.withdraw(A).await }
    });
    assert!(peer.is_closed());
    assert_eq!(lab.log_in(A, &Wishes::default()).err(), Some(0x0203));
    assert!(!gone.is_finished(), "a write is still on its way");
    volume.release();
    assert!(
        lab.runtime.block_on(async { tokio::time::timeout(HANG, gone).await }).unwrap().unwrap()
    );
    assert_eq!(lab.handle.sessions(), []);
}

#[test]
fn a_session_can_be_killed_and_comes_back() {
    let lab = Lab::new();
    lab.open(A);
    let mut peer = lab.ready(A, 1);
    let id = lab.handle.sessions()[0].id;
    assert!(lab.handle.kill_session(id) && !lab.handle.kill_session(id + 100));
    assert!(peer.is_closed());
    lab.ready(A, 1);
}

#[test]
fn short_memory_delays_or_refuses_but_never_breaks() {
    let options = Options { shards: 1, shard_buffer_bytes: MIB as usize, ..Options::default() };
    let lab = Lab::with(options, "127.0.0.1:0");
    lab.open(A);
    let mut peer = lab.ready(A, 1);
    let len = 512 * 1024;
    let reads: Vec<_> = (0..16u32)
        .map(|_| {
            let command = peer.command(&rw10(0x28, 0, len), u32::try_from(len).unwrap(), 0);
            peer.send(&command, &[]);
            command
        })
        .collect();
    for command in &reads {
        let ended = peer.finish(command, &[]);
        assert_eq!((ended.status, ended.data.len()), (0, len), "they wait for each other");
    }
    let too_large = 4096 * 512;
    let ended = peer.run(&rw10(0x28, 0, too_large), u32::try_from(too_large).unwrap(), &[]);
    assert_eq!(ended.status, 0x28, "TASK SET FULL");
    assert_eq!(peer.write_blocks(0, &pattern(4096, 1)).status, 0);
}

#[test]
fn a_write_whose_data_finds_no_memory_is_refused_and_not_acknowledged() {
    let options = Options { shards: 1, shard_buffer_bytes: MIB as usize, ..Options::default() };
    let lab = Lab::with(options, "127.0.0.1:0");
    let volume = Gated::new(64 * MIB);
    lab.publish(A, Some(volume.clone()), Access::default());
    let (mut greedy, mut writer) = (lab.ready(A, 1), lab.ready(A, 2));
    assert_eq!(writer.write_blocks(0, &pattern(65_536, 1)).status, 0);
    volume.hold();
    let read = greedy.command(&rw10(0x28, 0, MIB as usize), MIB as u32, 0);
    greedy.send(&read, &[]);
    volume.wait_for(1);
    let command = writer.command(&rw10(0x2a, 0, 65_536), 0, 65_536);
    let command = ScsiCommand { is_final: false, ..command };
    writer.send(&command, &pattern(4096, 2));
    writer.send_unsolicited(&command, 4096, &pattern(61_440, 2));
    assert_eq!(writer.finish(&command, &[]).status, 0x28, "TASK SET FULL");
    volume.release();
    assert_eq!(greedy.finish(&read, &[]).data.len(), MIB as usize);
    assert!(writer.read_blocks(0, 65_536) == pattern(65_536, 1), "nothing of it was written");
}

#[test]
fn a_discovery_session_takes_nobodys_place() {
    let lab = Lab::new();
    lab.open(A);
    let mut victim = lab.ready(A, 1);
    let keys = "TargetName=iqn.2026-11.test:a\0";
    let discovery = Wishes { discovery: true, keys, ..Wishes::default() };
    lab.log_in("", &discovery).unwrap();
    lab.log_in("", &discovery).unwrap();
    assert_eq!(victim.write_blocks(0, &pattern(512, 1)).status, 0);
}

#[test]
fn who_is_not_admitted_any_more_loses_the_session() {
    let lab = Lab::new();
    let volume: Arc<dyn Volume> = Arc::new(MemoryVolume::new(MIB, false));
    lab.publish(A, Some(Arc::clone(&volume)), Access::default());
    let (mut stays, mut goes) = (lab.ready(A, 1), {
        let initiator = "iqn.2026-11.test:other".to_owned();
        let mut other = lab.log_in(A, &Wishes { initiator, ..Wishes::default() }).unwrap();
        other.get_ready();
        other
    });
    let initiators = Initiators::Listed(vec![Wishes::default().initiator]);
    lab.publish(A, Some(volume), Access { initiators, ..Access::default() });
    assert!(goes.is_closed());
    assert_eq!(stays.write_blocks(0, &pattern(512, 1)).status, 0);
}

#[test]
fn there_are_only_so_many_sessions() {
    let lab = Lab::with(Options { sessions_max: 2, ..Options::default() }, "127.0.0.1:0");
    lab.open(A);
    let (_one, _two) = (lab.ready(A, 1), lab.ready(A, 2));
    let third = Wishes { isid: 3, ..Wishes::default() };
    assert_eq!(lab.log_in(A, &third).err(), Some(0x0302));
}

#[test]
fn it_serves_over_ipv6() {
    let lab = Lab::with(Options::default(), "[::1]:0");
    lab.open(A);
    let mut peer = lab.ready(A, 1);
    assert_eq!(peer.write_blocks(0, &pattern(4096, 1)).status, 0);
    let wishes = Wishes { discovery: true, isid: 2, ..Wishes::default() };
    let found = lab.log_in("", &wishes).unwrap().send_targets();
    assert!(found.contains(&format!("TargetAddress=[::1]:{},1", lab.portal.port())), "{found:?}");
}
