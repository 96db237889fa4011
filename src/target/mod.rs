//! Portals, shards, the connection driver, access control and the target registry: where the
//! sans-I/O cores meet sockets, clocks and volumes.

mod spec;

pub use spec::{Access, Chap, Lun, TargetSpec};
