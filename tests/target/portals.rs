//! Portal groups, redirection, and initiators that are asked to go.

use crate::support::gated::Gated;
use std::net::TcpStream;
use std::time::Instant;

use md5::Md5;
use sha2::Sha256;
use sha2::digest::Digest;
use stirrup::iscsi::pdu::frame::{Lengths, set_data_length};
use stirrup::iscsi::pdu::{
    AsyncMessage, LoginRequest, LoginResponse, LogoutRequest, LogoutResponse, NopIn, NopOut,
    RESERVED_TAG, Reject,
};
use stirrup::iscsi::text;
use stirrup::target::{PortalGroup, Redirect};

use super::*;

/// A login, text by text.
struct Login {
    stream: TcpStream,
    request: LoginRequest,
}

impl Login {
    fn new(portal: SocketAddr) -> Self {
        let stream = TcpStream::connect(portal).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        let request = LoginRequest {
            transit: true,
            cont: false,
            csg: 1,
            nsg: 3,
            version_max: 0,
            version_min: 0,
            isid: [0x80, 0, 0, 0, 0, 1],
            tsih: 0,
            itt: 5,
            cid: 0,
            cmd_sn: 1,
            exp_stat_sn: 0,
        };
        Self { stream, request }
    }

    /// In the security stage.
    fn secure(portal: SocketAddr) -> Self {
        let mut login = Self::new(portal);
        (login.request.csg, login.request.nsg) = (0, 3);
        login
    }

    /// Sends keys, separated by blanks; the status, and the answer's keys one a line.
    fn send(&mut self, transit: bool, keys: &str) -> (u16, String) {
        use std::io::{Read, Write};
        let mut bhs = LoginRequest { transit, ..self.request }.encode();
        let mut data: Vec<u8> =
            keys.split(' ').flat_map(|key| [key, "\0"]).collect::<String>().into();
        set_data_length(&mut bhs, data.len());
        data.resize(data.len().next_multiple_of(4), 0);
        self.stream.write_all(&bhs).unwrap();
        self.stream.write_all(&data).unwrap();
        self.stream.read_exact(&mut bhs).unwrap();
        let lengths = Lengths::of(&bhs, false, false);
        let mut data = vec![0; lengths.data + lengths.padding];
        self.stream.read_exact(&mut data).unwrap();
        data.truncate(lengths.data);
        let response = LoginResponse::parse(&bhs).unwrap();
        let status = u16::from_be_bytes([response.status_class, response.status_detail]);
        (status, String::from_utf8(data).unwrap().replace('\0', "\n"))
    }
}

const NODE: &str = "InitiatorName=iqn.2026-11.test:node";

fn normal(target: &str) -> String {
    format!("{NODE} TargetName={target}")
}

const DISCOVERY: &str = "InitiatorName=iqn.2026-11.test:node SessionType=Discovery";

/// Groups of tags 1, 2, ... with so many portals each, on loopback.
fn groups(portals: &[&[&str]]) -> Vec<PortalGroup> {
    let group = |(tag, portals): (u16, &&[&str])| {
        let portals: Vec<_> = portals.iter().map(|portal| portal.parse().unwrap()).collect();
        PortalGroup::open(tag, &portals)
    };
    (1..).zip(portals).map(group).collect()
}

const V4: &str = "127.0.0.1:0";
const V6: &str = "[::1]:0";

fn in_groups(groups: Vec<PortalGroup>) -> (Lab, Vec<Vec<SocketAddr>>) {
    let lab = Lab::in_groups(Options { shards: 2, ..Options::default() }, groups);
    let portals = lab.groups.iter().map(|group| group.portals.clone()).collect();
    (lab, portals)
}

fn log_in(portal: SocketAddr, isid: u8) -> Initiator {
    let wishes = Wishes { isid, ..Wishes::default() };
    let mut peer = Initiator::log_in(portal, A, &wishes).unwrap();
    peer.get_ready();
    peer
}

fn discover(portal: SocketAddr) -> String {
    let wishes = Wishes { discovery: true, ..Wishes::default() };
    Initiator::log_in(portal, "", &wishes).unwrap().send_targets().replace('\0', "\n")
}

