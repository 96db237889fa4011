//! Boot scripts over plain HTTP, for firmware that can do no better.
//!
//! | path | answer |
//! |---|---|
//! | `/boot.ipxe` | the same for every machine: asks for the machine's own script |
//! | `/boot?mac=...` | the script of the machine that has one of these MAC addresses |
//! | `/boot/{mac}` | the same |
//! | `/boot/{project}/{node}` | the script of a node |
//!
//! Who asks is not known: a MAC address is what a machine says it is. A script holds no more than
//! what discovery tells as well, but for the CHAP secret, which is for the first who asks.

mod machine;
mod own;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};
use utoipa::ToSchema;

use super::api::events::Event;
use super::limit::{Few, LeftOut, Rate, network};
use super::{Control, Peer, PortalInfo};
use crate::boot::{self, Credentials, Portal, Templates, plain};
use crate::catalog::{Delivery, Disk, Name, Node};
use crate::target::network_holds;

pub use machine::Identity;
use machine::Machine;
use own::{Refusal, own_script};

/// Machines that are looked up at once; who asks beyond that waits.
const AT_WORK_MAX: usize = 16;
/// How long.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one may wait for a node that is worked on, before its secret is handed out.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// Longest text of a machine that is shown.
const SHOWN_CHARS_MAX: usize = 64;

/// When a script that anybody can ask for holds the CHAP secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Secrets {
    /// If it is the node's own, as often as was said when it was asked for: once, most likely.
    #[default]
    PerNode,
    /// Others too, whoever asks.
    All,
    /// Never.
    Never,
}

/// What an operator decides.
#[derive(Debug, Clone, Default)]
pub struct BootOptions {
    /// By what a machine is known, in this order; empty: by its MAC addresses.
    pub identify_by: Vec<Identity>,
    /// When scripts hold secrets.
    pub secrets: Secrets,
    /// Networks from which scripts may be asked for; empty: any.
    pub addresses: Vec<(IpAddr, u8)>,
    /// A machine that has no script asks again and again, instead of going on with its next boot
    /// device.
    pub retry: bool,
}

/// Serves boot scripts. Clones are handles of the same.
#[derive(Clone, Default)]
pub struct BootScripts(Arc<Inner>);

struct Inner {
    templates: Templates,
    options: BootOptions,
    counts: Counts,
    /// What one address may ask.
    rate: Rate<IpAddr>,
    at_work: Semaphore,
    /// Deliveries that are told of: of a node to an address.
    told: Few<(Name, Name, IpAddr)>,
    /// Refusals that are.
    refusals: Few<IpAddr>,
}

impl Default for Inner {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self {
            templates: Templates::default(),
            options: BootOptions::default(),
            counts: Counts::default(),
            rate: Rate::new(120, second / 10),
            at_work: Semaphore::new(AT_WORK_MAX),
            // A room full of machines that are switched on together is told of.
            told: Few::new(Rate::new(3, 10 * second), Rate::new(1000, second / 100)),
            refusals: Few::new(Rate::new(3, second), Rate::new(200, second / 10)),
        }
    }
}

#[derive(Default)]
struct Counts {
    delivered: AtomicU64,
    secrets: AtomicU64,
    refused: AtomicU64,
}

/// What was asked for since the daemon began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BootCounts {
    /// Scripts that machines got.
    pub delivered: u64,
    /// Of these, scripts that held a CHAP secret.
    pub secrets: u64,
    /// Machines that got none.
    pub refused: u64,
}

impl BootScripts {
    /// Makes scripts of these templates.
    #[must_use]
    pub fn new(templates: Templates, options: BootOptions) -> Self {
        Self(Arc::new(Inner { templates, options, ..Inner::default() }))
    }

    /// What was asked for so far.
    #[must_use]
    pub fn counts(&self) -> BootCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counts { delivered, secrets, refused } = &self.0.counts;
        BootCounts { delivered: count(delivered), secrets: count(secrets), refused: count(refused) }
    }

    /// A turn to look something up.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.0.at_work.acquire().await.ok()
    }
}

