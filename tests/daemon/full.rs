//! Disks that are full in the middle of something: small file systems of their own, in a namespace of
//! mounts that goes with the daemon, where the machine allows that.

use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{HANG, Place, Running, STIRRUPD};

/// Of the file system, of what fills it, and of an image that does not fit beside that.
const SMALL: &str = "96m";
const FILLER_BYTES: u64 = 72 << 20;
const IMAGE_BYTES: usize = 40 << 20;

/// A daemon whose `small` directory is a file system of its own, nearly full, and whose `queues` is one
/// without hard links.
struct Full {
    place: Place,
    daemon: Running,
}

impl Full {
    /// `None` where nothing can be mounted.
    fn start() -> Option<Self> {
        let place = Place::new();
        for directory in ["small", "queues"] {
            fs::create_dir(place.path(directory)).unwrap();
        }
        let dir = place.dir.path().display().to_string();
        let text = fs::read_to_string(place.path("stirrup.toml")).unwrap();
        let text = text.replace(&format!("{dir}/store"), &format!("{dir}/small/store"));
        let uploads = format!("[uploads]\ndirectory = \"{dir}/small/uploads\"\n");
        fs::write(place.path("stirrup.toml"), text + &uploads).unwrap();

        let script = format!(
            "mount -t tmpfs -o size={SMALL} none \"$1/small\" && mount -t mqueue none \"$1/queues\" && \
             head -c {FILLER_BYTES} /dev/zero > \"$1/small/filler\" || exit 9\n\
             exec \"$2\" --config \"$1/stirrup.toml\""
        );
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--ipc", "--propagation", "private"]);
        if !rustix::process::geteuid().is_root() {
            unshare.arg("--map-root-user");
        }
        let notify = place.path("notify");
        let socket = UnixDatagram::bind(&notify).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
        let log = File::create(place.path("log")).unwrap();
        unshare.args(["sh", "-c", &script, "sh", &dir, STIRRUPD]).env("NOTIFY_SOCKET", &notify);
        let mut child = unshare.stdin(Stdio::null()).stderr(log).spawn().ok()?;
        let begin = std::time::Instant::now();
        let mut message = [0; 256];
        loop {
            if let Ok(len) = socket.recv(&mut message) {
                assert!(message[..len].starts_with(b"READY=1"), "{:?}", &message[..len]);
                return Some(Self { place, daemon: Running(child) });
            }
            if let Some(ended) = child.try_wait().unwrap() {
                let said = fs::read_to_string(place.path("log")).unwrap();
                // Of `unshare`, or of our script: this machine does not allow it.
                assert!(
                    matches!(ended.code(), Some(1 | 9)) && !said.contains("stirrupd"),
                    "{said}"
                );
                return None;
            }
            assert!(begin.elapsed() < HANG, "the daemon is not ready");
        }
    }

    /// A path as the daemon sees it, for us.
    fn inside(&self, name: &str) -> PathBuf {
        let path = self.place.path(name);
        let root = format!("/proc/{}/root", self.daemon.0.id());
        PathBuf::from(root).join(path.strip_prefix("/").unwrap())
    }

    fn make_room(&self) {
        fs::remove_file(self.inside("small/filler")).unwrap();
    }

    /// Takes so much of the space; what was removed may still be on its way out.
    fn fill(&self, bytes: u64) {
        let begin = std::time::Instant::now();
        while let Err(error) =
            fs::write(self.inside("small/filler"), vec![0; usize::try_from(bytes).unwrap()])
        {
            assert!(begin.elapsed() < HANG, "{error}");
            std::thread::yield_now();
        }
    }

