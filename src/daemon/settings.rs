//! The configuration in the terms of each room.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::backend::rbd::Prefetch;
use crate::boot::{TemplateError, Templates};
use crate::cache::{self, Cache, profile};
use crate::catalog::{Role, UnnamedAccess};
use crate::config::{self, BootIdentity, BootSecrets, Config, Digest};
use crate::control::authenticate::{Authenticator, Delegation, Hil, Keystone};
use crate::control::boot::{Identity, Secrets};
use crate::control::compat::Door;
use crate::control::listener::Listener;
use crate::control::{BootOptions, LocalRoles};
use crate::iscsi::login::{self, ChapAlgorithm, DigestPolicy};
use crate::target::{Chap, Initiators, Options, PortalGroup};
use crate::tls::{self, ClientCertificates, ServerFiles};
use crate::{catalog, telemetry};

pub(super) fn log_format(log: &config::Log) -> telemetry::Format {
    match log.format {
        config::LogFormat::Human => telemetry::Format::Human,
        config::LogFormat::Json => telemetry::Format::Json,
    }
}

/// The cache of the Ceph store, if there is anything to be kept in it.
pub(super) fn cache(config: &Config) -> std::io::Result<Option<Arc<Cache>>> {
    let config::Cache {
        golden_memory_bytes,
        golden_file_bytes,
        golden_file_directory: directory,
        disk_memory_bytes,
    } = &config.cache;
    let options =
        cache::Options { golden_bytes: *golden_memory_bytes, disk_bytes: *disk_memory_bytes };
    if options.golden_bytes == 0 && options.disk_bytes == 0 {
        return Ok(None);
    }
    if options.golden_bytes == 0 || *golden_file_bytes == 0 {
        return Ok(Some(Cache::new(options)));
    }
    Cache::with_file(options, directory, *golden_file_bytes).map(Some)
}

/// What is fetched into that cache ahead.
///
/// # Errors
/// When there can be no thread for it.
pub(super) fn prefetch(config: &Config) -> std::io::Result<Arc<Prefetch>> {
    let prefetch = &config.prefetch;
    let options =
        profile::Options { learn_for: prefetch.boot, prefetch_bytes: prefetch.boot_bytes };
    // Without a cache of golden images there is nowhere to fetch to.
    let profiles = prefetch.boot_profiles && config.cache.golden_memory_bytes > 0;
    Prefetch::start(prefetch.readahead, profiles.then_some(options))
}

pub(super) fn target(config: &Config) -> Options {
    let shards = match config.target.shards {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        shards => shards,
    };
    let memory = usize::try_from(config.limits.buffer_memory_bytes).unwrap_or(usize::MAX);
    Options {
        shards,
        login: login_limits(config),
        login_timeout: config.limits.login_timeout,
        half_open_max: config.limits.half_open_connections_max,
        sessions_max: config.limits.sessions_max,
        shard_buffer_bytes: memory / shards,
        ping_interval: config.limits.nop_in_interval,
        ping_timeout: config.limits.nop_in_timeout,
        data_timeout: config.limits.data_out_timeout,
        keepalive_idle: config.limits.tcp_keepalive,
        look_max: config.target.look_max,
        nap_max: config.target.nap_max,
        ..Options::default()
    }
}

/// The portal groups: the one of `[target]`, or those that have tables of their own.
pub(super) fn portal_groups(config: &Config) -> Vec<PortalGroup> {
    let chap = |own: Option<&config::Chap>| {
        own.or(config.discovery.as_ref()).map(|chap| Chap {
            user: chap.user.clone(),
            secret: chap.secret.clone(),
            mutual: None,
        })
    };
    if config.portal_groups.is_empty() {
        let target = &config.target;
        return vec![PortalGroup {
            advertise: target.advertise.clone(),
            discovery_chap: chap(None),
            ..PortalGroup::open(target.portal_group_tag, &target.portals)
        }];
    }
    let group = |group: &config::PortalGroup| PortalGroup {
        tag: group.tag,
        portals: group.portals.clone(),
        advertise: group.advertise.clone(),
        initiators: match group.initiators.is_empty() {
            true => Initiators::Any,
            false => Initiators::Listed(group.initiators.clone()),
        },
        addresses: group.addresses.clone(),
        discovery_chap: chap(group.discovery.as_ref()),
    };
    config.portal_groups.iter().map(group).collect()
}

