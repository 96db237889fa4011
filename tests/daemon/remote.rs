//! The real command and the real daemon on two machines, which are one: over TLS, and by a real ssh.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use serde_json::Value;

use super::{HANG, Place, Running, STIRRUP};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// `stirrup`, with nothing of this process's environment in its way.
fn stirrup(arguments: &[&str], environment: &[(&str, &Path)]) -> Output {
    let mut command = Command::new(STIRRUP);
    for name in ["SOCKET", "HOST", "TOKEN", "TLS_CERT", "TLS_KEY", "TLS_CA", "SSH"] {
        command.env_remove(format!("STIRRUP_{name}"));
    }
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null()).output().unwrap()
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"))
}

/// Writes certificate and key of `name`.
fn issue(ca: &CertifiedIssuer<'_, KeyPair>, place: &Place, name: &str, server: bool) {
    let names = if server { vec!["localhost".to_owned()] } else { Vec::new() };
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![match server {
        true => ExtendedKeyUsagePurpose::ServerAuth,
        false => ExtendedKeyUsagePurpose::ClientAuth,
    }];
    let key = KeyPair::generate().unwrap();
    fs::write(place.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    let certificate = params.signed_by(&key, ca).unwrap();
    fs::write(place.path(&format!("{name}.pem")), certificate.pem()).unwrap();
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[test]
fn over_tls() {
    let place = Place::new();
    let ca = authority("Lab CA");
    fs::write(place.path("ca.pem"), ca.pem()).unwrap();
    issue(&ca, &place, "server", true);
    issue(&ca, &place, "ci", false);
    let (port, dir) = (free_port(), place.dir.path().display());
    place.configure(&format!(
        "[control.tls]\nlisten = [\"127.0.0.1:{port}\"]\ncertificate = \"{dir}/server.pem\"\n\
         key = \"{dir}/server.key\"\nclient_ca = \"{dir}/ca.pem\"\n"
    ));
    let mut daemon = place.start();
    let host = format!("https://localhost:{port}");
    let with = |name: &str, arguments: &[&str]| {
        let [certificate, key] = ["pem", "key"].map(|end| place.path(&format!("{name}.{end}")));
        let environment: [(&str, &Path); 4] = [
            ("STIRRUP_HOST", host.as_ref()),
            ("STIRRUP_TLS_CA", &place.path("ca.pem")),
            ("STIRRUP_TLS_CERT", &certificate),
            ("STIRRUP_TLS_KEY", &key),
        ];
        stirrup(arguments, &environment)
    };
    let stranger = with("ci", &["whoami"]);
    assert_eq!(stranger.status.code(), Some(1), "{stranger:?}");
    place.json(&["certificate", "create", "ci", "admin"]);
    let me = json(&with("ci", &["whoami", "--json"]));
    assert_eq!(me.get("who").unwrap(), "certificate ci");
    assert!(with("ci", &["project", "create", "lab", "--disks", "1"]).status.success());
    let log = place.json(&["audit"]).to_string();
    assert!(log.contains("certificate ci"), "{log}");

    let mut plain = TcpStream::connect(("127.0.0.1", port)).unwrap();
    plain.write_all(b"GET /v1/version HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = plain.read_to_string(&mut answer);
    assert!(answer.contains("use https://"), "{answer}");
    // The peer has its answer before the line is written.
    let begin = Instant::now();
    loop {
        let log = fs::read_to_string(place.path("log")).unwrap();
        if log.contains("does not speak TLS") {
            break;
        }
        assert!(begin.elapsed() < HANG, "{log}");
    }

    // Other files, and the daemon goes on with them.
    let other = authority("Other CA");
    issue(&other, &place, "server", true);
    issue(&other, &place, "jane", false);
    fs::write(place.path("ca.pem"), other.pem()).unwrap();
    place.json(&["certificate", "create", "jane", "reader"]);
    let begin = Instant::now();
    while !with("jane", &["whoami"]).status.success() {
        assert!(begin.elapsed() < HANG, "the new files are never used");
    }
    assert!(!with("ci", &["whoami"]).status.success(), "the old authority counts no more");
    assert_eq!(daemon.signal(rustix::process::Signal::TERM), Some(0));
}

/// The ssh server that is installed, if there is one.
fn sshd() -> Option<PathBuf> {
    let found = Path::new("/usr/sbin/sshd");
    let is_wanted = std::env::var_os("STIRRUP_TEST_SSH").is_some();
    assert!(found.exists() || !is_wanted, "STIRRUP_TEST_SSH is set, and there is no sshd");
    found.exists().then(|| found.to_owned())
}

fn keygen(file: &Path) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file);
    assert!(command.status().unwrap().success());
}

#[test]
fn by_ssh() {
    let Some(sshd) = sshd() else {
        eprintln!("not tried: there is no sshd (STIRRUP_TEST_SSH=1 makes it a must)");
        return;
    };
    let place = Place::new();
    let _daemon = place.start();
    let (port, dir) = (free_port(), place.dir.path().display());
    // It wants to hear of it by an absolute path, and of the command by PATH.
    let bin = Path::new(STIRRUP).parent().unwrap().display();
    keygen(&place.path("host"));
    keygen(&place.path("user"));
    fs::copy(place.path("user.pub"), place.path("authorized")).unwrap();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {dir}/host\nPidFile none\n\
         AuthorizedKeysFile {dir}/authorized\nStrictModes no\nUsePAM no\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
         SetEnv PATH={bin}:/usr/bin:/bin\n"
    );
    fs::write(place.path("sshd_config"), config).unwrap();
    let client = format!(
        "IdentityFile {dir}/user\nIdentitiesOnly yes\nUserKnownHostsFile {dir}/known\n\
         StrictHostKeyChecking accept-new\nBatchMode yes\n"
    );
    fs::write(place.path("ssh_config"), client).unwrap();
    let ssh = place.path("ssh");
    fs::write(&ssh, format!("#!/bin/sh\nexec ssh -F {dir}/ssh_config \"$@\"\n")).unwrap();
    fs::set_permissions(&ssh, Permissions::from_mode(0o755)).unwrap();
    if rustix::process::geteuid().is_root() {
        fs::create_dir_all("/run/sshd").unwrap();
    }
    let log = File::create(place.path("sshd.log")).unwrap();
    let mut command = Command::new(sshd);
    command.args(["-D", "-e", "-f"]).arg(place.path("sshd_config")).stderr(log);
    let _sshd = Running(command.stdin(Stdio::null()).spawn().unwrap());
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begin.elapsed() < HANG, "sshd does not listen");
    }
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    let user = String::from_utf8(user).unwrap().trim().to_owned();
    let by_ssh = |socket: &str, arguments: &[&str]| {
        let host = format!("ssh://{user}@127.0.0.1:{port}{socket}");
        stirrup(arguments, &[("STIRRUP_HOST", host.as_ref()), ("STIRRUP_SSH", &ssh)])
    };
    let socket = place.path("control");
    let socket = socket.to_str().unwrap();
    let said = || fs::read_to_string(place.path("sshd.log")).unwrap();
    let me = by_ssh(socket, &["whoami", "--json"]);
    assert!(me.status.success(), "{me:?}\n{}", said());
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(json(&me).get("who").unwrap(), &Value::from(format!("uid {uid}")));
    // Many calls and a body that is large for a pipe.
    let image = place.path("image.raw");
    File::create(&image).unwrap().set_len(8 << 20).unwrap();
    let imported = by_ssh(socket, &["import", "default", "golden", image.to_str().unwrap()]);
    assert!(imported.status.success(), "{imported:?}");
    let copy = place.path("copy.raw");
    let line = ["image", "download", "-p", "default", "golden", copy.to_str().unwrap()];
    let downloaded = by_ssh(socket, &line);
    assert!(downloaded.status.success(), "{downloaded:?}");
    assert_eq!(fs::metadata(copy).unwrap().len(), 8 << 20);

    let nothing = by_ssh("/nowhere/s", &["whoami"]);
    let text = String::from_utf8(nothing.stderr).unwrap();
    assert_eq!(nothing.status.code(), Some(1), "{text}");
    assert!(text.contains("/nowhere/s: no such file") && text.contains("127.0.0.1"), "{text}");
    fs::write(place.path("authorized"), "").unwrap();
    let refused = by_ssh(socket, &["whoami"]);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("Permission denied") && text.contains("try: ssh"), "{text}");
}
