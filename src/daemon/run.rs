//! `stirrupd run`: the daemon.

use std::sync::Arc;

use super::exports::Exports;
use super::{Failure, Signals, runtime, settings};
use crate::backend::Store;
use crate::backend::local::{self, LocalStore};
use crate::backend::pool::Pool;
use crate::backend::rbd::{self, RbdStore};
use crate::catalog::{Catalog, Stores};
use crate::config::args::RunArgs;
use crate::config::{Config, DefaultStore, Loaded};
use crate::control::server;
use crate::control::socket::ControlSocket;
use crate::control::{AuditLog, Control, Limits};
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
    let stores = open_stores(&config)?;
    let runtime = runtime()?;
    let result = runtime.block_on(serve(&config, stores));
    // A blocking call that hangs in a store must not keep the process from ending.
    runtime.shutdown_background();
    result
}

fn open_stores(config: &Config) -> Result<Stores, Failure> {
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
    if let Some(rbd) = &config.rbd {
        let options = rbd::Options {
            namespace: rbd.namespace.clone(),
            conf: Some(rbd.ceph_conf.clone()),
            user: rbd.ceph_user.clone(),
            ..rbd::Options::new(rbd.pool.clone())
        };
        let store = RbdStore::open_patiently(options)
            .map_err(|error| Failure::runtime(format!("store rbd: {error}")))?;
        stores.insert(name(DefaultStore::Rbd), Arc::new(store));
    }
    Ok(stores)
}

/// The order matters: the catalog is loaded and every target known before anything listens, and
/// whatever was announced last is withdrawn first.
async fn serve(config: &Config, stores: Stores) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let mut target = Server::start(settings::target(config)).map_err(Failure::runtime)?;
    let exports = Arc::new(Exports::new(target.handle()));
    let catalog = Catalog::open(
        &config.state_dir,
        stores,
        Arc::clone(&exports) as _,
        settings::catalog(config),
    )
    .map_err(|error| Failure::runtime(format!("catalog: {error}")))?;
    let audit = AuditLog::open(&config.state_dir).map_err(Failure::runtime)?;
    let socket = ControlSocket::bind(&config.control.socket).map_err(Failure::runtime)?;
    let groups = target.listen_in(settings::portal_groups(config)).map_err(Failure::runtime)?;
    catalog.start().map_err(|error| Failure::runtime(format!("catalog: {error}")))?;
    for group in groups {
        for portal in &group.portals {
            tracing::info!(%portal, portal_group = group.tag, "serving iSCSI");
        }
    }
    tracing::info!(socket = %config.control.socket.display(), "serving the control API");
    notify(&[sd_notify::NotifyState::Ready]);
    let control = Control {
        catalog: catalog.clone(),
        data_path: exports,
        local_roles: settings::local_roles(&config.control),
        audit,
        limits: Limits::default(),
    };
    let stop = async {
        let signal = signals.wait().await;
        tracing::info!("{signal}: stopping");
        notify(&[sd_notify::NotifyState::Stopping]);
    };
    server::serve(socket, control, stop).await;
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
