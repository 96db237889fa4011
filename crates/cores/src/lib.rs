//! The rooms `iscsi`, `scsi`, `block` and `cache` of Stirrup, compiled alone.
//!
//! They import nothing of the other rooms, so their tests build and run here in a fraction of the
//! time of the whole: what coverage and mutation testing (`scripts/coverage`,
//! `scripts/mutants`) and the fuzz targets need, and handy while working on them
//! (`cargo test -p stirrup-cores`).

#[path = "../../../src/block/mod.rs"]
pub mod block;
#[path = "../../../src/cache/mod.rs"]
pub mod cache;
#[path = "../../../src/iscsi/mod.rs"]
pub mod iscsi;
#[path = "../../../src/scsi/mod.rs"]
pub mod scsi;

/// The volume that tests and fuzz targets run against.
#[path = "../../../src/backend"]
pub mod backend {
    mod check;
    mod kept;
    pub mod memory;
}
