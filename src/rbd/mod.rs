//! librados and librbd, loaded at run time; the one room with `unsafe`.
//!
//! Nothing here is linked: [`Cluster::connect`] loads the libraries the first time, so that one
//! binary also runs on a machine without Ceph. Everything that leaves this room is safe: handles
//! are closed once, after the last operation on them, and memory given to librbd stays where it
//! is until librbd has called back.
//!
//! All calls block, but for the data path ([`Image::submit`]) and dropping: what a dropped handle
//! still has to do runs on threads of its own (`closer`).

mod ancestors;
mod closer;
mod cluster;
mod completion;
mod encryption;
mod error;
mod extents;
mod ffi;
mod header;
mod image;
mod lease;
mod lineage;
mod lock;
mod metadata;
mod object;
mod parent;
mod pool;
mod standing;
mod watch;

pub use closer::wait_closed;
pub use cluster::{Cluster, RBD_OPTIONS};
pub use encryption::LuksFormat;
pub use error::Error;
pub use image::{Access, Image, Settled, Stat};
pub use lease::Marks;
pub use parent::{Parent, SnapshotKey};
pub use pool::Pool;