#[test]
fn l14_each_portal_tells_the_tag_of_its_group() {
    let (lab, portals) = in_groups(groups(&[&[V4, V6], &[V4, V4]]));
    lab.open(A);
    for (tag, portals) in (1..).zip(&portals) {
        for portal in portals {
            let (status, text) = Login::new(*portal).send(true, &normal(A));
            assert_eq!(status, 0);
            let line = format!("TargetPortalGroupTag={tag}");
            assert_eq!(text.lines().filter(|found| *found == line).count(), 1, "{portal}: {text}");
        }
    }
}

#[test]
fn the_scsi_target_port_is_the_portal_group() {
    let (lab, portals) = in_groups(groups(&[&[V4], &[V4]]));
    lab.open(A);
    for (tag, portals) in (1u8..).zip(&portals) {
        let page = log_in(portals[0], 1).run(&[0x12, 1, 0x83, 1, 0, 0], 256, &[]).data;
        // Relative target port identifier (SPC-5 7.7.6.7).
        let designator = [0x51, 0x94, 0, 4, 0, 0, 0, tag];
        assert!(page.windows(8).any(|window| window == designator), "{tag}: {page:02x?}");
        let name = format!("{A},t,0x{tag:04x}");
        assert!(page.windows(name.len()).any(|window| window == name.as_bytes()), "{name}");
    }
}

#[test]
fn the_scsi_ports_are_those_of_the_groups_in_which_the_target_is() {
    let (lab, portals) = in_groups(groups(&[&[V4], &[V4], &[V4]]));
    let volume: Arc<dyn Volume> = Arc::new(MemoryVolume::new(MIB, false));
    lab.publish(A, Some(volume), Access { portal_groups: vec![1, 3], ..Access::default() });
    let page = log_in(portals[2][0], 1).run(&[0x12, 1, 0x88, 4, 0, 0], 1024, &[]).data;
    let half = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
    let (mut ports, mut at) = (Vec::new(), 4);
    while at < page.len() {
        // Designation descriptors of a target port (SPC-5 7.7.13).
        ports.push(half(at + 2));
        at += 8 + half(at + 6);
        at += 4 + half(at + 2);
    }
    assert_eq!(ports, [1, 3]);
}

#[test]
fn l33_the_same_isid_in_another_portal_group_is_another_session() {
    let (lab, portals) = in_groups(groups(&[&[V4, V6], &[V4]]));
    lab.open(A);
    let mut first = log_in(portals[0][0], 1);
    let mut second = log_in(portals[1][0], 1);
    assert_eq!(first.write_blocks(0, &pattern(512, 1)).status, 0);
    assert!(second.read_blocks(0, 512) == pattern(512, 1), "both are there");
    let tags: Vec<_> = lab.handle.sessions().iter().map(|s| s.portal_group_tag).collect();
    assert_eq!(tags, [1, 2]);
    // Another portal of the same group: the same session, anew.
    let mut again = log_in(portals[0][1], 1);
    assert!(first.is_closed());
    assert!(again.read_blocks(0, 512) == pattern(512, 1));
    assert_eq!(second.write_blocks(0, &pattern(512, 2)).status, 0);
    assert_eq!(lab.handle.sessions().len(), 2);
}

