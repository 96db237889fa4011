//! `stirrupd run`: the daemon.

use std::io;
use std::sync::Arc;

use axum::Router;

use super::exports::{Exports, Sessions};
use super::{Failure, Signals, runtime, schedule, settings};
use crate::backend::Store;
use crate::backend::files::Files;
use crate::backend::local::{self, LocalStore};
use crate::backend::on_demand::OnDemand;
use crate::backend::pool::Pool;
use crate::backend::rbd::{self, RbdStore};
use crate::cache::Cache;
use crate::catalog::state::RedbState;
use crate::catalog::{self, Catalog, Exporter, Stores, WatchedState};
use crate::config::args::RunArgs;
use crate::config::{self, Config, DefaultStore, Loaded, RbdEncryption};
use crate::control::compat::tgt::{self, TgtSocket};
use crate::control::compat::{Door, picasso, smart_proxy};
use crate::control::listener::Listener;
use crate::control::server::{self, Service};
use crate::control::socket::ControlSocket;
use crate::control::{self, AuditLog, BootScripts, Control, Events, Limits};
use crate::rbd::LuksFormat;
use crate::target::Server;
use crate::telemetry;
use tokio::sync::watch;

/// Runs until a signal comes.
pub(super) fn run(args: &RunArgs) -> Result<(), Failure> {
    let Loaded { config, warnings } = Config::load(&args.config).map_err(Failure::usage)?;
    telemetry::init(settings::log_format(&config.log), &config.log.level)
        .map_err(Failure::usage)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    schedule();
    let (stores, cache) = open_stores(&config)?;
    let runtime = runtime()?;
    let result = runtime.block_on(serve(&config, stores, cache));
    // A blocking call that hangs in a store must not keep the process from ending.
    runtime.shutdown_background();
    result
}

/// What holds the disks, and the cache in front of it, if there is one.
type Opened<S> = (S, Option<Arc<Cache>>);

fn open_stores(config: &Config) -> Result<Opened<Stores>, Failure> {
    let mut stores = Stores::new();
    let threads = match config.local.io_threads {
        0 => Pool::threads_default(),
        threads => threads,
    };
    let pool = Pool::start(threads).map_err(Failure::runtime)?;
    let options = local::Options { write_cache: config.local.write_cache };
    let local = LocalStore::open(&config.local.directory, options, &pool)
        .map_err(|error| Failure::runtime(format!("store local: {error}")))?;
    let name = |store| settings::store_name(store).to_owned();
    stores.insert(name(DefaultStore::Local), Arc::new(local) as Arc<dyn Store>);
    if let Some(tgt) = &config.compat.tgt {
        let files = Files::new(tgt.directories.clone(), &pool);
        stores.insert(tgt::FILES.to_owned(), Arc::new(files));
    }
    let Some(rbd) = &config.rbd else { return Ok((stores, None)) };
    let (store, cache) = open_rbd(config, rbd)?;
    stores.insert(name(DefaultStore::Rbd), store);
    Ok((stores, cache))
}

/// The Ceph store behind its cache.
fn open_rbd(
    config: &Config,
    rbd_config: &config::RbdStore,
) -> Result<Opened<Arc<dyn Store>>, Failure> {
    let options = rbd::Options {
        namespace: rbd_config.namespace.clone(),
        conf: Some(rbd_config.ceph_conf.clone()),
        user: rbd_config.ceph_user.clone(),
        clients: rbd_config.clients,
        encryption: encryption(rbd_config)?,
        ..rbd::Options::new(rbd_config.pool.clone())
    };
    let store = RbdStore::open_patiently(options)
        .map_err(|error| Failure::runtime(format!("store rbd: {error}")))?;
    let cache = settings::cache(config).map_err(|error| {
        let directory = config.cache.golden_file_directory.display();
        Failure::runtime(format!("cache: no file in {directory}: {error}"))
    })?;
    let store = match &cache {
        Some(cache) => {
            let prefetch = settings::prefetch(config).map_err(Failure::runtime)?;
            store.with_cache(Arc::clone(cache)).with_prefetch(prefetch)
        }
        None => store,
    };
    let store: Arc<dyn Store> = match rbd_config.idle_close {
        None => Arc::new(store),
        idle => Arc::new(OnDemand::new(Arc::new(store), idle)),
    };
    Ok((store, cache))
}

fn encryption(config: &config::RbdStore) -> Result<rbd::Encryption, Failure> {
    let invalid = |message: String| Failure::runtime(format!("store rbd: {message}"));
    let format = match config.encryption {
        RbdEncryption::None => None,
        RbdEncryption::Luks1 => Some(LuksFormat::Luks1),
        RbdEncryption::Luks2 => Some(LuksFormat::Luks2),
    };
    let file = config.passphrase_file.as_deref();
    let passphrase = file.map(rbd::Passphrase::read).transpose().map_err(invalid)?;
    if format.is_some() && passphrase.is_none() {
        return Err(invalid("`encryption` needs `passphrase_file`".into()));
    }
    Ok(rbd::Encryption { format, passphrase })
}

