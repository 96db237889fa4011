//! The daemon as its service manager and its operator see it: what it says when it cannot start,
//! that it says when it is ready, that it ends cleanly, and that all is there again after kill -9.

#![allow(clippy::unwrap_used, reason = "a test")]

mod encrypted;
mod full;
#[path = "../target/initiator.rs"]
#[allow(dead_code, reason = "shared with the tests of the target")]
mod initiator;
mod remote;
#[path = "../support/mod.rs"]
mod support;
mod uploads;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use initiator::{HANG, Initiator, Wishes};
use serde_json::Value;

const STIRRUPD: &str = env!("CARGO_BIN_EXE_stirrupd");
const STIRRUP: &str = env!("CARGO_BIN_EXE_stirrup");

/// A place with a configuration, for one daemon after the other.
struct Place {
    dir: tempfile::TempDir,
    portal: SocketAddr,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Free now; a test that loses the race for it fails to start, and says so.
        let portal = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let place = Self { dir, portal };
        place.configure("");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn configure(&self, more: &str) {
        self.configure_portals(&format!("[target]\nportals = [\"{}\"]\n", self.portal), more);
    }

    fn configure_portals(&self, portals: &str, more: &str) {
        let dir = self.dir.path().display();
        let text = format!(
            "state_dir = \"{dir}/state\"\n\
             [control]\nsocket = \"{dir}/control\"\n{portals}\
             [store.local]\ndirectory = \"{dir}/store\"\n{more}"
        );
        fs::write(self.path("stirrup.toml"), text).unwrap();
    }

    fn daemon(&self) -> Command {
        let mut command = Command::new(STIRRUPD);
        command.arg("--config").arg(self.path("stirrup.toml")).stdin(Stdio::null());
        command
    }

    /// Starts the daemon; returns once it has told the service manager that it is ready.
    fn start(&self) -> Running {
        let notify = self.path("notify");
        let _none_yet = fs::remove_file(&notify);
        let socket = UnixDatagram::bind(&notify).unwrap();
        socket.set_read_timeout(Some(HANG)).unwrap();
        let log = fs::File::create(self.path("log")).unwrap();
        let child = self.daemon().env("NOTIFY_SOCKET", &notify).stderr(log).spawn().unwrap();
        let mut message = [0; 256];
        let len = socket.recv(&mut message).unwrap();
        assert!(message[..len].starts_with(b"READY=1"), "{:?}", &message[..len]);
        Running(child)
    }

    /// The exit code and the last line of a daemon that does not start.
    fn fails(&self) -> (Option<i32>, String) {
        failure(self.daemon().output().unwrap())
    }