#[test]
fn discovery_tells_each_initiator_where_it_may_log_in() {
    let mut groups = groups(&[&[V4, V6], &[V4], &[V4]]);
    groups[1].advertise = vec!["198.51.100.1:3261".parse().unwrap()];
    groups[2].initiators = Initiators::Listed(vec!["iqn.2026-11.test:other".into()]);
    let (lab, portals) = in_groups(groups);
    lab.open(A);
    let volume = || Some(Arc::new(MemoryVolume::new(MIB, false)) as Arc<dyn Volume>);
    let only = |tags: &[u16]| Access { portal_groups: tags.to_vec(), ..Access::default() };
    lab.publish(B, volume(), only(&[2]));
    lab.publish("iqn.2026-11.test:c", volume(), only(&[3]));
    lab.publish("iqn.2026-11.test:d", volume(), only(&[9]));
    let [one, six] = portals[0][..] else { panic!("two portals") };
    let expected = format!(
        "TargetName={A}\nTargetAddress={one},1\nTargetAddress={six},1\n\
         TargetAddress=198.51.100.1:3261,2\n\
         TargetName={B}\nTargetAddress=198.51.100.1:3261,2\n"
    );
    for portal in [one, six, portals[1][0]] {
        assert_eq!(discover(portal), expected, "the same from everywhere");
    }
    let third = portals[2][0];
    let other = Wishes { initiator: "iqn.2026-11.test:other".into(), ..Wishes::default() };
    let found = Initiator::log_in(third, "", &Wishes { discovery: true, ..other.clone() });
    let found = found.unwrap().send_targets();
    assert!(found.contains(&format!("TargetAddress={third},3")) && found.contains("test:c"));
    // What was told is what is so.
    for (portal, target, stranger) in [
        (one, A, None),
        (one, B, Some(0x0203)),
        (portals[1][0], B, None),
        (portals[1][0], "iqn.2026-11.test:c", Some(0x0203)),
        (third, A, Some(0x0202)),
        (third, "iqn.2026-11.test:c", Some(0x0202)),
    ] {
        let status = Initiator::log_in(portal, target, &Wishes::default()).err();
        assert_eq!(status, stranger, "{target} at {portal}");
        let status = Initiator::log_in(portal, target, &other).err();
        let admitted = stranger.filter(|status| *status != 0x0202);
        assert_eq!(status, admitted, "{target} at {portal} for the other");
    }
    let discovery = Wishes { discovery: true, ..Wishes::default() };
    assert_eq!(Initiator::log_in(third, "", &discovery).err(), Some(0x0202));
}

#[test]
fn a_group_may_be_for_some_networks_only() {
    let mut groups = groups(&[&[V4, V6]]);
    groups[0].addresses = vec![("::1".parse().unwrap(), 128)];
    let (lab, portals) = in_groups(groups);
    lab.open(A);
    let [four, six] = portals[0][..] else { panic!("two portals") };
    assert_eq!(Initiator::log_in(four, A, &Wishes::default()).err(), Some(0x0202));
    log_in(six, 1);
}

#[test]
fn sessions_end_where_a_target_is_offered_no_more() {
    let (lab, portals) = in_groups(groups(&[&[V4], &[V4]]));
    let volume: Arc<dyn Volume> = Arc::new(MemoryVolume::new(MIB, false));
    lab.publish(A, Some(Arc::clone(&volume)), Access::default());
    let (mut goes, mut stays) = (log_in(portals[0][0], 1), log_in(portals[1][0], 1));
    lab.publish(A, Some(volume), Access { portal_groups: vec![2], ..Access::default() });
    assert!(goes.is_closed());
    assert_eq!(stays.write_blocks(0, &pattern(512, 1)).status, 0);
}

/// CHAP_R in hexadecimal for the challenge in `text`.
fn chap_response<D: Digest>(secret: &str, text: &str) -> String {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{key} in {text}"))
    };
    let identifier: u8 = value("CHAP_I").parse().unwrap();
    let challenge = text::binary(value("CHAP_C"), 1024).unwrap();
    let hash = D::new().chain_update([identifier]).chain_update(secret).chain_update(challenge);
    text::hex(&hash.finalize())
}

#[test]
fn discovery_has_the_chap_of_its_portal_group() {
    let chap = |user: &str, secret: &str| {
        Some(Chap { user: user.into(), secret: secret.to_owned().into(), mutual: None })
    };
    let mut groups = groups(&[&[V4], &[V4], &[V4]]);
    groups[0].discovery_chap = chap("one", "the first secret");
    groups[1].discovery_chap = chap("two", "another secret of two");
    let (lab, portals) = in_groups(groups);
    lab.open(A);
    assert_eq!(Login::new(portals[0][0]).send(true, DISCOVERY).0, 0x0201);
    assert_eq!(Login::new(portals[2][0]).send(true, DISCOVERY).0, 0, "open");
    assert_eq!(Login::new(portals[0][0]).send(true, &normal(A)).0, 0, "the target has no CHAP");
    let attempt = |group: usize, user: &str, secret: &str, strong: bool| {
        let mut login = Login::secure(portals[group][0]);
        let (_, text) = login.send(false, &format!("{DISCOVERY} AuthMethod=CHAP,None"));
        assert_eq!(text, "AuthMethod=CHAP\n");
        let offer = if strong { "CHAP_A=7,5" } else { "CHAP_A=5" };
        let (_, text) = login.send(false, offer);
        let response = match strong {
            true => chap_response::<Sha256>(secret, &text),
            false => chap_response::<Md5>(secret, &text),
        };
        login.send(true, &format!("CHAP_N={user} CHAP_R={response}")).0
    };
    for strong in [false, true] {
        assert_eq!(attempt(0, "one", "the first secret", strong), 0);
        assert_eq!(attempt(1, "two", "another secret of two", strong), 0);
        assert_eq!(attempt(1, "one", "the first secret", strong), 0x0201);
        assert_eq!(attempt(1, "two", "the first secret", strong), 0x0201);
    }
}