fn login_limits(config: &Config) -> login::Limits {
    let iscsi = &config.iscsi;
    login::Limits {
        max_recv_data_segment_length: iscsi.max_recv_data_segment_bytes,
        max_burst_length: iscsi.max_burst_bytes,
        first_burst_length: iscsi.first_burst_bytes,
        max_outstanding_r2t: u16::try_from(iscsi.max_outstanding_r2t).unwrap_or(u16::MAX),
        max_connections: u16::try_from(iscsi.max_connections).unwrap_or(1),
        error_recovery_level: u8::try_from(iscsi.error_recovery_level).unwrap_or(0),
        header_digest: digest_policy(&iscsi.header_digest),
        data_digest: digest_policy(&iscsi.data_digest),
        chap_algorithms: iscsi.chap_algorithms.iter().map(chap_algorithm).collect(),
        command_window: config.limits.command_window,
        ..login::Limits::default()
    }
}

fn chap_algorithm(algorithm: &config::ChapAlgorithm) -> ChapAlgorithm {
    match algorithm {
        config::ChapAlgorithm::Md5 => ChapAlgorithm::Md5,
        config::ChapAlgorithm::Sha1 => ChapAlgorithm::Sha1,
        config::ChapAlgorithm::Sha256 => ChapAlgorithm::Sha256,
        config::ChapAlgorithm::Sha3_256 => ChapAlgorithm::Sha3_256,
    }
}

fn digest_policy(allowed: &[Digest]) -> DigestPolicy {
    match (allowed.contains(&Digest::None), allowed.contains(&Digest::Crc32c)) {
        (true, true) => DigestPolicy::Optional,
        (false, true) => DigestPolicy::Required,
        (_, false) => DigestPolicy::Off,
    }
}

/// Who may do what on the control socket. Of two roles the greater one counts.
pub(super) fn local_roles(control: &config::Control) -> LocalRoles {
    let ranked = |lists: &[(&[u32], Role)]| {
        let each = lists.iter().flat_map(|(ids, role)| ids.iter().map(|id| (*id, *role)));
        each.collect()
    };
    LocalRoles {
        users: ranked(&[
            (&control.reader_uids, Role::Reader),
            (&control.operator_uids, Role::Operator),
            (&control.allowed_uids, Role::Admin),
        ]),
        groups: ranked(&[
            (&control.reader_gids, Role::Reader),
            (&control.operator_gids, Role::Operator),
        ]),
    }
}

/// Where the control API is served besides its socket.
///
/// # Errors
/// One line: a file is no good, or an address is taken.
pub(super) fn control_listeners(control: &config::Control) -> Result<Vec<Listener>, String> {
    let Some(tls) = &control.tls else { return Ok(Vec::new()) };
    let files = ServerFiles {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        client_ca: Some(tls.client_ca.clone()),
        crl: tls.client_crl.clone(),
    };
    let server = tls::Server::load(files, ClientCertificates::Required);
    let server = Arc::new(server.map_err(|error| format!("[control.tls]: {error}"))?);
    let listener = |address: &SocketAddr| Listener::tls(*address, Arc::clone(&server));
    let listeners = tls.listen.iter().map(listener).collect::<std::io::Result<_>>();
    listeners.map_err(|error| format!("[control.tls]: {error}"))
}

