//! Requests off listeners, each within its bounds.

use std::net::IpAddr;
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

use super::limit::{Few, network};
use super::listener::{Accepted, Listener};
use super::{Limits, Peer};
use crate::target::places::Places;

/// How long accepting rests after an error (out of file descriptors, most likely).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Tells calls that take long that the daemon is about to stop.
#[derive(Clone)]
pub(super) struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Until it is.
    pub(super) async fn begun(&self) {
        stopped(&mut self.0.clone()).await;
    }
}

/// What answers on a listener, and within which bounds. Every request has a
/// [`Peer`] among its extensions.
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
    complaints: Few<IpAddr>,
    stopping: watch::Receiver<bool>,
}

impl Service {
    async fn run(self, mut stopping: watch::Receiver<bool>) {
        let Self { listener, router, limits } = self;
        let free = Arc::new(Semaphore::new(limits.connections_max));
        let places = Places::new(limits.connections_max);
        let complaints = Few::lines();
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
                shared.complain(Some(address), &format!("{address} has too many connections"));
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
    /// Logs what is wrong with a peer, though not each time.
    fn complain(&self, address: Option<IpAddr>, why: &str) {
        let address = address.unwrap_or(IpAddr::from([127, 0, 0, 1]));
        if let Some(left_out) = self.complaints.take(network(address)) {
            tracing::warn!("a connection to the control API was refused: {why}{left_out}");
        }
    }

    async fn connection(&self, accepted: Accepted) {
        let mut stopping = self.stopping.clone();
        let address = accepted.address();
        let established = tokio::select! {
            established = accepted.establish(self.limits.handshake_timeout) => established,
            () = stopped(&mut stopping) => return,
        };
        let (stream, peer) = match established {
            Ok(established) => established,
            Err(why) => return self.complain(address, &why),
        };
        // What a certificate is worth was looked at when it was shown.
        let lifetime = matches!(peer, Peer::Tls(..)).then_some(self.limits.connection_lifetime);
        let router = TowerToHyperService::new(self.router.clone());
        let about_to_stop = Stopping(stopping.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            request.extensions_mut().insert(about_to_stop.clone());
            router.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_timeout)
            .max_buf_size(self.limits.head_max_bytes)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let closing = async {
            let stopped = stopped(&mut stopping);
            match lifetime {
                Some(lifetime) => drop(tokio::time::timeout(lifetime, stopped).await),
                None => stopped.await,
            }
        };
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = closing => {
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
