//! Tests of the embedded store.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::backend::conformance;

fn open(dir: &Path, write_cache: bool) -> LocalStore {
    LocalStore::open(dir, Options { write_cache }, &Pool::start(4).unwrap()).unwrap()
}

#[test]
fn conforms_in_write_through_mode() {
    let dir = tempfile::tempdir().unwrap();
    conformance::run(&open(dir.path(), false));
}

#[test]
fn conforms_with_a_write_cache() {
    let dir = tempfile::tempdir().unwrap();
    conformance::run(&open(dir.path(), true));
}
