//! The control socket of another machine, by way of ssh: `ssh HOST stirrup dial-stdio`, whose standard
//! input and output are the connection. ssh does all that ssh does: keys, agents, its configuration,
//! questions on the terminal.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, Join};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::place::SshHost;

/// Bytes of what ssh says that are kept.
const SAID_BYTES_MAX: usize = 4096;
/// How long ssh has to say why it ended.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// As ssh's option has it: how long a machine may take to answer at all.
const CONNECT_SECONDS: u8 = 30;

/// A running ssh; it ends with this.
pub(super) struct Ssh {
    child: Child,
    said: JoinHandle<String>,
}

/// Why ssh ended.
#[derive(Debug)]
pub(super) struct End {
    /// Its exit code: 255 is its own, others are of the command on the other machine.
    pub(super) code: Option<i32>,
    /// What it wrote to standard error.
    pub(super) said: String,
}

impl Ssh {
    /// Runs `program` (ssh). Whether it gets through shows when something is read.
    pub(super) fn start(
        program: &OsStr,
        host: &SshHost,
    ) -> io::Result<(Self, Join<ChildStdout, ChildStdin>)> {
        let mut command = Command::new(program);
        command.arg("-T").arg("-o").arg(format!("ConnectTimeout={CONNECT_SECONDS}"));
        if let Some(port) = host.port {
            command.arg("-p").arg(port.to_string());
        }
        if let Some(user) = &host.user {
            command.arg("-l").arg(user);
        }
        command.arg("--").arg(&host.host).arg("stirrup");
        if let Some(socket) = &host.socket {
            command.arg("--socket").arg(quoted(socket));
        }
        command.arg("dial-stdio").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("no pipes to ssh"));
        };
        let said = tokio::spawn(listen(stderr));
        Ok((Self { child, said }, tokio::io::join(stdout, stdin)))
    }

    /// Why it ended; `None`: it has not.
    pub(super) async fn end(mut self) -> Option<End> {
        let end = async {
            let status = self.child.wait().await.ok()?;
            let said = self.said.await.unwrap_or_default();
            Some(End { code: status.code(), said })
        };
        tokio::time::timeout(LAST_WORDS, end).await.ok().flatten()
    }
}

/// What is said, but no more of it than is kept.
async fn listen(mut stderr: ChildStderr) -> String {
    let mut said = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        let room = SAID_BYTES_MAX.saturating_sub(said.len());
        said.extend_from_slice(&buffer[..count.min(room)]);
    }
    String::from_utf8_lossy(&said).trim().to_owned()
}

/// One word for the shell on the other machine.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The other end: makes standard input and output a connection to a socket. Blocks until the daemon
/// hangs up.
pub(super) fn relay(socket: &Path) -> io::Result<()> {
    let stream = UnixStream::connect(socket)?;
    let mut to_daemon = stream.try_clone()?;
    let mut stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    // It may wait for input for ever, and ends with the process.
    std::thread::spawn(move || {
        let _ = io::copy(&mut stdin, &mut to_daemon);
        let _ = to_daemon.shutdown(Shutdown::Write);
    });
    io::copy(&mut &stream, &mut stdout)?;
    Ok(())
}
