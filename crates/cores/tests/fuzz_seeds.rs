//! The fuzz targets without a fuzzer: over their seeds, which must stay good, and over random
//! bytes mixed out of them.

#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(unreachable_pub, reason = "the modules are the fuzz package's own")]

extern crate stirrup_cores as stirrup;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[path = "../../../fuzz/src/cdb.rs"]
mod cdb;
#[path = "../../../fuzz/src/chap.rs"]
mod chap;
#[path = "../../../fuzz/src/login_text.rs"]
mod login_text;
#[path = "../../../fuzz/src/pdu.rs"]
mod pdu;
#[path = "../../../fuzz/src/session.rs"]
mod session;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    inputs("seeds", target)
}

fn inputs(kind: &str, target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(kind).join(target);
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 3, "{target} has lost its {kind}");
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// A seed with some bytes changed, some cut out, and another one's end.
fn mixed(target: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let seed = || prop::sample::select(seeds(target));
    let at = any::<prop::sample::Index>;
    let changes = prop::collection::vec((at(), any::<u8>()), 0..8);
    (seed(), seed(), changes, at(), at()).prop_map(|(one, other, changes, from, to)| {
        let mut bytes = one[..from.index(one.len() + 1)].to_vec();
        bytes.extend_from_slice(&other[to.index(other.len() + 1)..]);
        for (at, value) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        bytes
    })
}

#[test]
fn seeds_are_good() {
    seeds("pdu").iter().for_each(|bytes| pdu::run(bytes));
    seeds("login_text").iter().for_each(|bytes| login_text::run(bytes));
    seeds("cdb").iter().for_each(|bytes| cdb::run(bytes));
    for (i, bytes) in seeds("session").iter().enumerate() {
        assert!(session::run(bytes) >= 1, "seed {i}: the target has nothing to say");
    }
    let let_in = seeds("chap").iter().filter(|bytes| chap::run(bytes)).count();
    assert!(let_in >= 5, "the right responses do not get in: {let_in}");
}

/// What long runs of the fuzzer have found to reach something of its own.
#[test]
fn corpora_are_survived() {
    inputs("corpus", "pdu").iter().for_each(|bytes| pdu::run(bytes));
    inputs("corpus", "login_text").iter().for_each(|bytes| login_text::run(bytes));
    inputs("corpus", "cdb").iter().for_each(|bytes| cdb::run(bytes));
    for bytes in inputs("corpus", "chap") {
        chap::run(&bytes);
    }
    for bytes in inputs("corpus", "session") {
        session::run(&bytes);
    }
}

proptest! {
    #[test]
    fn pdu_mixed(bytes in mixed("pdu")) {
        pdu::run(&bytes);
    }

    #[test]
    fn login_text_mixed(bytes in mixed("login_text")) {
        login_text::run(&bytes);
    }

    #[test]
    fn chap_mixed(bytes in mixed("chap")) {
        chap::run(&bytes);
    }

    #[test]
    fn session_mixed(bytes in mixed("session")) {
        session::run(&bytes);
    }

    #[test]
    fn cdb_mixed(bytes in mixed("cdb")) {
        cdb::run(&bytes);
    }
}