#[test]
fn l34_a_target_that_has_moved_says_where_to_those_it_admits() {
    let lab = Lab::new();
    let volume: Arc<dyn Volume> = Arc::new(MemoryVolume::new(64 * MIB, false));
    let mut access = Access {
        initiators: Initiators::Listed(vec!["iqn.2026-11.test:node".into()]),
        ..Access::default()
    };
    lab.publish(A, Some(Arc::clone(&volume)), access.clone());
    let mut peer = lab.ready(A, 1);
    for (permanently, status) in [(false, 0x0101), (true, 0x0102)] {
        let address = "192.0.2.7:3260".to_owned();
        access.moved = Some(Redirect { address, permanently });
        lab.publish(A, Some(Arc::clone(&volume)), access.clone());
        // Before and after a security stage, ready or not.
        for mut login in [Login::new(lab.portal), Login::secure(lab.portal)] {
            let (found, text) = login.send(true, &normal(A));
            assert_eq!((found, text.as_str()), (status, "TargetAddress=192.0.2.7:3260\n"));
        }
        let stranger = format!("InitiatorName=iqn.2026-11.test:x TargetName={A}");
        let (found, text) = Login::new(lab.portal).send(true, &stranger);
        assert_eq!((found, text.as_str()), (0x0202, ""), "a stranger learns nothing");
        assert_eq!(peer.write_blocks(0, &pattern(512, 1)).status, 0, "sessions go on");
        assert_eq!(lab.handle.targets()[0].moved, access.moved);
    }
    // A gateway that has given the disk up still says where it is.
    lab.publish(A, None, access.clone());
    assert!(peer.is_closed());
    assert_eq!(Login::new(lab.portal).send(true, &normal(A)).0, 0x0102);
    access.moved = None;
    lab.publish(A, Some(volume), access);
    lab.ready(A, 1);
}

#[test]
fn l16_l18_a_tsih_names_a_session_and_its_connection() {
    let lab = Lab::new();
    let volume = Gated::new(64 * MIB);
    lab.publish(A, Some(volume.clone()), Access::default());
    let join = |isid: u8, tsih: u16, cid: u16, keys: &str| {
        let mut login = Login::new(lab.portal);
        (login.request.isid[5], login.request.tsih, login.request.cid) = (isid, tsih, cid);
        login.send(true, &format!("{}{keys}", normal(A))).0
    };
    assert_eq!(join(1, 77, 0, ""), 0x020a, "no session at all");
    let mut old = lab.ready(A, 1);
    let before = lab.handle.sessions()[0].clone();
    assert_eq!(join(1, before.tsih + 100, 0, ""), 0x020a, "another TSIH");
    assert_eq!(join(2, before.tsih, 0, ""), 0x020a, "another ISID");
    assert_eq!(join(1, before.tsih, 1, ""), 0x0206, "a second connection");
    assert_eq!(join(1, before.tsih, 0, " MaxBurstLength=512"), 0x0200, "for leading logins only");
    old.ping();

    // The same connection anew: what the old one had in the store ends first.
    volume.hold();
    let command = old.command(&rw10(0x2a, 0, 4096), 0, 4096);
    old.send(&command, &pattern(4096, 1));
    volume.wait_for(1);
    let mut login = Login::new(lab.portal);
    (login.request.tsih, login.request.cid) = (before.tsih, 0);
    let status = std::thread::scope(|scope| {
        let status = scope.spawn(|| login.send(true, &normal(A)).0);
        assert!(old.is_closed());
        volume.release();
        status.join().unwrap()
    });
    assert_eq!(status, 0);
    let [after] = &lab.handle.sessions()[..] else { panic!("one session") };
    assert_eq!((after.tsih, after.isid), (before.tsih, before.isid));
    assert_ne!(after.id, before.id);
}

