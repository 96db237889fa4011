//! A target of the test's own: two logical units in memory whose answers can be held up.

use std::net::SocketAddr;
use std::sync::Arc;

use stirrup::block::Volume;
use stirrup::target::{Access, Chap, Handle, Lun, Options, PortalGroup, Server, TargetSpec};
use tokio::runtime::Runtime;

use crate::login::Login;
use crate::session::Session;
use crate::support::HANG;
use crate::support::gated::Gated;
use crate::support::raw::Wire;

/// The target that every lab has.
pub(crate) const TARGET: &str = "iqn.2026-11.test:disk";
pub(crate) const OTHER_TARGET: &str = "iqn.2026-11.test:other";
/// One that wants CHAP, with these credentials.
pub(crate) const CHAP_TARGET: &str = "iqn.2026-11.test:chap";
pub(crate) const USER: &str = "user";
pub(crate) const SECRET: &str = "secret of the initiator";
pub(crate) const TARGET_USER: &str = "target";
pub(crate) const TARGET_SECRET: &str = "secret of the target";

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const VOLUME_BYTES: u64 = 64 * MIB;
pub(crate) const BLOCK: usize = 512;

pub(crate) struct Lab {
    pub(crate) runtime: Runtime,
    server: Option<Server>,
    pub(crate) handle: Handle,
    pub(crate) portal: SocketAddr,
    pub(crate) groups: Vec<Arc<PortalGroup>>,
    /// Behind LUN 0 and LUN 1 of [`TARGET`].
    pub(crate) volumes: [Arc<Gated>; 2],
}

/// Options for a small target: one shard, so that what one session has seen answered, another
/// cannot have missed.
pub(crate) fn options() -> Options {
    Options { shards: 1, shard_buffer_bytes: 64 << 20, ..Options::default() }
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(options())
    }

    pub(crate) fn with(options: Options) -> Self {
        Self::in_groups(options, vec![PortalGroup::open(1, &["127.0.0.1:0".parse().unwrap()])])
    }

    /// With portals in these groups.
    pub(crate) fn in_groups(options: Options, groups: Vec<PortalGroup>) -> Self {
        Self::around([Gated::new(VOLUME_BYTES), Gated::new(VOLUME_BYTES)], options, groups)
    }

    /// The target ends and comes back with the same volumes.
    pub(crate) fn restart(self) -> Self {
        let volumes = self.volumes.clone();
        drop(self);
        let group = PortalGroup::open(1, &["127.0.0.1:0".parse().unwrap()]);
        Self::around(volumes, options(), vec![group])
    }

    fn around(volumes: [Arc<Gated>; 2], options: Options, groups: Vec<PortalGroup>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (server, groups) = runtime.block_on(async {
            let mut server = Server::start(options).unwrap();
            let groups = server.listen_in(groups).unwrap();
            (server, groups)
        });
        let lab = Self {
            handle: server.handle(),
            runtime,
            server: Some(server),
            portal: groups[0].portals[0],
            groups,
            volumes,
        };
        lab.publish(TARGET, lab.luns(), Access::default());
        lab
    }

    /// The logical units of [`TARGET`].
    pub(crate) fn luns(&self) -> Vec<Lun> {
        let volume = |i: usize| -> Arc<dyn Volume> { self.volumes[i].clone() };
        vec![lun(0, "first", volume(0)), lun(1, "second", volume(1))]
    }

    pub(crate) fn publish(&self, name: &str, luns: Vec<Lun>, access: Access) {
        self.handle.publish(TargetSpec { name: name.into(), luns, access });
    }

    /// A target with one small logical unit.
    pub(crate) fn publish_small(&self, name: &str, access: Access) {
        let identity = format!("id of {name}");
        self.publish(name, vec![lun(0, &identity, Gated::new(MIB))], access);
    }

    /// [`CHAP_TARGET`], one-way or mutual.
    pub(crate) fn publish_chap(&self, mutual: bool) {
        let mutual = mutual.then(|| (TARGET_USER.to_owned(), TARGET_SECRET.to_owned().into()));
        let chap = Chap { user: USER.into(), secret: SECRET.to_owned().into(), mutual };
        self.publish_small(CHAP_TARGET, Access { chap: Some(chap), ..Access::default() });
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.portal)
    }

    /// A login to [`TARGET`].
    pub(crate) fn login(&self) -> Login {
        Login::normal(self.portal, TARGET)
    }

    /// A session that has heard its unit attentions.
    pub(crate) fn session(&self) -> Session {
        self.session_with(&[])
    }

    /// The same with these keys negotiated.
    pub(crate) fn session_with(&self, keys: &[(&str, &str)]) -> Session {
        let mut login = self.login();
        for (key, value) in keys {
            login = login.key(key, value);
        }
        login.session().ready()
    }

    /// Another initiator's session, ready.
    pub(crate) fn neighbour(&self) -> Session {
        let mut login = self.login();
        login.initiator = "iqn.2026-11.test:neighbour".into();
        login.session().ready()
    }

    pub(crate) fn discovery(&self) -> Session {
        Login::discovery(self.portal).session()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for volume in &self.volumes {
            volume.release();
        }
        if let Some(server) = self.server.take() {
            assert!(self.runtime.block_on(server.stop(HANG)) || std::thread::panicking());
        }
    }
}

pub(crate) fn lun(number: u16, identity: &str, volume: Arc<dyn Volume>) -> Lun {
    Lun {
        number,
        volume: Some(volume),
        identity: identity.into(),
        block_bytes: BLOCK as u32,
        read_only: false,
        limits: stirrup::block::Limits::default(),
    }
}

/// Bytes that tell where they belong.
pub(crate) fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| (i as u8).wrapping_mul(31).wrapping_add((i >> 8) as u8) ^ seed).collect()
}
