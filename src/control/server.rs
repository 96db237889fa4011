//! Requests off the socket, each within its bounds.

use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::socket::ControlSocket;
use super::{Control, Limits, api};

/// How long accepting rests after an error (out of file descriptors, most likely).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Tells calls that take long that the daemon is about to stop.
#[derive(Clone)]
pub(super) struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Until it is.
    pub(super) async fn begun(&self) {
        let mut stop = self.0.clone();
        // A sender that is gone says the same.
        drop(stop.wait_for(|stop| *stop).await);
    }
}

/// Answers calls until `shutdown` is done; then those that run are given time to end.
pub async fn serve(socket: ControlSocket, control: Control, shutdown: impl Future<Output = ()>) {
    let limits = control.limits.clone();
    let router = api::router(control);
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, socket.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                let stopping = stopping.clone();
                let router = router.clone().layer(Extension(peer));
                let router = router.layer(Extension(Stopping(stopping.clone())));
                let limits = limits.clone();
                connections.spawn(async move {
                    let _place = place;
                    connection(stream, router, &limits, stopping).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket does not accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(socket);
    stop.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.stop_timeout, ended).await.is_err() {
        tracing::warn!("control calls were cut off by the stop; the catalog carries them through");
    }
}

async fn connection(
    stream: UnixStream,
    router: Router,
    limits: &Limits,
    mut stopping: watch::Receiver<bool>,
) {
    let service = TowerToHyperService::new(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_max_bytes)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // A sender that is gone says the same as one that says stop.
    let stopped = async { drop(stopping.wait_for(|stop| *stop).await) };
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a control connection broke off");
    }
}
