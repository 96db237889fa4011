//! What the fuzz targets do with their bytes. `crates/cores/tests/fuzz_seeds.rs` runs the
//! same over the seeds, and over random bytes, without a fuzzer.

pub mod cdb;
pub mod chap;
pub mod login_text;
pub mod pdu;
pub mod session;