/// The script of a node, with its secret or without.
pub(super) fn script(
    control: &Control,
    node: &Node,
    disk: &Disk,
    with_secret: bool,
) -> Result<String, boot::Error> {
    let portals = portals(control, disk);
    control.boot.0.templates.node(&boot_of(node, disk, &portals, with_secret))
}

/// Hints for the command line of a node's kernel.
pub(super) fn kernel_arguments(
    control: &Control,
    node: &Node,
    disk: &Disk,
) -> Result<boot::KernelArguments, boot::Error> {
    boot_of(node, disk, &portals(control, disk), false).kernel_arguments()
}

fn portals(control: &Control, disk: &Disk) -> Vec<Portal> {
    let portal = |info: PortalInfo| Portal { address: info.address, group: info.tpgt };
    super::api::portals(control, &disk.portal_groups).into_iter().map(portal).collect()
}

fn boot_of<'a>(
    node: &'a Node,
    disk: &'a Disk,
    portals: &'a [Portal],
    with_secret: bool,
) -> boot::Boot<'a> {
    boot::Boot {
        project: node.project.as_str(),
        node: node.name.as_str(),
        initiator: node.initiator.as_deref(),
        portals,
        lun: disk.lun,
        target: &disk.target,
        chap: disk.chap.as_ref().filter(|_| with_secret).map(|chap| Credentials {
            initiator: (&chap.user, chap.secret.expose()),
            target: chap.mutual.as_ref().map(|(user, secret)| (user.as_str(), secret.expose())),
        }),
    }
}

/// What is served on a listener for boot scripts.
pub fn router(control: Control) -> Router {
    Router::new()
        .route("/boot.ipxe", get(entry))
        .route("/boot", get(by_query))
        .route("/boot/{mac}", get(by_mac))
        .route("/boot/{project}/{node}", get(by_name))
        .layer(axum::middleware::from_fn_with_state(control.clone(), guard))
        .with_state(control)
}

/// Where a request comes from.
#[derive(Clone, Copy)]
struct Asker {
    address: SocketAddr,
    /// A script may be given out, and not only be looked at (HEAD).
    takes: bool,
}

/// Refuses who is not to ask, or asks too often; everybody else has an answer in time.
async fn guard(State(control): State<Control>, mut request: Request, next: Next) -> Response {
    let boot = &control.boot.0;
    let Some(address) = request.extensions().get::<Peer>().and_then(Peer::address) else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let networks = &boot.options.addresses;
    let inside = |network: &(IpAddr, u8)| network_holds(*network, address.ip());
    if !networks.is_empty() && !networks.iter().any(inside) {
        if let Some(left_out) = boot.refusals.take(network(address.ip())) {
            tracing::warn!(
                %address, "asked for a boot script, from outside [boot] addresses{left_out}"
            );
        }
        return StatusCode::FORBIDDEN.into_response();
    }
    if !boot.rate.admits(network(address.ip()), Instant::now()) {
        let later = [(header::RETRY_AFTER, HeaderValue::from_static("5"))];
        return (StatusCode::TOO_MANY_REQUESTS, later).into_response();
    }
    let takes = request.method() == Method::GET;
    request.extensions_mut().insert(Asker { address, takes });
    tokio::time::timeout(PATIENCE, next.run(request))
        .await
        .unwrap_or_else(|_| StatusCode::SERVICE_UNAVAILABLE.into_response())
}

async fn entry(State(control): State<Control>, Extension(asker): Extension<Asker>) -> Response {
    match control.boot.0.templates.entry() {
        Ok(script) => plain_text(script),
        Err(error) => failed(&control, asker, &error),
    }
}

async fn by_query(
    State(control): State<Control>,
    Extension(asker): Extension<Asker>,
    RawQuery(query): RawQuery,
) -> Response {
    let machine = Machine::of_query(query.as_deref().unwrap_or_default());
    answer(&control, asker, &machine, "boot.ipxe", None).await
}

async fn by_mac(
    State(control): State<Control>,
    Extension(asker): Extension<Asker>,
    Path(mac): Path<String>,
) -> Response {
    let machine = Machine::of_mac(&mac);
    answer(&control, asker, &machine, "../boot.ipxe", None).await
}

