//! Conformance on the wire: one test for each protocol point of `points.txt`, named after it, by
//! an initiator that sends what it likes, byte by byte. `docs/conformance.md` is made from both.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../support/mod.rs"]
mod support;

mod lab;
mod login;
mod session;

mod chap;
mod connections;
mod exchanges;
mod keys;
mod login_phase;
mod management;
mod reservations;
mod sequencing;
mod table;
mod transfers;
mod unh_control;
mod unh_data;
mod units;