    /// What lies in a directory, sorted.
    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.inside(directory)).into_iter().flatten();
        let mut names: Vec<_> =
            entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A command's exit, and the code of the problem or what else it said.
    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.place.stirrup(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}: {said}");
        said
    }

    fn succeeds(&self, arguments: &[&str]) {
        let output = self.place.stirrup(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
}

/// What is no zeros.
fn content() -> Vec<u8> {
    (0..IMAGE_BYTES as u64 / 8)
        .flat_map(|i| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect()
}

#[test]
fn a_full_disk_leaves_nothing_half_made_and_the_call_can_be_repeated() {
    let Some(full) = Full::start() else {
        eprintln!("nothing can be mounted here");
        return;
    };
    let file = full.place.path("disk.raw");
    fs::write(&file, content()).unwrap();
    let path = file.to_str().unwrap();

    // An import breaks off in its middle.
    let import = ["image", "import", "-p", "default", "golden", path];
    let said = full.fails(&import);
    assert!(said.contains("No space left") || said.contains("full"), "{said}");
    assert_eq!(full.place.list("image"), Value::Array(Vec::new()));
    assert_eq!(full.names("small/store/layers"), Vec::<String>::new());
    full.make_room();
    full.succeeds(&import);
    full.place.assert_is("golden", &file);
    full.succeeds(&["image", "remove", "-p", "default", "golden", "--yes"]);
    full.fill(FILLER_BYTES);

    // An upload stays with what came, and goes on when there is room.
    let upload = ["image", "upload", "-p", "default", path, "up", "--retry", "0"];
    let said = full.fails(&upload);
    assert!(said.contains("No space left") || said.contains("full"), "{said}");
    let there = full.place.call("GET", "images/up/upload", &[], &[]);
    assert_eq!(there.pointer("/state").and_then(Value::as_str), Some("uploading"), "{there}");
    let offset = there.pointer("/offset_bytes").and_then(Value::as_u64).unwrap();
    let problem = full.place.call(
        "PATCH",
        "images/up/upload",
        &[&format!("Upload-Offset: {offset}")],
        &content()[usize::try_from(offset).unwrap()..],
    );
    assert_eq!(problem.pointer("/code").and_then(Value::as_str), Some("store-full"), "{problem}");
    assert_eq!(problem.pointer("/status").and_then(Value::as_u64), Some(507), "{problem}");
    full.make_room();
    full.succeeds(&upload);
    full.place.assert_is("up", &file);
    full.succeeds(&["image", "remove", "-p", "default", "up", "--yes"]);
    full.fill(FILLER_BYTES);

    // So does what lies in the directory for uploads until it is complete, unless it comes once.
    let piped = |image: &str| {
        let mut command = Command::new(super::STIRRUP);
        command.arg("--socket").arg(full.place.path("control"));
        command.args(["image", "upload", "-p", "default", "-", image]);
        command.stdin(File::open(&file).unwrap()).output().unwrap()
    };
    let output = piped("pipe");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("directory for uploads"), "{said}");
    assert_eq!(full.names("small/uploads"), Vec::<String>::new());
    assert_eq!(full.place.list("image"), Value::Array(Vec::new()));
    full.make_room();
    // The staged file and the image have to be there at once, for a moment.
    assert!(piped("pipe").status.success());
    full.place.assert_is("pipe", &file);

    // An export leaves no part, nor is it begun where it could not end.
    full.fill(40 << 20);
    let out = full.place.path("small/out.raw");
    let export = ["image", "export", "-p", "default", "pipe", out.to_str().unwrap()];
    let said = full.fails(&export);
    assert!(said.contains("No space left") || said.contains("full"), "{said}");
    assert_eq!(full.names("small"), ["filler", "store", "uploads"]);
    full.make_room();
    full.succeeds(&export);
    assert!(fs::read(full.inside("small/out.raw")).unwrap() == content());
    let out = full.place.path("queues/out.raw");
    let said = full.fails(&["image", "export", "-p", "default", "pipe", out.to_str().unwrap()]);
    assert!(said.contains("hard links"), "{said}");
    assert_eq!(full.names("queues"), Vec::<String>::new());
}