#[test]
fn discovery_sessions_take_the_place_of_their_like_only() {
    let (lab, portals) = in_groups(groups(&[&[V4, V6]]));
    lab.open(A);
    let discovery = Wishes { discovery: true, ..Wishes::default() };
    let named = Wishes { keys: "TargetName=iqn.2026-11.test:a\0", ..discovery.clone() };
    let log_in = |portal, wishes: &Wishes| Initiator::log_in(portal, "", wishes).unwrap();
    let mut normal = lab.ready(A, 1);
    let mut unnamed = log_in(portals[0][0], &discovery);
    let mut elsewhere = log_in(portals[0][1], &discovery);
    let mut of_target = log_in(portals[0][0], &named);
    assert_eq!(lab.handle.sessions().len(), 4);
    let _unnamed = log_in(portals[0][0], &discovery);
    assert!(unnamed.is_closed());
    let _of_target = log_in(portals[0][1], &named);
    assert!(of_target.is_closed(), "the group is the same");
    elsewhere.ping();
    normal.ping();
    let ids: Vec<_> = lab.handle.sessions().iter().map(|session| session.id).collect();
    let _runtime = lab.runtime.enter();
    assert!(lab.handle.request_logout(ids[1], std::time::Duration::from_secs(9)));
    assert!(elsewhere.is_closed(), "it is not asked, RFC 7143 7.4.3");
}

/// The asynchronous message that comes next.
fn hears(peer: &mut Initiator) -> AsyncMessage {
    let (bhs, data) = peer.receive().expect("a message");
    assert_eq!((Opcode::of(&bhs), data.len()), (Some(Opcode::AsyncMessage), 0));
    AsyncMessage::parse(&bhs).unwrap()
}

fn log_out(peer: &mut Initiator) {
    let request =
        LogoutRequest { immediate: true, reason: 0, itt: 800, cid: 0, cmd_sn: 99, exp_stat_sn: 0 };
    peer.send(&request, &[]);
    let (bhs, _) = peer.receive().expect("an answer to the logout");
    assert_eq!(LogoutResponse::parse(&bhs).unwrap().response, 0);
    assert!(peer.is_closed());
}

#[test]
fn f34_an_initiator_that_is_asked_to_log_out_has_the_time_it_was_told() {
    let lab = Lab::new();
    lab.open(A);
    let mut peer = lab.ready(A, 1);
    peer.ping();
    let id = lab.handle.sessions()[0].id;
    let ask = |seconds| {
        let _runtime = lab.runtime.enter();
        lab.handle.request_logout(id, std::time::Duration::from_secs(seconds))
    };
    assert!(ask(40_000));
    let message = hears(&mut peer);
    assert_eq!((message.event, message.parameters), (1, [0, 0, 40_000]));
    assert_eq!(peer.write_blocks(0, &pattern(512, 1)).status, 0, "until then all goes on");
    log_out(&mut peer);

    let mut peer = lab.ready(A, 1);
    peer.ping();
    let id = lab.handle.sessions()[0].id;
    let begin = Instant::now();
    {
        let _runtime = lab.runtime.enter();
        assert!(lab.handle.request_logout(id, std::time::Duration::from_secs(1)));
        assert!(!lab.handle.request_logout(id + 100, std::time::Duration::from_secs(1)));
    }
    assert_eq!(hears(&mut peer).parameters, [0, 0, 1]);
    assert!(peer.is_closed());
    assert!(begin.elapsed().as_millis() >= 1000, "not before the time is over");
    assert!(!ask(1), "the first session is gone");
}

#[test]
fn draining_a_target_asks_all_its_initiators_and_no_others() {
    let lab = Lab::new();
    lab.open(A);
    lab.open(B);
    let (mut one, mut two, mut other) = (lab.ready(A, 1), lab.ready(A, 2), lab.ready(B, 1));
    one.ping();
    two.ping();
    let drain = |target: &str| {
        let _runtime = lab.runtime.enter();
        lab.handle.drain(target, std::time::Duration::from_secs(30))
    };
    assert_eq!(drain(&A.to_uppercase()), Some(2));
    assert_eq!(drain("iqn.2026-11.test:x"), None);
    for peer in [&mut one, &mut two] {
        assert_eq!(hears(peer).event, 1);
        log_out(peer);
    }
    other.ping();
    // A connection is closed a moment before its session has ended.
    let deadline = std::time::Instant::now() + HANG;
    while lab.handle.sessions().len() != 1 {
        assert!(std::time::Instant::now() < deadline, "{:?}", lab.handle.sessions());
        std::thread::yield_now();
    }
}

