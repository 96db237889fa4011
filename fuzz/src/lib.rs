//! What the fuzz targets do with their bytes. `tests/fuzz_seeds.rs` of the main package runs the
//! same over the seeds, and over random bytes, without a fuzzer.

pub mod cdb;
pub mod login_text;
pub mod pdu;
