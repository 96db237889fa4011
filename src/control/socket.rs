//! The control socket: there from its first moment for those only who may open it.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::peer::Local;

/// Bytes of a path in `sockaddr_un`, without the final zero.
const PATH_MAX_BYTES: usize = 107;

/// A listening control socket; its file goes with it.
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Listens at `path`, mode 0600: besides root and the daemon's own user, those can connect who are
    /// given the right to open the file. What a dead daemon left there is replaced.
    ///
    /// # Errors
    /// One line with the path: a daemon listens there, or there is something else than a socket,
    /// or the directory is not there.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let context = |error: io::Error| {
            io::Error::new(error.kind(), format!("control socket {}: {error}", path.display()))
        };
        Self::bind_private(path).map_err(context)
    }

    fn bind_private(path: &Path) -> io::Result<Self> {
        check_free(path)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        // Made where nobody else can reach it, given its mode, and only then put in place: there
        // is no moment at which it could be opened with a wider one.
        let private = parent.unwrap_or(Path::new(".")).join(format!(".s{}", std::process::id()));
        let _ = fs::remove_dir_all(&private);
        DirBuilder::new().mode(0o700).create(&private)?;
        let made = make(&private.join("s"), path);
        let removed = fs::remove_dir_all(&private);
        let listener = made?;
        removed?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// The next connection, and who is at its other end.
    pub(super) async fn accept(&self) -> io::Result<(UnixStream, Local)> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            match stream.peer_cred() {
                Ok(peer) => {
                    let local = Local { uid: peer.uid(), gid: peer.gid(), pid: peer.pid() };
                    return Ok((stream, local));
                }
                Err(error) => tracing::warn!(%error, "refused: peer without credentials"),
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Not there any more is as good.
        let _ = fs::remove_file(&self.path);
    }
}

fn make(private: &Path, path: &Path) -> io::Result<UnixListener> {
    if private.as_os_str().len().max(path.as_os_str().len()) > PATH_MAX_BYTES {
        let message = "the path is too long for a Unix socket (about 90 bytes); use a shorter one";
        return Err(io::Error::new(ErrorKind::InvalidInput, message));
    }
    let listener = StdListener::bind(private)?;
    fs::set_permissions(private, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    fs::rename(private, path)?;
    Ok(listener)
}

/// Nothing is at `path` but perhaps the socket of a daemon that is dead.
fn check_free(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !metadata.file_type().is_socket() {
        let message = "there is something else than a socket; remove it or choose another path";
        return Err(io::Error::new(ErrorKind::AlreadyExists, message));
    }
    match StdStream::connect(path) {
        Ok(_) => {
            let message = "another stirrupd listens there; stop it first";
            Err(io::Error::new(ErrorKind::AddrInUse, message))
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_private_and_goes_with_the_daemon() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let socket = ControlSocket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        drop(StdListener::bind(&path).unwrap());
        assert!(path.exists());
        let live = ControlSocket::bind(&path).unwrap();
        let error = ControlSocket::bind(&path).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains("another stirrupd"), "{error}");
        let client = UnixStream::connect(&path);
        let (client, server) = tokio::join!(client, live.accept());
        client.unwrap();
        server.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_socket_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "precious").unwrap();
        assert!(ControlSocket::bind(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        let long = directory.path().join("x".repeat(200));
        assert!(ControlSocket::bind(&long).is_err());
    }
}