async fn by_name(
    State(control): State<Control>,
    Extension(asker): Extension<Asker>,
    Path((project, node)): Path<(String, String)>,
) -> Response {
    let machine = Machine::default();
    let named = Name::project(&project).and_then(|project| Ok((project, Name::node(&node)?)));
    match named {
        Ok(named) => answer(&control, asker, &machine, "../../boot.ipxe", Some(named)).await,
        Err(_) => {
            let why = Refusal::machine("no node can have this name");
            refused(&control, asker, &machine, "../../boot.ipxe", &why)
        }
    }
}

/// A script in any case: its own, or one that says what is wrong.
async fn answer(
    control: &Control,
    asker: Asker,
    machine: &Machine,
    entry: &str,
    named: Option<(Name, Name)>,
) -> Response {
    match own_script(control, asker, machine, named).await {
        Ok(script) => plain_text(script),
        Err(why) => refused(control, asker, machine, entry, &why),
    }
}

fn delivered(
    control: &Control,
    asker: Asker,
    machine: &Machine,
    node: &Node,
    disk: &Disk,
    secret: bool,
) {
    let counts = &control.boot.0.counts;
    counts.delivered.fetch_add(1, Ordering::Relaxed);
    counts.secrets.fetch_add(u64::from(secret), Ordering::Relaxed);
    let (project, name) = (&node.project, &node.name);
    // A secret that is handed out once is told of in any case: to whom it went is what counts.
    let per_node = disk.chap_per_node.as_ref().filter(|_| secret);
    let once = per_node.is_some_and(|it| it.delivery == Delivery::Once);
    let of = || (project.clone(), name.clone(), network(asker.address.ip()));
    let left_out = if once { Some(LeftOut(0)) } else { control.boot.0.told.take(of()) };
    let Some(left_out) = left_out else { return };
    let firmware = plain(&machine.platform, SHOWN_CHARS_MAX);
    tracing::info!(
        %project, node = %name, address = %asker.address.ip(), mac = machine.mac(), firmware, secret,
        "a machine has its boot script{left_out}"
    );
    let event = Event {
        project: Some(project.to_string()),
        object: Some(name.to_string()),
        disk: Some(disk.name.to_string()),
        mac: machine.macs.first().cloned(),
        address: Some(asker.address.ip().to_string()),
        secret: Some(secret),
        ..Event::default()
    };
    match once {
        true => control.events.boot("boot.delivered", event),
        false => control.events.boot_of_anybody("boot.delivered", event),
    }
}

fn refused(
    control: &Control,
    asker: Asker,
    machine: &Machine,
    entry: &str,
    why: &Refusal,
) -> Response {
    let boot = &control.boot.0;
    boot.counts.refused.fetch_add(1, Ordering::Relaxed);
    let reason = &why.reason;
    if let Some(left_out) = boot.refusals.take(network(asker.address.ip())) {
        let shown = |text: &str| plain(text, SHOWN_CHARS_MAX);
        tracing::warn!(
            address = %asker.address.ip(), mac = machine.mac(), uuid = shown(&machine.uuid),
            serial = shown(&machine.serial), error = why.error.as_deref(),
            "a machine has no boot script: {reason}{left_out}"
        );
        let event = Event {
            project: why.node.as_ref().map(|node| node.project.to_string()),
            object: why.node.as_ref().map(|node| node.name.to_string()),
            mac: machine.macs.first().cloned(),
            address: Some(asker.address.ip().to_string()),
            reason: Some(reason.clone()),
            ..Event::default()
        };
        control.events.boot_of_anybody("boot.refused", event);
    }
    match boot.templates.refused(reason, boot.options.retry, entry) {
        Ok(script) => plain_text(script),
        Err(error) => failed(control, asker, &error),
    }
}

fn plain_text(script: String) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (headers, script).into_response()
}

fn failed(control: &Control, asker: Asker, error: &boot::Error) -> Response {
    let address = asker.address.ip();
    if let Some(left_out) = control.boot.0.refusals.take(network(address)) {
        tracing::error!(%address, %error, "a boot script cannot be made{left_out}");
    }
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
