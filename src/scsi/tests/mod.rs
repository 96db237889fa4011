//! The device server from outside: commands against volumes in memory.

mod atomic;
mod bench;
mod conditions;
mod copy;
mod data;
mod erase;
mod identity;
mod logs;
mod modes;
mod provisioning;
mod random;
mod reports;
mod reservation_commands;
mod reservation_model;
mod reservation_power;
mod reservation_registering;
mod reservations;
