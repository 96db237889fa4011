//! Requests off listeners, each within its bounds.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::Limits;
use super::listener::{Accepted, Complaints, Listener};
use crate::target::places::Places;

/// How long accepting rests after an error (out of file descriptors, most likely).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What answers on a listener, and within which bounds. Every request has a
/// [`Peer`](super::Peer) among its extensions.
pub struct Service {
    /// Where requests come from.
    pub listener: Listener,
    /// What answers them.
    pub router: Router,
    /// The bounds of connections and of heads; those of bodies and calls are the router's.
    pub limits: Limits,
}

/// Answers calls until `shutdown` is done; then those that run are given time to end.
pub async fn serve(services: Vec<Service>, shutdown: impl Future<Output = ()>) {
    let (stop, stopping) = watch::channel(false);
    let mut running = JoinSet::new();
    for service in services {
        running.spawn(service.run(stopping.clone()));
    }
    shutdown.await;
    stop.send_replace(true);
    while running.join_next().await.is_some() {}
}

/// What the connections of a service share.
struct Shared {
    router: Router,
    limits: Limits,
    complaints: Complaints,
    stopping: watch::Receiver<bool>,
}

impl Service {
    async fn run(self, mut stopping: watch::Receiver<bool>) {
        let Self { listener, router, limits } = self;
        let free = Arc::new(Semaphore::new(limits.connections_max));
        let places = Places::new(limits.connections_max);
        let complaints = Complaints::default();
        let shared = Arc::new(Shared { router, limits, complaints, stopping: stopping.clone() });
        let mut connections = JoinSet::new();
        loop {
            let next = async {
                let permit = Arc::clone(&free).acquire_owned().await;
                (permit, listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                next = next => next,
                () = stopped(&mut stopping) => break,
                Some(_) = connections.join_next() => continue,
            };
            let accepted = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "the control API does not accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let place = accepted.address().map(|address| (address, places.take(address)));
            if let Some((address, None)) = place {
                shared.complaints.log(&format!("{address} has too many connections"));
                continue;
            }
            let shared = Arc::clone(&shared);
            connections.spawn(async move {
                // The place first: as long as there is a permit, there is a place.
                let _held = (place, permit);
                shared.connection(accepted).await;
            });
        }
        drop(listener);
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(shared.limits.stop_timeout, ended).await.is_err() {
            tracing::warn!(
                "control calls were cut off by the stop; the catalog carries them through"
            );
        }
    }
}

impl Shared {
    async fn connection(&self, accepted: Accepted) {
        let mut stopping = self.stopping.clone();
        let established = tokio::select! {
            established = accepted.establish(self.limits.handshake_timeout) => established,
            () = stopped(&mut stopping) => return,
        };
        let (stream, peer) = match established {
            Ok(established) => established,
            Err(why) => return self.complaints.log(&why),
        };
        let router = TowerToHyperService::new(self.router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            router.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_timeout)
            .max_buf_size(self.limits.head_max_bytes)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = stopped(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a control connection broke off");
        }
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // A sender that is gone says the same as one that says stop.
    drop(stopping.wait_for(|stop| *stop).await);
}
