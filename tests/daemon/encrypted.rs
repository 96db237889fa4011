//! A disk with a LUKS key of its own, of a real Ceph cluster: through kill -9 of the daemon, while it
//! is made and later. With `STIRRUP_TEST_CEPH=1` only.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use super::{HANG, Place, log_in};

const LAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lab/ceph");
const TEXT: &[u8; 32] = b"what nobody finds in the cluster";
const IMAGE_BYTES: u64 = 64 << 20;

/// A cluster that is destroyed when this process ends; the path of its ceph.conf.
fn cluster() -> Option<PathBuf> {
    if std::env::var_os("STIRRUP_TEST_CEPH").is_none() {
        eprintln!("SKIPPED: no Ceph cluster (set STIRRUP_TEST_CEPH=1 to start one)");
        return None;
    }
    let owner = std::process::id().to_string();
    let output = Command::new(LAB).args(["up", "--owner", &owner]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(String::from_utf8(output.stdout).unwrap().trim_end().into())
}

fn ceph(conf: &Path, program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).arg("-c").arg(conf).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    output.stdout
}

fn images(conf: &Path) -> Vec<String> {
    let listed = String::from_utf8(ceph(conf, "rbd", &["ls"])).unwrap();
    listed.lines().map(str::to_owned).collect()
}

/// Whether what the cluster stores of an image has the text in it.
fn is_found(conf: &Path, image: &str) -> bool {
    let stored = ceph(conf, "rbd", &["export", "--no-progress", image, "-"]);
    stored.chunks_exact(TEXT.len()).any(|piece| piece == TEXT)
}

fn set_passphrase(place: &Place, text: &str) {
    let file = place.path("passphrase");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn until<T>(look: impl Fn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < HANG);
        std::thread::yield_now();
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.pointer(field).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn an_encrypted_disk_is_read_in_clear_and_stored_in_cipher_through_kill_9() {
    let Some(conf) = cluster() else { return };
    let place = Place::new();
    let rbd = format!(
        "[store.rbd]\nceph_conf = \"{}\"\npassphrase_file = \"{}\"\nidle_close_seconds = 0\n",
        conf.display(),
        place.path("passphrase").display()
    );
    place.configure(&rbd);
    set_passphrase(&place, "open sesame\n");
    let mut daemon = place.start();
    let file = File::create(place.path("image.raw")).unwrap();
    file.set_len(IMAGE_BYTES).unwrap();
    for at in (0..IMAGE_BYTES).step_by(1 << 20) {
        file.write_all_at(&TEXT.repeat(4096 / TEXT.len()), at).unwrap();
    }
    let path = place.path("image.raw");
    place.json(&["import", "default", "golden", path.to_str().unwrap(), "--store", "rbd"]);
    let create = ["disk", "create", "-p", "default"];
    let luks2 = ["--encryption", "luks2"];
    let job = place.json(&[&create[..], &["safe", "golden"], &luks2].concat());
    assert_eq!((text(&job, "/kind"), text(&job, "/state")), ("disk-encrypt", "succeeded"));
    place.json(&[&create[..], &["clear", "golden"]].concat());
    let show = |disk| place.json(&["disk", "show", "-p", "default", disk]);
    let safe = show("safe");
    assert_eq!((text(&safe, "/encryption"), text(&safe, "/image")), ("luks2", "golden"));
    let iqn = text(&safe, "/boot/iqn");
    let block = TEXT.repeat(4096 / TEXT.len());
    let mut node = log_in(&place, iqn);
    assert!(node.read_blocks(63 << 11, 4096) == block, "what is in the image, in clear");
    assert_eq!(node.write_blocks(8, &block).status, 0);
    drop(node);
    assert!(!is_found(&conf, text(&safe, "/backing")), "in cipher");
    let golden = place.json(&["image", "show", "-p", "default", "golden"]);
    assert!(is_found(&conf, text(&golden, "/backing")), "this would be found");

    // Killed while another one is made: nothing of it is left.
    let before = images(&conf);
    place.json(&[&create[..], &["half", "golden", "--no-wait"], &luks2].concat());
    assert_eq!(text(&show("half"), "/state"), "creating");
    until(|| images(&conf).iter().any(|image| !before.contains(image)).then_some(()));
    daemon.signal(rustix::process::Signal::KILL);
    let mut daemon = place.start();
    until(|| (images(&conf) == before).then_some(()));
    until(|| {
        let shown = place.stirrup(&["disk", "show", "-p", "default", "half"]);
        (!shown.status.success()).then_some(())
    });
    let jobs = place.list("job");
    assert_eq!(text(&jobs, "/0/state"), "failed", "{jobs}");
    assert!(text(&jobs, "/0/error").contains("interrupted"), "{jobs}");

    let mut node =
        until(|| (text(&show("safe"), "/export") == "serving").then(|| log_in(&place, iqn)));
    for lba in [8, 63 << 11] {
        assert!(node.read_blocks(lba, 4096) == block, "it is there after kill -9");
    }
    drop(node);

    // Without its passphrase the disk is not served, and what is not encrypted is.
    daemon.signal(rustix::process::Signal::TERM);
    set_passphrase(&place, "open barley\n");
    let _daemon = place.start();
    until(|| (text(&show("clear"), "/export") == "serving").then_some(()));
    until(|| text(&show("safe"), "/export_error").contains("not its passphrase").then_some(()));
    assert!(log_in(&place, text(&show("clear"), "/boot/iqn")).read_blocks(0, 4096) == block);
    for disk in ["safe", "clear"] {
        assert!(
            place.stirrup(&["disk", "remove", "-p", "default", disk, "--yes"]).status.success()
        );
    }
    assert_eq!(images(&conf).len(), 1, "the image");
}
