//! Uploads through whatever happens to the daemon and to the command that uploads.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::{HANG, Place, STIRRUP};

/// More than one checkpoint (64 MiB) of what is no zeros, and holes.
const DATA_BYTES: u64 = 96 << 20;
const FILE_BYTES: u64 = 128 << 20;

fn make_file(path: &Path) {
    let file = File::create(path).unwrap();
    file.set_len(FILE_BYTES).unwrap();
    let mut piece = vec![0; 1 << 20];
    for at in (0..DATA_BYTES).step_by(piece.len()) {
        for (i, bytes) in piece.chunks_exact_mut(8).enumerate() {
            let mixed = (at + i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            bytes.copy_from_slice(&mixed.to_le_bytes());
        }
        file.write_all_at(&piece, at).unwrap();
    }
}

fn sum(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

impl Place {
    fn upload(&self, file: &Path, more: &[&str]) -> Child {
        let mut command = Command::new(STIRRUP);
        command.arg("--socket").arg(self.path("control"));
        command.args(["image", "upload", "-p", "default"]).arg(file).arg("up").args(more);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Waits until so many bytes are there; what the upload is then, if there is one.
    fn wait_for_bytes(&self, wanted: u64) {
        let begin = Instant::now();
        loop {
            let upload = self.call("GET", "images/up/upload", &[], &[]);
            let offset = upload.pointer("/offset_bytes").and_then(Value::as_u64).unwrap_or(0);
            if offset >= wanted {
                return;
            }
            assert!(begin.elapsed() < HANG, "nothing comes: {upload}");
        }
    }

    /// A call as a script makes it.
    pub(super) fn call(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Value {
        let mut stream = UnixStream::connect(self.path("control")).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let head = format!(
            "{method} /v1/projects/default/{path} HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\
             {headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // Who is refused may not be heard to the end.
        let _sent = stream.write_all(body);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).unwrap_or(Value::Null)
    }

    pub(super) fn assert_is(&self, image: &str, file: &Path) {
        let copy = self.path("copy");
        let copied =
            self.stirrup(&["image", "download", "-p", "default", image, copy.to_str().unwrap()]);
        assert!(copied.status.success(), "{copied:?}");
        assert_eq!(sum(&copy), sum(file));
        fs::remove_file(copy).unwrap();
    }
}

fn said(child: Child) -> (bool, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn an_upload_survives_kill_9_of_the_daemon_and_of_the_command() {
    let place = Place::new();
    let file = place.path("disk.raw");
    make_file(&file);
    let sha256 = sum(&file);
    let mut daemon = place.start();

    // The command goes before anything is on stable storage.
    let mut command = place.upload(&file, &["--sha256", &sha256]);
    place.wait_for_bytes(1 << 20);
    command.kill().unwrap();
    command.wait().unwrap();
    // The next one goes on; the daemon goes when there is a checkpoint, and bytes behind it.
    let command = place.upload(&file, &["--sha256", &sha256]);
    place.wait_for_bytes(70 << 20);
    daemon.signal(rustix::process::Signal::KILL);
    let _daemon = place.start();
    let (succeeded, notes) = said(command);
    assert!(succeeded, "{notes}");
    assert!(notes.contains("image up is there"), "{notes}");

    let image = place.json(&["image", "show", "-p", "default", "up"]);
    assert_eq!(image.pointer("/sha256").and_then(Value::as_str), Some(sha256.as_str()));
    assert_eq!(image.pointer("/size_bytes").and_then(Value::as_u64), Some(FILE_BYTES));
    let used = image.pointer("/used_bytes").and_then(Value::as_u64).unwrap();
    assert!((DATA_BYTES..FILE_BYTES).contains(&used), "holes stay holes: {used}");
    place.assert_is("up", &file);
    // The same command again finds it.
    let (succeeded, notes) = said(place.upload(&file, &["--sha256", &sha256]));
    assert!(succeeded && notes.contains("image up is there in project default"), "{notes}");
}

#[test]
fn a_script_goes_on_after_a_restart_and_a_wrong_file_leaves_nothing() {
    let place = Place::new();
    let mut daemon = place.start();
    let file = place.path("disk.raw");
    fs::write(&file, vec![7; 3000]).unwrap();
    let json = "Content-Type: application/json";
    let begin =
        format!("{{\"size_bytes\": 3000, \"format\": \"raw\", \"sha256\": \"{}\"}}", sum(&file));
    place.call("PUT", "images/up/upload", &[json], begin.as_bytes());
    place.call("PATCH", "images/up/upload", &["Upload-Offset: 0"], &[7; 1000]);
    daemon.signal(rustix::process::Signal::KILL);
    let mut daemon = place.start();
    let upload = place.call("PUT", "images/up/upload", &[json], begin.as_bytes());
    assert_eq!(upload.pointer("/offset_bytes"), Some(&1000.into()), "{upload}");
    let upload = place.call("PATCH", "images/up/upload", &["Upload-Offset: 1000"], &[7; 2000]);
    let job = upload.pointer("/job/id").and_then(Value::as_u64).expect("a job").to_string();
    place.ends(&job, "succeeded");
    // What is no multiple of a sector is filled up with zeros.
    fs::write(&file, [vec![7; 3000], vec![0; 72]].concat()).unwrap();
    place.assert_is("up", &file);

    place.call("PUT", "images/bad/upload", &[json], begin.as_bytes());
    let upload = place.call("PATCH", "images/bad/upload", &["Upload-Offset: 0"], &[8; 3000]);
    let job = upload.pointer("/job/id").and_then(Value::as_u64).expect("a job").to_string();
    let ended = place.ends(&job, "failed");
    assert!(ended.pointer("/error").unwrap().as_str().unwrap().contains("SHA-256"), "{ended}");
    // One that is never complete is there after a restart, until it is given up.
    place.call("PUT", "images/half/upload", &[json], begin.as_bytes());
    assert_eq!(daemon.signal(rustix::process::Signal::TERM), Some(0));
    let _daemon = place.start();
    assert_eq!(place.list("image").as_array().map(Vec::len), Some(2));
    let given_up = place.stirrup(&["image", "abandon", "-p", "default", "half"]);
    assert!(given_up.status.success(), "{given_up:?}");
    assert!(place.stirrup(&["rm", "default", "up", "--yes"]).status.success());
    let left = fs::read_dir(place.path("store/layers")).unwrap().count();
    assert_eq!(left, 0, "no layer is left in the store");
}

#[test]
fn holes_are_not_sent_and_a_pipe_ends_where_it_ends() {
    let place = Place::new();
    let _daemon = place.start();
    let file = place.path("disk.raw");
    let sparse = File::create(&file).unwrap();
    sparse.set_len(64 << 20).unwrap();
    for at in [0, (20 << 20) + 12_345, (64 << 20) - 3] {
        sparse.write_all_at(&[7; 3], at).unwrap();
    }
    let (succeeded, notes) = said(place.upload(&file, &[]));
    assert!(succeeded, "{notes}");
    let image = place.json(&["image", "show", "-p", "default", "up"]);
    assert_eq!(image.pointer("/size_bytes").and_then(Value::as_u64), Some(64 << 20));
    let used = image.pointer("/used_bytes").and_then(Value::as_u64).unwrap();
    assert!(used < 16 << 20, "{used}");
    assert!(place.stirrup(&["rm", "default", "up", "--yes"]).status.success());

    let bytes: Vec<u8> = (0..5_000_192_u32).map(|i| (i % 251) as u8).collect();
    fs::write(&file, bytes).unwrap();
    let pipe = |more: &[&str]| {
        let mut command = Command::new(STIRRUP);
        command.arg("--socket").arg(place.path("control"));
        command.args(["image", "upload", "-p", "default", "-", "up"]).args(more);
        let mut cat = Command::new("cat").arg(&file).stdout(Stdio::piped()).spawn().unwrap();
        command.stdin(cat.stdout.take().unwrap());
        let output = command.output().unwrap();
        // It has the other end of the pipe, too.
        drop(command);
        cat.wait().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    // Another file than was announced leaves nothing, and can be sent again.
    let (succeeded, notes) = pipe(&["--sha256", &"0".repeat(64)]);
    assert!(!succeeded && notes.contains("SHA-256"), "{notes}");
    let (succeeded, notes) = pipe(&["--sha256", &sum(&file)]);
    assert!(succeeded, "{notes}");
    place.assert_is("up", &file);
    let (succeeded, notes) = pipe(&[]);
    assert!(!succeeded && notes.contains("exists"), "{notes}");
}

impl Place {
    /// The job's end.
    fn ends(&self, id: &str, state: &str) -> Value {
        let begin = Instant::now();
        loop {
            let job = self.json(&["job", "show", id]);
            let now = job.pointer("/state").and_then(Value::as_str).unwrap().to_owned();
            if !matches!(now.as_str(), "queued" | "running") {
                assert_eq!(now, state, "{job}");
                return job;
            }
            assert!(begin.elapsed() < HANG, "{job}");
        }
    }
}