/// Where the doors are that are on the network.
///
/// # Errors
/// One line: a file is no good, or an address is taken.
pub(super) fn door_listeners(compat: &config::Compat) -> Result<Vec<(Door, Listener)>, String> {
    let mut listeners = Vec::new();
    if let Some(address) = compat.picasso {
        let listener = Listener::tcp(address).map_err(|error| format!("compat.picasso: {error}"));
        listeners.push((Door::Picasso, listener?));
    }
    if let Some(proxy) = &compat.smart_proxy {
        let files = ServerFiles {
            certificate: proxy.certificate.clone(),
            key: proxy.key.clone(),
            client_ca: Some(proxy.client_ca.clone()),
            crl: proxy.client_crl.clone(),
        };
        // As a smart proxy has it: what is open to all needs none.
        let server = tls::Server::load(files, ClientCertificates::Wanted)
            .map_err(|error| format!("[compat.smart_proxy]: {error}"))?;
        let listener = Listener::tls(proxy.listen, Arc::new(server))
            .map_err(|error| format!("compat.smart_proxy: {error}"))?;
        listeners.push((Door::SmartProxy, listener));
    }
    Ok(listeners)
}

/// Who else is asked who a caller is.
///
/// # Errors
/// One line: the URL or a file is no good.
pub(super) fn delegate(
    control: &config::Control,
) -> Result<Option<Arc<dyn Authenticator>>, String> {
    let Some(delegate) = &control.delegate else { return Ok(None) };
    let Some(kind) = delegate.kind else { return Ok(None) };
    if delegate.url.starts_with("http://") {
        tracing::warn!(url = delegate.url, "credentials of users are passed on without TLS");
    }
    let delegation = Delegation {
        url: delegate.url.clone(),
        ca: delegate.ca.clone(),
        timeout: delegate.timeout,
        cache: delegate.cache,
    };
    let role = match delegate.role {
        config::DelegateRole::Reader => Role::Reader,
        config::DelegateRole::Operator => Role::Operator,
        config::DelegateRole::Admin => Role::Admin,
    };
    let made: Result<Arc<dyn Authenticator>, String> = match kind {
        config::DelegateKind::Hil => Hil::new(&delegation, role).map(|it| Arc::new(it) as _),
        config::DelegateKind::Keystone => {
            Keystone::new(&delegation, delegate.domain.clone()).map(|it| Arc::new(it) as _)
        }
    };
    made.map(Some).map_err(|error| format!("[control.delegate]: {error}"))
}

pub(super) fn catalog(config: &Config) -> catalog::Options {
    catalog::Options {
        target_prefix: config.target.iqn_prefix.clone(),
        default_store: store_name(config.default_store).to_owned(),
        unnamed_access: match config.target.unnamed_access_open {
            true => UnnamedAccess::Open,
            false => UnnamedAccess::Closed,
        },
        ..catalog::Options::default()
    }
}

/// The names of the stores in the API, as in the configuration file.
pub(super) fn store_name(store: config::DefaultStore) -> &'static str {
    match store {
        config::DefaultStore::Local => "local",
        config::DefaultStore::Rbd => "rbd",
    }
}

/// What boot scripts are made of.
///
/// # Errors
/// The first template that cannot be used, with its file and line.
pub(super) fn boot_templates(config: &Config) -> Result<Templates, TemplateError> {
    config.boot.templates.as_deref().map_or_else(|| Ok(Templates::default()), Templates::load)
}

/// Boot scripts over HTTP.
pub(super) fn boot(config: &config::Boot) -> BootOptions {
    let identity = |identity: &BootIdentity| match identity {
        BootIdentity::Mac => Identity::Mac,
        BootIdentity::Uuid => Identity::Uuid,
        BootIdentity::Serial => Identity::Serial,
        BootIdentity::Hostname => Identity::Hostname,
    };
    BootOptions {
        identify_by: config.identify_by.iter().map(identity).collect(),
        secrets: match config.chap_secrets {
            BootSecrets::PerNode => Secrets::PerNode,
            BootSecrets::All => Secrets::All,
            BootSecrets::Never => Secrets::Never,
        },
        addresses: config.addresses.clone(),
        retry: config.retry_unknown,
    }
}