/// The order matters: the catalog is loaded and every target known before anything listens, and
/// whatever was announced last is withdrawn first.
async fn serve(config: &Config, stores: Stores, cache: Option<Arc<Cache>>) -> Result<(), Failure> {
    let templates = settings::boot_templates(config).map_err(Failure::usage)?;
    let mut signals = Signals::listen()?;
    let events = Events::new();
    let sessions = Arc::new(Sessions(events.clone()));
    let mut target = Server::start_watched(settings::target(config), Some(sessions))
        .map_err(Failure::runtime)?;
    let exports = Arc::new(Exports::new(target.handle(), cache, events.clone()));
    let catalog = open_catalog(config, stores, Arc::clone(&exports) as _, &events)?;
    let audit = AuditLog::open(&config.state_dir).map_err(Failure::runtime)?;
    let delegate = settings::delegate(&config.control).map_err(Failure::runtime)?;
    let socket = ControlSocket::bind(&config.control.socket).map_err(Failure::runtime)?;
    let tgt = open_tgt(config)?;
    let mut listeners = vec![Listener::Unix(socket)];
    listeners.extend(settings::control_listeners(&config.control).map_err(Failure::runtime)?);
    let boot_listeners = config.boot.listen.iter().map(|address| Listener::tcp(*address));
    let boot_listeners =
        boot_listeners.collect::<io::Result<Vec<_>>>().map_err(Failure::runtime)?;
    let groups = target.listen_in(settings::portal_groups(config)).map_err(Failure::runtime)?;
    catalog.start().map_err(|error| Failure::runtime(format!("catalog: {error}")))?;
    for group in groups {
        for portal in &group.portals {
            tracing::info!(%portal, portal_group = group.tag, "serving iSCSI");
        }
    }
    tracing::info!(socket = %config.control.socket.display(), "serving the control API");
    for address in listeners.iter().filter_map(Listener::address) {
        tracing::info!(%address, "serving the control API over TLS");
    }
    notify(&[sd_notify::NotifyState::Ready]);
    let control = Control {
        catalog: catalog.clone(),
        data_path: exports,
        local_roles: settings::local_roles(&config.control),
        delegate,
        audit,
        events: events.clone(),
        boot: BootScripts::new(templates, settings::boot(&config.boot)),
        limits: Limits::default(),
    };
    let service = |listener, router: &Router| Service {
        listener,
        router: router.clone(),
        limits: Limits::default(),
    };
    let boot_router = control::boot::router(control.clone());
    let router = control::router(control.clone());
    let of_control = listeners.into_iter().map(|listener| service(listener, &router));
    let of_boot = boot_listeners.into_iter().map(|listener| service(listener, &boot_router));
    let mut services: Vec<Service> = of_control.chain(of_boot).collect();
    services.extend(doors(config, &control)?);
    let stop = async {
        let signal = signals.wait().await;
        events.close();
        tracing::info!("{signal}: stopping");
        notify(&[sd_notify::NotifyState::Stopping]);
    };
    let (stopping, stopped) = watch::channel(false);
    let tgt = tgt.map(|(socket, settings)| {
        let control = control.clone();
        tokio::spawn(async move {
            let mut stopped = stopped;
            // A sender that is gone says the same.
            let stopped = async { drop(stopped.wait_for(|stopped| *stopped).await) };
            tgt::serve(socket, control, settings, stopped).await;
        })
    });
    server::serve(services, stop).await;
    stopping.send_replace(true);
    if let Some(tgt) = tgt {
        tgt.await.map_err(Failure::runtime)?;
    }
    catalog.stop().await;
    super::stop(target).await?;
    tracing::info!("stopped");
    Ok(())
}

fn open_catalog(
    config: &Config,
    stores: Stores,
    exporter: Arc<dyn Exporter>,
    events: &Events,
) -> Result<Catalog, Failure> {
    let failed = |error: catalog::Error| Failure::runtime(format!("catalog: {error}"));
    let state = RedbState::open(&config.state_dir).map_err(|error| failed(error.into()))?;
    let state = WatchedState::new(Arc::new(state), Arc::new(events.clone()));
    Catalog::over(Arc::new(state), stores, exporter, settings::catalog(config)).map_err(failed)
}

/// The doors for clients of other software that the configuration asks for, but for tgtd's.
fn doors(config: &Config, control: &Control) -> Result<Vec<Service>, Failure> {
    let listeners = settings::door_listeners(&config.compat).map_err(Failure::runtime)?;
    let service = |(door, listener): (Door, Listener)| {
        let address = listener.address().map(|address| address.to_string());
        tracing::info!(address, "serving {door}");
        let router = match door {
            Door::Picasso => picasso::router(control.clone()),
            Door::SmartProxy => smart_proxy::router(control.clone()),
        };
        Service { listener, router, limits: Limits::default() }
    };
    Ok(listeners.into_iter().map(service).collect())
}

/// The socket of tgtd, if the configuration asks for it.
fn open_tgt(config: &Config) -> Result<Option<(TgtSocket, tgt::Settings)>, Failure> {
    let Some(tgt) = &config.compat.tgt else { return Ok(None) };
    let pool = config.rbd.as_ref().map(|rbd| rbd.pool.clone());
    let settings = tgt::Settings::new(&tgt.project, pool)
        .map_err(|error| Failure::usage(format!("compat.tgt: {error}")))?;
    let socket = TgtSocket::bind(&tgt.socket)
        .map_err(|error| Failure::runtime(format!("compat.tgt: {error}")))?;
    tracing::info!(socket = %tgt.socket.display(), "serving tgtadm");
    Ok(Some((socket, settings)))
}

/// Tells systemd, if it wants to be told.
fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}
