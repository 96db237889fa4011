//! The management socket of tgtd: `tgtadm`, and with it `tgt-admin` and whatever runs that, work
//! as with tgtd, and the targets they make are Stirrup's.
//!
//! What they name as a backing store is attached to the catalog: served as it is, and never removed.
//! A target without a logical unit, and an account that no target has, are lost when the daemon
//! ends, as with tgtd; everything else is not.

mod show;
mod targets;
mod verbs;
mod wire;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::FlockOperation;
use tokio::net::UnixStream;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use crate::catalog::{Error, Name, Role};
use crate::control::socket::ControlSocket;
use crate::control::{Control, Local};
use targets::Memory;
use verbs::Verb;
use wire::Errno;

/// The stores that backing stores are in.
const RBD: &str = "rbd";
/// See [`RBD`].
pub const FILES: &str = "files";
/// Requests that may be read at once; they are done one after the other.
const CONNECTIONS_MAX: usize = 64;
/// How long a peer may take to send its request, or to read the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long accepting rests after an error.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the operator decides.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The project of what is attached.
    pub project: Name,
    /// The Ceph pool that is served, if one is.
    pub rbd_pool: Option<String>,
}

impl Settings {
    /// # Errors
    /// `invalid-name`.
    pub fn new(project: &str, rbd_pool: Option<String>) -> Result<Self, Error> {
        Ok(Self { project: Name::project(project)?, rbd_pool })
    }
}

/// The socket, and the lock that keeps a tgtd from taking it.
pub struct TgtSocket {
    socket: ControlSocket,
    _lock: File,
}

impl TgtSocket {
    /// Listens at `path` (`tgtadm` connects to `/var/run/tgtd/socket.0`).
    ///
    /// # Errors
    /// One line: a tgtd has it, or it cannot be made.
    pub fn bind(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let lock_path = PathBuf::from(format!("{}.lock", path.display()));
        let lock = File::options().create(true).append(true).open(&lock_path)?;
        rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            let message = format!(
                "{} is locked: tgtd runs; stop it first, and see that it is not started again \
                 (systemctl disable --now tgt)",
                lock_path.display()
            );
            io::Error::new(io::ErrorKind::AddrInUse, message)
        })?;
        Ok(Self { socket: ControlSocket::bind(path)?, _lock: lock })
    }
}

/// What requests share.
struct Door {
    control: Control,
    settings: Settings,
    /// Held for a whole request: they are done one after the other, as tgtd does.
    memory: Mutex<Memory>,
}

/// Answers requests until `shutdown` is done.
pub async fn serve(
    socket: TgtSocket,
    control: Control,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) {
    let door = Arc::new(Door { control, settings, memory: Mutex::default() });
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut requests = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, socket.socket.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = &mut shutdown => break,
            Some(_) = requests.join_next() => continue,
        };
        match accepted {
            Ok((stream, local)) => {
                let door = Arc::clone(&door);
                requests.spawn(async move {
                    let _place = place;
                    door.answer(stream, local).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the socket of tgtadm does not accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    let ended = async { while requests.join_next().await.is_some() {} };
    // What a store keeps waiting is carried through by the catalog, or taken back at the next start.
    let _ = tokio::time::timeout(PATIENCE, ended).await;
}

impl Door {
    async fn answer(&self, mut stream: UnixStream, local: Local) {
        if self.control.local_roles.of(local) != Some(Role::Admin) {
            tracing::warn!(uid = local.uid, "tgtadm: refused to a user that is no admin");
            return;
        }
        let request = match tokio::time::timeout(PATIENCE, wire::read(&mut stream)).await {
            Ok(Ok(request)) => request,
            // It hung up, or talks something else; there is nothing to be answered.
            Ok(Err(_)) | Err(_) => return,
        };
        let answer = match request {
            Some(request) => {
                let memory = &mut *self.memory.lock().await;
                let (control, settings) = (&self.control, &self.settings);
                Verb { control, settings, memory, local }.run(&request).await
            }
            None => Err(Errno::InvalidRequest),
        };
        // Who does not wait for the answer has none.
        let _ = tokio::time::timeout(PATIENCE, wire::write(&mut stream, &answer)).await;
    }
}
