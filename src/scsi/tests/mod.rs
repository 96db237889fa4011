//! The device server from outside: commands against volumes in memory.

mod bench;
mod conditions;
mod copy;
mod data;
mod identity;
mod logs;
mod modes;
mod provisioning;
mod random;
mod reports;
mod reservations;
