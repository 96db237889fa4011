//! Portals, shards, the connection driver, access control and the target registry: where the
//! sans-I/O cores meet sockets, clocks and volumes.
//!
//! [`Server`] binds the portals and starts the shards; [`Handle`] is how the control plane
//! publishes and withdraws targets. An accepted connection goes to the shard with the fewest and
//! stays there: one task drives it through login (`connection::login`) and the full feature phase
//! (`connection::driver`), with everything it needs (session, data, commands) owned by that task.

mod access;
mod background;
mod backing;
mod budget;
mod connection;
mod meter;
mod options;
pub(crate) mod places;
mod portal;
mod registry;
mod server;
mod session;
mod shard;
mod spec;
mod task_set;

pub(crate) use access::contains as network_holds;
pub use meter::{Latency, SessionPace};
pub use options::Options;
pub use portal::PortalGroup;
pub use server::{
    Handle, LunStatus, PortalError, Server, SessionStatus, SessionWatcher, TargetStatus,
};
pub use spec::{Access, Chap, Initiators, Lun, Redirect, TargetSpec};
