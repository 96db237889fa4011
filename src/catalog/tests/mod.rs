//! Tests of the catalog over a store, a state and an exporter that fail when told to.

mod attach;
mod calls;
mod defaults;
mod encrypted;
mod exports;
mod faults;
pub(crate) mod files;
mod imports;
mod lasting;
mod service;
mod settings;
mod sharing;
mod uploads;
mod versions;
pub(crate) mod world;
