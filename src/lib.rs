//! Stirrup: a userspace iSCSI target that gives every bare-metal node its own copy-on-write
//! clone of a golden image, out of Ceph RBD or a local store.
//!
//! # The map of the house
//!
//! | room | what lives there | may import |
//! |---|---|---|
//! | [`iscsi`] | RFC 7143 as a sans-I/O core: PDUs, login, session | nothing of ours |
//! | [`scsi`] | SAM/SPC/SBC as a sans-I/O core: CDB and LU state in, block requests out | `block`'s request types |
//! | [`block`] | what stands behind a LUN: `Volume`, requests, completions, buffers | nothing of ours |
//! | [`rbd`] | librados and librbd, loaded at run time; the one room with `unsafe` | `block` |
//! | [`cache`] | golden images and disks kept near: what stands between the target and a far store | `block` |
//! | [`backend`] | volumes and stores: memory, null, file, local, rbd | `block`, `cache`, `rbd` |
//! | [`catalog`] | images, disks, nodes: the durable truth, its journal, its reconciliation | `backend`, `block`, `boot` |
//! | [`boot`] | iPXE scripts out of templates | nothing of ours |
//! | [`target`] | portals, shards, the connection driver, access control, the target registry | `iscsi`, `scsi`, `block` |
//! | [`tls`] | TLS: certificates, keys, names | nothing of ours |
//! | [`control`] | HTTP and JSON on the control socket and over TLS | `catalog`, `target`'s handle and its places, `boot`, `config`, `tls` |
//! | [`client`] | what the `stirrup` command does: a client of the control API | [`control::api`], the types of the calls; [`config`], for sizes and spelling; `tls` |
//! | [`config`], [`telemetry`] | the TOML file; logging | nothing of ours |
//! | [`daemon`] | the composition root: builds all of the above and runs it | everything |
//!
//! A test (`tests/layers.rs`) holds this table against the code.
//!
//! # Words
//!
//! As RFC 7143, SAM, SPC, SBC, Ceph and M2 use them: session, connection, I_T nexus, portal,
//! portal group, task, logical unit, LUN; pool, image, snapshot, clone. A **project** is a tenant,
//! an **image** a golden image, a **disk** one node's clone of an image, a **node** a bare-metal
//! machine, a **target** what exports a disk.

pub mod backend;
pub mod block;
pub mod boot;
pub mod cache;
pub mod catalog;
pub mod client;
pub mod config;
pub mod control;
pub mod daemon;
pub mod iscsi;
pub mod rbd;
pub mod scsi;
pub mod target;
pub mod telemetry;
pub mod tls;
