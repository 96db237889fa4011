//! Boot scripts over plain HTTP, as firmware and whoever else is on the network ask for them.

use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::{Body, to_bytes};
use hyper::service::Service as _;
use hyper::{Method, Request, StatusCode};
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};

use super::Daemon;
use crate::boot::Templates;
use crate::control::boot::{BootOptions, BootScripts, Identity, Secrets, router};
use crate::control::{BootCounts, Control, Peer};

const N1: &str = "/v1/projects/default/nodes/n1";
const MAC: &str = "52:54:00:00:00:01";

/// What is served for boot, and its counters.
struct Boot {
    router: Router,
    scripts: BootScripts,
}

impl Boot {
    fn of(daemon: &Daemon, options: BootOptions) -> Self {
        let scripts = BootScripts::new(Templates::default(), options);
        let control = Control { boot: scripts.clone(), ..daemon.control.clone() };
        Self { router: router(control), scripts }
    }

    async fn ask(&self, method: Method, path: &str, from: &str) -> (StatusCode, String) {
        ask(self.router.clone(), method, path, from).await
    }

    /// A script, whatever it says.
    async fn script(&self, path: &str) -> String {
        let (status, script) = self.ask(Method::GET, path, "192.0.2.9:1024").await;
        assert_eq!(status, StatusCode::OK, "{path}: {script}");
        assert!(script.starts_with("#!ipxe\n") && script.ends_with('\n'), "{path}: {script}");
        script
    }
}

