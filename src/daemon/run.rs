//! `stirrupd run`: the daemon.

use std::sync::Arc;

use super::exports::Exports;
use super::{Failure, Signals, runtime, schedule, settings};
use crate::backend::Store;
use crate::backend::local::{self, LocalStore};
use crate::backend::on_demand::OnDemand;
use crate::backend::pool::Pool;
use crate::backend::rbd::{self, RbdStore};
use crate::cache::Cache;
use crate::catalog::{Catalog, Stores};
use crate::config::args::RunArgs;
use crate::config::{self, Config, DefaultStore, Loaded, RbdEncryption};
use crate::control::listener::Listener;
use crate::control::server::{self, Service};
use crate::control::socket::ControlSocket;
use crate::control::{self, AuditLog, Control, Limits};
use crate::rbd::LuksFormat;
use crate::target::Server;
use crate::telemetry;

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
    let Some(rbd) = &config.rbd else { return Ok((stores, None)) };
    let (store, cache) = open_rbd(config, rbd, &pool)?;
    stores.insert(name(DefaultStore::Rbd), store);
    Ok((stores, cache))
}

/// The Ceph store behind its cache; `pool` does the I/O of the cache's file.
fn open_rbd(
    config: &Config,
    rbd_config: &config::RbdStore,
    pool: &Arc<Pool>,
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
    let cache = settings::cache(config, pool).map_err(|error| {
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
    let mut signals = Signals::listen()?;
    let mut target = Server::start(settings::target(config)).map_err(Failure::runtime)?;
    let exports = Arc::new(Exports::new(target.handle(), cache));
    let catalog = Catalog::open(
        &config.state_dir,
        stores,
        Arc::clone(&exports) as _,
        settings::catalog(config),
    )
    .map_err(|error| Failure::runtime(format!("catalog: {error}")))?;
    let audit = AuditLog::open(&config.state_dir).map_err(Failure::runtime)?;
    let delegate = settings::delegate(&config.control).map_err(Failure::runtime)?;
    let socket = ControlSocket::bind(&config.control.socket).map_err(Failure::runtime)?;
    let mut listeners = vec![Listener::Unix(socket)];
    listeners.extend(settings::control_listeners(&config.control).map_err(Failure::runtime)?);
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
        limits: Limits::default(),
    };
    let router = control::router(control);
    let service =
        |listener| Service { listener, router: router.clone(), limits: Limits::default() };
    let services = listeners.into_iter().map(service).collect();
    let stop = async {
        let signal = signals.wait().await;
        tracing::info!("{signal}: stopping");
        notify(&[sd_notify::NotifyState::Stopping]);
    };
    server::serve(services, stop).await;
    catalog.stop().await;
    super::stop(target).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Tells systemd, if it wants to be told.
fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}