#[test]
fn a_daemon_that_ends_says_so_and_when_to_come_back() {
    let mut lab = Lab::new();
    lab.open(A);
    let mut peer = lab.ready(A, 1);
    peer.ping();
    let server = lab.server.take().unwrap();
    assert!(lab.runtime.block_on(server.stop(HANG)));
    let message = hears(&mut peer);
    assert_eq!((message.event, message.parameters), (3, [0, 1, 0]));
    assert!(peer.is_closed());
}

#[test]
fn l29_a_discovery_session_does_nothing_but_discover() {
    let lab = Lab::new();
    lab.open(A);
    let wishes = Wishes { discovery: true, ..Wishes::default() };
    let mut peer = lab.log_in("", &wishes).unwrap();
    let inquiry = peer.command(&[0x12, 0, 0, 0, 36, 0], 36, 0);
    peer.send(&ScsiCommand { immediate: true, ..inquiry }, &[]);
    let (bhs, _) = peer.receive().unwrap();
    assert_eq!(Opcode::of(&bhs), Some(Opcode::Reject));
    Reject::parse(&bhs).unwrap();
    let reset = TaskManagementRequest {
        immediate: true,
        function: 6,
        lun: 0,
        itt: 900,
        referenced_tag: RESERVED_TAG,
        cmd_sn: 99,
        exp_stat_sn: 0,
        ref_cmd_sn: 0,
        exp_data_sn: 0,
    };
    peer.send(&reset, &[]);
    assert_eq!(Opcode::of(&peer.receive().unwrap().0), Some(Opcode::Reject));
    let ping =
        NopOut { immediate: true, lun: 0, itt: 7, ttt: RESERVED_TAG, cmd_sn: 1, exp_stat_sn: 0 };
    peer.send(&ping, b"are you there");
    let (bhs, data) = peer.receive().unwrap();
    assert_eq!((NopIn::parse(&bhs).unwrap().itt, &data[..]), (7, &b"are you there"[..]));
    assert!(peer.send_targets().contains(A));
    log_out(&mut peer);
}

#[test]
fn discovery_sessions_take_no_place_of_others() {
    let options = Options { sessions_max: 1, discovery_max: 4, ..Options::default() };
    let lab = Lab::with(options, V4);
    lab.open(A);
    let discover = |isid| {
        let wishes = Wishes { discovery: true, isid, ..Wishes::default() };
        Initiator::log_in(lab.portal, "", &wishes)
    };
    let held = discover(1).ok().unwrap();
    // A quarter of them is one address's part.
    assert_eq!(discover(2).err(), Some(0x0302));
    let _normal = log_in(lab.portal, 1);
    drop(held);
    let begun = Instant::now();
    while discover(3).is_err() {
        assert!(begun.elapsed() < HANG, "its place came back");
        std::thread::yield_now();
    }
}

#[test]
fn a_discovery_session_ends_whatever_is_said_in_it() {
    let discovery_lifetime = std::time::Duration::from_millis(300);
    let lab = Lab::with(Options { discovery_lifetime, ..Options::default() }, V4);
    let wishes = Wishes { discovery: true, ..Wishes::default() };
    let mut peer = Initiator::log_in(lab.portal, "", &wishes).ok().unwrap();
    let begun = Instant::now();
    while peer.ask_for_targets().is_some() {
        assert!(begun.elapsed() < HANG, "it goes on for ever");
    }
}

/// No portal keeps a place while nobody comes to it.
#[test]
fn every_portal_accepts_with_one_place_for_logins() {
    let options = Options { half_open_max: 1, ..Options::default() };
    let lab = Lab::in_groups(options, groups(&[&[V4, V6], &[V4]]));
    lab.open(A);
    for portal in lab.groups.iter().flat_map(|group| &group.portals) {
        log_in(*portal, 1);
    }
}