async fn ask(router: Router, method: Method, path: &str, from: &str) -> (StatusCode, String) {
    let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    request.extensions_mut().insert(Peer::Network(from.parse().unwrap()));
    let answer = TowerToHyperService::new(router).call(request).await.unwrap();
    let status = answer.status();
    let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

/// A daemon with node n1, which has a disk.
async fn provisioned(provision: Value) -> Daemon {
    let daemon = Daemon::start();
    daemon.import("golden").await;
    daemon.put(N1, json!({"macs": [MAC]})).await.ok(StatusCode::CREATED);
    let path = format!("{N1}/provision");
    daemon.put(&path, provision).await.ok(StatusCode::CREATED);
    daemon
}

#[tokio::test]
async fn a_machine_gets_its_own_script() {
    let daemon = provisioned(json!({"image": "golden"})).await;
    let boot = Boot::of(&daemon, BootOptions::default());
    let own = "sanboot --keep iscsi:10.0.0.1:tcp:3260:1:iqn.2026-01.io.stirrup:default.n1 \
               iscsi:10.0.1.1:tcp:3260:1:iqn.2026-01.io.stirrup:default.n1\n";
    for path in [
        "/boot?mac=&mac=52:54:00:00:00:01&mac=52:54:00:00:00:77&uuid=x&serial=%20&platform=efi",
        "/boot/52:54:00:00:00:01",
        "/boot/52-54-00-00-00-01",
        "/boot/default/n1",
    ] {
        let script = boot.script(path).await;
        assert!(script.ends_with(own), "{path}: {script}");
    }
    assert!(boot.script("/boot.ipxe").await.contains("\nchain --replace boot?mac="));
    let counts = BootCounts { delivered: 4, secrets: 0, refused: 0 };
    assert_eq!(boot.scripts.counts(), counts);
    // The same as an operator sees.
    let shown = daemon.call(Method::GET, &format!("{N1}/ipxe"), None).await.text();
    assert_eq!(boot.script("/boot/default/n1").await, shown);
    daemon.stop().await;
}

#[tokio::test]
async fn a_machine_without_a_script_is_told_why() {
    let daemon = Daemon::start();
    daemon.put(N1, json!({"macs": [MAC]})).await.ok(StatusCode::CREATED);
    let other = "/v1/projects/lab/nodes/n2";
    let other_mac = json!({"macs": ["52:54:00:00:00:02"]});
    daemon.put(other, other_mac).await.ok(StatusCode::CREATED);
    let boot = Boot::of(&daemon, BootOptions::default());
    for (path, why) in [
        ("/boot?mac=52:54:00:00:00:09", "no node has MAC address 52:54:00:00:00:09"),
        ("/boot", "it told no MAC address, so chain boot.ipxe"),
        ("/boot?mac=x&uuid=n1&hostname=n1", "it told no MAC address, so chain boot.ipxe"),
        ("/boot/n1", "it told no MAC address, so chain boot.ipxe"),
        ("/boot?mac=52:54:00:00:00:01&mac=52:54:00:00:00:02", "it is more than one node"),
        ("/boot/52:54:00:00:00:01", "node n1 of project default has no disk"),
        ("/boot/default/none", "there is no node of this name"),
        ("/boot/default/%24%7Bx%7D", "no node can have this name"),
    ] {
        let script = boot.script(path).await;
        assert!(script.contains(&format!("\necho {why}")), "{path}: {script}");
        assert!(script.ends_with("\nexit 0\n") && !script.contains("sanboot"), "{path}: {script}");
        assert!(!script.contains("chain --replace"), "{path}: {script}");
    }
    assert_eq!(boot.scripts.counts().refused, 8);
    let boot = Boot::of(&daemon, BootOptions { retry: true, ..BootOptions::default() });
    for (path, entry) in [
        ("/boot", "boot.ipxe"),
        ("/boot/52:54:00:00:00:09", "../boot.ipxe"),
        ("/boot/default/none", "../../boot.ipxe"),
    ] {
        let script = boot.script(path).await;
        assert!(script.contains(&format!("\nchain --replace {entry} ||\n")), "{path}: {script}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_machine_can_be_known_by_more_than_its_mac_address() {
    let daemon = provisioned(json!({"image": "golden"})).await;
    let identify_by = vec![Identity::Mac, Identity::Uuid, Identity::Serial, Identity::Hostname];
    let boot = Boot::of(&daemon, BootOptions { identify_by, ..BootOptions::default() });
    for query in ["uuid=N1", "serial=n1", "hostname=n1", "mac=52:54:00:00:00:09&serial=n1"] {
        assert!(boot.script(&format!("/boot?{query}")).await.contains("sanboot"), "{query}");
    }
    daemon.put("/v1/projects/lab/nodes/n1", json!({})).await.ok(StatusCode::CREATED);
    let script = boot.script("/boot?serial=n1").await;
    assert!(script.contains("\necho it is more than one node: default/n1, lab/n1."), "{script}");
    for query in ["uuid=", "serial=..%2f..", "hostname=%00", "uuid=${x}"] {
        let script = boot.script(&format!("/boot?{}", query.replace("${x}", "%24%7Bx%7D"))).await;
        assert!(!script.contains("sanboot"), "{query}: {script}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_secret_is_given_to_the_first_who_asks() {
    let daemon = provisioned(json!({"image": "golden", "chap": {"per_node": "once"}})).await;
    let boot = Boot::of(&daemon, BootOptions::default());
    let path = "/boot/52:54:00:00:00:01";
    let (status, looked_at) = boot.ask(Method::HEAD, path, "192.0.2.9:1").await;
    assert_eq!((status, looked_at.as_str()), (StatusCode::OK, ""), "HEAD takes nothing");
    let secret_of = |script: &str| {
        let mut lines = script.lines();
        lines.find_map(|line| line.strip_prefix("set password ")).map(str::to_owned)
    };
    let first = boot.script(path).await;
    assert!(secret_of(&first).is_some() && first.contains("\nsanboot --keep "), "{first}");
    let later = boot.script(path).await;
    assert!(secret_of(&later).is_none() && !later.contains("sanboot"), "{later}");
    assert!(later.contains("stirrup node rearm -p default n1."), "{later}");

    let rearm = format!("{N1}/rearm");
    daemon.call(Method::POST, &rearm, Some(json!({}))).await.ok(StatusCode::OK);
    // Of many who ask at once, one gets it.
    let ask = || boot.script(path);
    let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
    let given: Vec<_> = [a, b, c, d].iter().filter_map(|script| secret_of(script)).collect();
    assert_eq!(given, [secret_of(&first).unwrap()]);
    assert_eq!(boot.scripts.counts(), BootCounts { delivered: 2, secrets: 2, refused: 4 });

    daemon.call(Method::POST, &rearm, Some(json!({}))).await.ok(StatusCode::OK);
    let options = BootOptions { secrets: Secrets::Never, ..BootOptions::default() };
    let script = Boot::of(&daemon, options).script(path).await;
    assert!(secret_of(&script).is_none() && !script.contains("sanboot"), "{script}");
    assert!(secret_of(&boot.script(path).await).is_some(), "it was not taken by that");
    daemon.stop().await;
}

#[tokio::test]
async fn a_secret_that_is_given_once_is_not_used_up_by_who_guesses_a_name() {
    let daemon = provisioned(json!({"image": "golden", "chap": {"per_node": "once"}})).await;
    let boot = Boot::of(&daemon, BootOptions::default());
    let script = boot.script("/boot/default/n1").await;
    assert!(!script.contains("password") && !script.contains("sanboot"), "{script}");
    assert!(script.contains("not by name: chain boot.ipxe"), "{script}");
    // Nor by what else stands for the name.
    let identify_by = vec![Identity::Mac, Identity::Uuid, Identity::Serial, Identity::Hostname];
    let known = Boot::of(&daemon, BootOptions { identify_by, ..BootOptions::default() });
    for query in ["uuid=N1", "serial=n1", "hostname=n1", "mac=52:54:00:00:00:09&serial=n1"] {
        let script = known.script(&format!("/boot?{query}")).await;
        assert!(!script.contains("password") && !script.contains("sanboot"), "{query}: {script}");
        assert!(script.contains("not by name: chain boot.ipxe"), "{query}: {script}");
    }
    let own = known.script("/boot?mac=52:54:00:00:00:01&serial=n1").await;
    assert!(own.contains("\nset password "), "it is there for the machine: {own}");
    let always = Some(json!({"chap": {"per_node": "always"}}));
    daemon.call(Method::PATCH, "/v1/projects/default/disks/n1", always).await.ok(StatusCode::OK);
    assert!(boot.script("/boot/default/n1").await.contains("\nset password "), "as often as asked");
    assert!(known.script("/boot?serial=n1").await.contains("\nset password "), "by these, too");
    daemon.stop().await;
}

#[tokio::test]
async fn who_waits_for_a_node_that_is_worked_on_keeps_nobody_from_booting() {
    let daemon = provisioned(json!({"image": "golden", "chap": {"per_node": "always"}})).await;
    let n2 = "/v1/projects/default/nodes/n2/provision";
    daemon.put(n2, json!({"image": "golden"})).await.ok(StatusCode::CREATED);
    let boot = Boot::of(&daemon, BootOptions::default());
    daemon.world.store.stuck.store(true, Ordering::SeqCst);
    let tagging = daemon.put("/v1/projects/default/disks/n1/tags/t1", json!({}));
    let others = async {
        while daemon.get("/v1/projects/default/disks/n1/tags").await["items"] == json!([]) {
            tokio::task::yield_now().await;
        }
        let waiting: Vec<_> = (0..40)
            .map(|_| {
                let router = boot.router.clone();
                tokio::spawn(ask(router, Method::GET, "/boot/52:54:00:00:00:01", "192.0.2.8:1"))
            })
            .collect();
        tokio::task::yield_now().await;
        let script = boot.script("/boot/default/n2").await;
        assert!(script.contains("\nsanboot "), "{script}");
        daemon.world.store.stuck.store(false, Ordering::SeqCst);
        for one in waiting {
            assert_eq!(one.await.unwrap().0, StatusCode::OK, "a script, or why not");
        }
    };
    let (tagged, ()) = tokio::join!(tagging, others);
    tagged.ok(StatusCode::CREATED);
    daemon.stop().await;
}

#[tokio::test]
async fn who_asks_and_asks_pushes_nothing_out_of_what_is_told() {
    let daemon = provisioned(json!({"image": "golden"})).await;
    let boot = Boot::of(&daemon, BootOptions::default());
    let told = async |types: &str| {
        let path = format!("/v1/events?{types}&since=start&follow=false");
        let kept = daemon.call(Method::GET, &path, None).await.text();
        kept.lines().filter(|line| line.starts_with("event: boot.")).count() as u64
    };
    let begun = std::time::Instant::now();
    for _ in 0..50 {
        boot.script("/boot/52:54:00:00:00:01").await;
        boot.script("/boot/52:54:00:00:00:09").await;
    }
    let counts = boot.scripts.counts();
    assert_eq!((counts.delivered, counts.refused), (50, 50), "all are counted");
    for kind in ["types=boot.delivered", "types=boot.refused"] {
        let count = told(kind).await;
        assert!(count <= 4 + begun.elapsed().as_secs(), "{kind}: {count}");
    }
    // Another one is heard nevertheless.
    let before = told("types=boot.refused").await;
    let (status, _) = boot.ask(Method::GET, "/boot/52:54:00:00:00:08", "192.0.2.77:1").await;
    assert_eq!((status, told("types=boot.refused").await), (StatusCode::OK, before + 1));
    let (status, _) = boot.ask(Method::GET, "/boot/52:54:00:00:00:01", "192.0.2.77:1").await;
    assert_eq!(status, StatusCode::OK);
    let kept = daemon.call(Method::GET, "/v1/events?since=start&follow=false", None).await.text();
    assert!(kept.contains("\"address\":\"192.0.2.77\",\"secret\":false"), "{kept}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_secret_that_is_not_the_nodes_own_is_for_nobody_unless_that_is_said() {
    let chap = json!({"image": "golden", "chap": {"secret": "very-secret-it-is"}});
    let daemon = provisioned(chap).await;
    let (holds, path) = ("\nset password very-secret-it-is\n", "/boot/52:54:00:00:00:01");
    let script = Boot::of(&daemon, BootOptions::default()).script(path).await;
    assert!(!script.contains("very-secret") && !script.contains("sanboot"), "{script}");
    assert!(script.contains("stirrup disk set -p default n1 --chap-per-node."), "{script}");
    let options = BootOptions { secrets: Secrets::All, ..BootOptions::default() };
    let all = Boot::of(&daemon, options);
    assert!(all.script(path).await.contains(holds));
    assert!(all.script(path).await.contains(holds));
    let operator = daemon.call(Method::GET, &format!("{N1}/ipxe"), None).await.text();
    assert!(operator.contains(holds));
    daemon.stop().await;
}

#[tokio::test]
async fn who_may_not_ask_or_asks_too_often_is_turned_away() {
    let daemon = provisioned(json!({"image": "golden"})).await;
    let addresses = vec![("10.1.0.0".parse().unwrap(), 16)];
    let boot = Boot::of(&daemon, BootOptions { addresses, ..BootOptions::default() });
    let ask = async |path: &str, from: &str| boot.ask(Method::GET, path, from).await.0;
    for path in ["/boot.ipxe", "/boot/52:54:00:00:00:01"] {
        assert_eq!(ask(path, "192.0.2.9:1").await, StatusCode::FORBIDDEN);
        assert_eq!(ask(path, "10.1.2.3:1").await, StatusCode::OK);
        assert_eq!(ask(path, "[::ffff:10.1.2.3]:1").await, StatusCode::OK);
    }
    let mut turned_away = 0;
    for _ in 0..200 {
        let status = ask("/boot.ipxe", "10.1.9.9:1").await;
        turned_away += usize::from(status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(turned_away > 0, "200 at once are too many");
    assert_eq!(ask("/boot.ipxe", "10.1.2.4:1").await, StatusCode::OK, "others go on");
    daemon.stop().await;
}

#[tokio::test]
async fn there_is_nothing_else_on_this_listener() {
    let daemon = provisioned(json!({"image": "golden"})).await;
    let boot = Boot::of(&daemon, BootOptions::default());
    let ask = async |method, path: &str| boot.ask(method, path, "192.0.2.9:1").await.0;
    for path in ["/", "/v1/health", "/v1/projects/default/nodes/n1/ipxe", "/boot/a/b/c", "/boot/"] {
        assert_eq!(ask(Method::GET, path).await, StatusCode::NOT_FOUND, "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let path = "/boot/52:54:00:00:00:01";
        assert_eq!(ask(method, path).await, StatusCode::METHOD_NOT_ALLOWED);
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_kernel_of_its_own_is_told_what_to_say() {
    let daemon = provisioned(json!({"image": "golden", "chap": {}})).await;
    let shown = daemon.get(&format!("{N1}/boot-arguments")).await;
    let target = "iqn.2026-01.io.stirrup:default.n1";
    assert_eq!(shown["chap"], true);
    assert_eq!(shown["uris"][0], format!("iscsi:10.0.0.1:tcp:3260:1:{target}"));
    assert_eq!(
        shown["dracut"],
        format!(
            "netroot=iscsi:10.0.0.1::3260:1:{target} netroot=iscsi:10.0.1.1::3260:1:{target} \
             ip=dhcp rd.neednet=1"
        )
    );
    assert_eq!(
        shown["initramfs_tools"],
        format!(
            "iscsi_target_name={target} iscsi_target_ip=10.0.0.1 iscsi_target_port=3260 \
             iscsi_target_group=1 ip=dhcp"
        )
    );
    daemon.put("/v1/projects/default/nodes/n2", json!({})).await.ok(StatusCode::CREATED);
    let none = daemon.call(Method::GET, "/v1/projects/default/nodes/n2/boot-arguments", None);
    none.await.problem(409, "node-unbound");
    daemon.stop().await;
}
