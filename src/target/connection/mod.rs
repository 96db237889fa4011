//! One connection, from accept to close.

mod abort;
mod commands;
mod driver;
mod inbox;
mod link;
mod login;
mod management;
mod ordering;
mod overdue;
mod pause;
mod read_data;
mod receive;
mod record;
mod transmit;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

pub(super) use link::Joining;
use tokio::net::TcpStream;

use super::places::Place;
use super::portal::PortalGroup;
use super::shard::ShardState;

/// A connection that has not logged in yet.
pub(super) struct Incoming {
    stream: TcpStream,
    peer: SocketAddr,
    local: SocketAddr,
    group: Arc<PortalGroup>,
    half_open: Place,
}

impl Incoming {
    /// Takes the connection into the shard's runtime.
    pub(super) fn adopt(
        stream: std::net::TcpStream,
        peer: SocketAddr,
        group: Arc<PortalGroup>,
        half_open: Place,
    ) -> io::Result<Self> {
        let local = stream.local_addr()?;
        Ok(Self { stream: TcpStream::from_std(stream)?, peer, local, group, half_open })
    }
}

/// Serves the connection to its end.
pub(super) async fn run(incoming: Incoming, shard: &ShardState) {
    let peer = incoming.peer;
    match login::log_in(incoming, shard).await {
        Ok(Some(connected)) => driver::serve(connected, shard).await,
        // Refused, and logged there.
        Ok(None) => {}
        Err(error) => tracing::debug!(%peer, %error, "connection lost in login"),
    }
}
