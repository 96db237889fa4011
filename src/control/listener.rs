//! Where connections come from: a Unix socket, TCP, or TLS over TCP. What is behind a listener need
//! not know which it is: it gets a stream, and a [`Peer`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;

use super::peer::{ClientCertificate, Local, Peer};
use super::socket::ControlSocket;
use super::unread::Patient;
use crate::tls;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;
/// Silence after which the kernel finds out whether the other end is there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// How long the other end may leave what was sent to it unread. Then the connection is gone.
const UNREAD_MAX: Duration = Duration::from_secs(120);
/// Content type of a TLS record that begins a handshake (RFC 8446 5.1).
const TLS_HANDSHAKE: u8 = 22;
/// For who speaks HTTP where TLS is spoken.
const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n\
    connection: close\r\ncontent-length: 38\r\n\r\nTLS is spoken here: use https:// URLs\n";

/// A source of connections.
pub enum Listener {
    /// Processes of this machine.
    Unix(ControlSocket),
    /// Anybody on the network.
    Tcp(TcpListener),
    /// Anybody on the network, over TLS.
    Tls(TcpListener, Arc<tls::Server>),
}

/// A stream of bytes, whatever it is made of.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

/// A connection that may still have to show that it speaks TLS.
pub(super) enum Accepted {
    Unix(UnixStream, Local),
    Tcp(TcpStream, SocketAddr),
    Tls(TcpStream, SocketAddr, Arc<tls::Server>),
}

impl Listener {
    /// Listens on an address. An IPv6 address takes IPv6 only. To be called inside a runtime.
    ///
    /// # Errors
    /// One line with the address.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        listen(address).map(Self::Tcp)
    }

    /// As [`Listener::tcp`], with TLS.
    ///
    /// # Errors
    /// One line with the address.
    pub fn tls(address: SocketAddr, server: Arc<tls::Server>) -> io::Result<Self> {
        Ok(Self::Tls(listen(address)?, server))
    }

    /// Its address, if it is one on the network; of port 0, the port that it got.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(listener) | Self::Tls(listener, _) => listener.local_addr().ok(),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Unix(socket) => {
                let (stream, local) = socket.accept().await?;
                Ok(Accepted::Unix(stream, local))
            }
            Self::Tcp(listener) => {
                let (stream, address) = accept(listener).await?;
                Ok(Accepted::Tcp(stream, address))
            }
            Self::Tls(listener, server) => {
                let (stream, address) = accept(listener).await?;
                Ok(Accepted::Tls(stream, address, Arc::clone(server)))
            }
        }
    }
}

impl Accepted {
    /// Where on the network it comes from.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Unix(..) => None,
            Self::Tcp(_, address) | Self::Tls(_, address, _) => Some(address.ip()),
        }
    }

    /// The stream, and who is at its other end, when that is settled; `Err`: why it will not be.
    pub(super) async fn establish(
        self,
        patience: Duration,
    ) -> Result<(Pin<Box<dyn Stream>>, Peer), String> {
        match self {
            Self::Unix(stream, local) => {
                Ok((Box::pin(Patient::new(stream, UNREAD_MAX)), Peer::Local(local)))
            }
            Self::Tcp(stream, address) => Ok((Box::pin(stream), Peer::Network(address))),
            Self::Tls(stream, address, server) => {
                let handshake = tokio::time::timeout(patience, handshake(stream, server));
                let late = || format!("no TLS handshake within {} s", patience.as_secs());
                let (stream, certificate) = handshake
                    .await
                    .unwrap_or_else(|_| Err(late()))
                    .map_err(|why| format!("{address}: {why}"))?;
                Ok((stream, Peer::Tls(address, certificate)))
            }
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listen = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    listen().map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, address) = listener.accept().await?;
    let socket = SockRef::from(&stream);
    // None of these fails but with a connection that has gone, which shows soon enough.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
    let _ = socket.set_tcp_user_timeout(Some(UNREAD_MAX));
    Ok((stream, SocketAddr::new(address.ip().to_canonical(), address.port())))
}

async fn handshake(
    mut stream: TcpStream,
    server: Arc<tls::Server>,
) -> Result<(Pin<Box<dyn Stream>>, ClientCertificate), String> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(0) => return Err("it hung up before the TLS handshake".to_owned()),
        Ok(_) if first[0] != TLS_HANDSHAKE => {
            say_not_tls(&mut stream).await;
            return Err("it does not speak TLS (plain HTTP?): refused".to_owned());
        }
        Ok(_) => {}
        Err(error) => return Err(error.to_string()),
    }
    let config: Arc<ServerConfig> = tokio::task::spawn_blocking(move || server.current())
        .await
        .map_err(|error| error.to_string())?;
    let stream = TlsAcceptor::from(config)
        .accept(stream)
        .await
        .map_err(|error| format!("no TLS: {error}"))?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let certificate = match shown {
        None => ClientCertificate::None,
        Some(shown) => {
            tls::name_of(shown).map_or(ClientCertificate::Unnamed, ClientCertificate::Named)
        }
    };
    Ok((Box::pin(stream), certificate))
}

/// Tells a client that speaks HTTP what is wrong, if it listens.
async fn say_not_tls(stream: &mut TcpStream) {
    // What is left unread when a connection is closed takes the answer away.
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await;
    let _ = stream.write_all(NOT_TLS).await;
    let _ = stream.shutdown().await;
}