    fn stirrup(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(STIRRUP);
        command.arg("--socket").arg(self.path("control")).args(arguments);
        command.stdin(Stdio::null()).output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.stirrup(&[arguments, &["--json"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The items of a list.
    fn list(&self, noun: &str) -> Value {
        let mut list = self.json(&[noun, "list"]);
        list.get_mut("items").expect("a list").take()
    }

    /// A disk of 64 MiB for each node, provisioned by M2's words.
    fn provision(&self, nodes: &[&str]) {
        fs::File::create(self.path("image.raw")).unwrap().set_len(64 << 20).unwrap();
        let image = self.path("image.raw");
        self.json(&["import", "default", "golden", image.to_str().unwrap()]);
        for node in nodes {
            self.json(&["pro", "default", node, "golden"]);
        }
    }
}

fn failure(output: Output) -> (Option<i32>, String) {
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said.lines().last().unwrap_or_default().to_owned())
}

/// A daemon, killed when dropped.
struct Running(Child);

impl Running {
    fn signal(&mut self, signal: rustix::process::Signal) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_cannot_start_says_why_in_one_line() {
    let place = Place::new();
    place.configure("[targt]\n");
    let (code, line) = place.fails();
    assert_eq!(code, Some(2), "{line}");
    assert!(line.contains("stirrup.toml:8") && line.contains("target"), "{line}");

    place.configure("");
    let busy = TcpListener::bind(place.portal).unwrap();
    let (code, line) = place.fails();
    assert_eq!(code, Some(1), "{line}");
    assert!(line.contains(&place.portal.to_string()) && line.contains("ss -ltnp"), "{line}");
    drop(busy);

    place.configure("[store.rbd]\npool = \"rbd\"\nceph_conf = \"/nonexistent/ceph.conf\"\n");
    let (code, line) = place.fails();
    assert_eq!(code, Some(1), "{line}");
    assert!(line.contains("store rbd"), "{line}");

    place.configure("");
    fs::remove_dir_all(place.path("store")).unwrap();
    fs::write(place.path("store"), "a file").unwrap();
    let (code, line) = place.fails();
    assert_eq!(code, Some(1), "{line}");
    assert!(line.contains("store local") && line.contains("/store"), "{line}");

    fs::remove_file(place.path("store")).unwrap();
    fs::write(place.path("state/catalog.redb"), "no catalog").unwrap();
    let (code, line) = place.fails();
    assert_eq!(code, Some(1), "{line}");
    assert!(line.contains("catalog"), "{line}");
}

#[test]
fn a_second_daemon_is_refused_and_the_first_ends_cleanly() {
    let place = Place::new();
    let mut first = place.start();
    assert_eq!(mode(&place.path("control")), 0o600);
    let (code, line) = place.fails();
    assert_eq!(code, Some(1), "{line}");
    assert_eq!(first.signal(rustix::process::Signal::TERM), Some(0));
    assert!(!place.path("control").exists());
    let refused = place.stirrup(&["health"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("control"));
}

#[test]
fn everything_is_there_again_after_kill_9() {
    let place = Place::new();
    let mut daemon = place.start();
    place.provision(&["node1", "node2"]);
    let disks = |place: &Place| place.list("disk");
    let before = disks(&place);
    let iqn =
        before.pointer("/0/boot/iqn").and_then(Value::as_str).expect("a boot target").to_owned();
    let identity =
        |initiator: &mut Initiator| initiator.run(&[0x12, 1, 0x83, 1, 0, 0], 256, &[]).data;

    let mut node = log_in(&place, &iqn);
    let wwid = identity(&mut node);
    let data = vec![0xa5; 64 << 10];
    assert_eq!(node.write_blocks(128, &data).status, 0);
    daemon.signal(rustix::process::Signal::KILL);
    drop(node);

    let daemon = place.start();
    assert_eq!(names(&disks(&place)), names(&before), "names, LUNs, WWIDs");
    let mut node = log_in(&place, &iqn);
    assert_eq!(identity(&mut node), wwid);
    assert!(node.read_blocks(128, data.len()) == data, "an acknowledged write is there");
    let other = before.pointer("/1/boot/iqn").and_then(Value::as_str).unwrap();
    assert!(
        log_in(&place, other).read_blocks(128, 4096) == [0; 4096],
        "the other disk is untouched"
    );

    // The same call again finds what it made.
    place.json(&["pro", "default", "node1", "golden"]);
    assert_eq!(names(&disks(&place)), names(&before));
    drop(daemon);
}

#[test]
fn deprovisioning_ends_the_session_and_leaves_nothing() {
    let place = Place::new();
    let _daemon = place.start();
    place.provision(&["node1"]);
    let disk = place.list("disk");
    let iqn = disk.pointer("/0/boot/iqn").and_then(Value::as_str).unwrap();
    let mut node = log_in(&place, iqn);
    assert_eq!(place.list("session").as_array().map(Vec::len), Some(1));
    assert!(place.stirrup(&["dpro", "default", "node1", "--yes"]).status.success());
    assert!(node.is_closed());
    assert_eq!(Initiator::log_in(place.portal, iqn, &Wishes::default()).err(), Some(0x0203));
    assert_eq!(place.list("disk"), Value::Array(Vec::new()));
    assert!(place.stirrup(&["rm", "default", "golden", "--yes"]).status.success());
    let left = fs::read_dir(place.path("store/layers")).unwrap().count();
    assert_eq!(left, 0, "no layer is left in the store");

    let told = place.stirrup(&["events", "--json", "--type", "target", "--type", "session"]);
    let told: Vec<Value> = String::from_utf8(told.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of_node = |event: &&Value| event["disk"] == "node1" && event["project"] == "default";
    assert!(told.iter().all(|event| of_node(&event)), "{told:?}");
    let kinds: Vec<_> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let expected = ["target.serving", "session.began", "session.ended", "target.withdrawn"];
    assert_eq!(
        kinds.iter().filter(|kind| expected.contains(kind)).collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );
    let ended = told.iter().find(|event| event["type"] == "session.ended").unwrap();
    assert!(!ended["reason"].as_str().unwrap().is_empty(), "{ended}");
}

/// What the daemon answers over plain HTTP.
fn http(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn machines_get_their_scripts_over_http_from_the_operators_templates() {
    let place = Place::new();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (listen, templates) = (format!("listen = [\"{address}\"]"), place.path("templates"));
    fs::create_dir(&templates).unwrap();
    let directory = format!("templates = \"{}\"", templates.display());
    place.configure(&format!("[boot]\n{listen}\n{directory}\n"));
    fs::write(templates.join("node.ipxe"), "#!ipxe\necho {{ node }}\n{{ nonsense }}\n").unwrap();
    let wrong = templates.join("node.ipxe").display().to_string() + ":3: ";
    let (code, line) = place.fails();
    assert!(code == Some(2) && line.contains(&wrong), "{code:?}: {line}");
    let config = place.path("stirrup.toml");
    let checked = Command::new(STIRRUPD).arg("check-config").arg("--config").arg(&config).output();
    let (code, line) = failure(checked.unwrap());
    assert!(code == Some(2) && line.contains(&wrong), "{code:?}: {line}");

    fs::write(templates.join("node.ipxe"), "#!ipxe\necho {{ node }} {{ uri }}\n").unwrap();
    let daemon = place.start();
    place.provision(&["node1"]);
    let answer = http(address, "/boot/default/node1");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\n\r\n#!ipxe\necho node1 iscsi:127.0.0.1:tcp:"), "{answer}");
    let unknown = http(address, "/boot?mac=52:54:00:00:00:99");
    assert!(unknown.contains("no node has MAC address 52:54:00:00:00:99"), "{unknown}");
    assert!(http(address, "/v1/health").starts_with("HTTP/1.1 404 "), "it is not the API");
    drop(daemon);
}

/// The status of a login that is refused once the disk is open.
fn refused(portal: SocketAddr, iqn: &str) -> Option<u16> {
    let begin = std::time::Instant::now();
    loop {
        match Initiator::log_in(portal, iqn, &Wishes::default()).err() {
            Some(0x0301) => assert!(begin.elapsed() < HANG, "the disk never opens"),
            other => return other,
        }
    }
}

#[test]
fn portal_groups_redirections_and_drains_through_a_kill_9() {
    let place = Place::new();
    let second = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let groups = format!(
        "[[portal_group]]\ntag = 3\nportals = [\"{}\"]\n\
         [[portal_group]]\ntag = 4\nportals = [\"{second}\"]\naddresses = [\"127.0.0.0/8\"]\n\
         discovery_chap_user = \"u\"\ndiscovery_chap_secret = \"twelve bytes\"\n",
        place.portal
    );
    place.configure_portals(&groups, "");
    let mut daemon = place.start();
    place.provision(&["node1"]);
    place.json(&["disk", "create", "-p", "default", "d2", "golden", "--portal-group", "4"]);
    let unknown = ["disk", "create", "-p", "default", "d3", "golden", "--portal-group", "5"];
    let said = String::from_utf8(place.stirrup(&unknown).stderr).unwrap();
    assert!(said.contains("there is 3, 4"), "{said}");
    let (one, two) = ("iqn.2026-01.io.stirrup:default.node1", "iqn.2026-01.io.stirrup:default.d2");
    assert_eq!(refused(place.portal, one), None);
    assert_eq!(refused(second, one), None);
    assert_eq!(refused(place.portal, two), Some(0x0203));
    assert_eq!(refused(second, two), None);
    let discovery = Wishes { discovery: true, ..Wishes::default() };
    assert_eq!(Initiator::log_in(second, "", &discovery).err(), Some(0x0201));
    let found = Initiator::log_in(place.portal, "", &discovery).unwrap().send_targets();
    assert!(found.contains(&format!("TargetAddress={},3\0TargetAddress={second},4", place.portal)));

    let redirect = ["disk", "redirect", "-p", "default", "node1", "192.0.2.7", "--permanently"];
    assert_eq!(place.json(&redirect).pointer("/redirect/permanently"), Some(&Value::Bool(true)));
    assert_eq!(refused(place.portal, one), Some(0x0102));
    daemon.signal(rustix::process::Signal::KILL);
    let mut daemon = place.start();
    assert_eq!(refused(place.portal, one), Some(0x0102), "remembered");
    assert_eq!(refused(place.portal, two), Some(0x0203), "remembered");
    place.json(&["disk", "recall", "-p", "default", "node1"]);
    assert_eq!(refused(place.portal, one), None);

    let mut node = log_in(&place, one);
    // Only who knows pings is told anything.
    node.ping();
    let drained = place.json(&["target", "drain", one, "--seconds", "1"]);
    assert!(drained.get("sessions").and_then(Value::as_u64) >= Some(1), "{drained}");
    let (bhs, _) = node.receive().expect("an asynchronous message");
    assert_eq!((bhs[0] & 0x3f, bhs[36], bhs[43]), (0x32, 1, 1), "logout within a second");
    assert!(node.is_closed());

    let mut node = log_in(&place, one);
    node.ping();
    let sessions = place.list("session");
    let session = sessions.as_array().unwrap().last().unwrap().get("id").unwrap().to_string();
    let said = place.stirrup(&["session", "logout", &session]);
    assert!(said.status.success(), "{said:?}");
    assert_eq!(node.receive().expect("an asynchronous message").0[43], 10);
    assert_eq!(daemon.signal(rustix::process::Signal::TERM), Some(0));
    let (bhs, _) = node.receive().expect("another one");
    assert_eq!((bhs[0] & 0x3f, bhs[36]), (0x32, 3), "the daemon ends");
}

/// CPU time that the threads of the shards have used.
fn cpu_of_shards(daemon: &Child) -> Duration {
    let mut used = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{}/task", daemon.id())).unwrap() {
        let task = task.unwrap().path();
        if fs::read_to_string(task.join("comm")).unwrap().starts_with("shard-") {
            let times = fs::read_to_string(task.join("schedstat")).unwrap();
            used += Duration::from_nanos(times.split(' ').next().unwrap().parse().unwrap());
        }
    }
    used
}

#[test]
fn sessions_with_nothing_to_do_cost_nothing() {
    let child = Command::new(STIRRUPD)
        .args(["quick", "--memory", "1MiB", "--lun", "1", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut daemon = Running(child);
    let mut url = String::new();
    BufReader::new(daemon.0.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let [_, _, portal, target, ..] = url.trim().split('/').collect::<Vec<_>>()[..] else {
        panic!("{url}")
    };
    let log_in = |isid| {
        let wishes = Wishes { isid, acknowledges: true, ..Wishes::default() };
        let mut session = Initiator::log_in(portal.parse().unwrap(), target, &wishes).unwrap();
        session.get_ready();
        session
    };
    // One command after the other, as fast as they are answered: that is what is looked for.
    let mut sessions: Vec<_> = (1..=50).map(log_in).collect();
    for session in &mut sessions {
        (0..50).for_each(|lba| drop(session.read_blocks(lba, 1)));
    }
    let before = cpu_of_shards(&daemon.0);
    assert!(before > Duration::ZERO);
    // Not an event that is waited for: the time in which nothing is to happen.
    std::thread::sleep(Duration::from_secs(2));
    let used = cpu_of_shards(&daemon.0) - before;
    assert!(used < Duration::from_millis(20), "1 % of the time: {used:?}");
}

#[test]
fn quick_prints_its_url_first_and_ends_on_a_signal() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let child = Command::new(STIRRUPD)
            .args(["quick", "--memory", "16MiB", "--listen", "127.0.0.1:0", "--lun", "3"])
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn();
        let mut running = Running(child.unwrap());
        let mut url = String::new();
        let stdout = running.0.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut url).unwrap();
        let parts: Vec<&str> = url.trim().strip_prefix("iscsi://").unwrap().split('/').collect();
        let [portal, iqn, "3"] = parts[..] else { panic!("{url}") };
        assert!(Initiator::log_in(portal.parse().unwrap(), iqn, &Wishes::default()).is_ok());
        assert_eq!(running.signal(signal), Some(0));
    }
}

/// Logs in, as an initiator does that is told to try again while the disk is being opened.
fn log_in(place: &Place, iqn: &str) -> Initiator {
    let begin = std::time::Instant::now();
    loop {
        match Initiator::log_in(place.portal, iqn, &Wishes::default()) {
            Ok(mut initiator) => {
                initiator.get_ready();
                return initiator;
            }
            Err(0x0301) => assert!(begin.elapsed() < HANG, "the disk never opens"),
            Err(status) => panic!("login refused with {status:#06x}"),
        }
    }
}

/// What must be the same after a restart, of every disk.
fn names(disks: &Value) -> Vec<Value> {
    let disks = disks.as_array().unwrap();
    assert!(!disks.is_empty());
    let part = |disk: &Value, pointer: &str| disk.pointer(pointer).expect(pointer).clone();
    let pointers = ["/name", "/boot/iqn", "/boot/lun", "/boot/uri", "/boot/wwid"];
    disks.iter().flat_map(|disk| pointers.map(|pointer| part(disk, pointer))).collect()
}
