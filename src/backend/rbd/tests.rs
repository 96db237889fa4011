//! On a real cluster: the one in `$CEPH_CONF`, or one that `scripts/lab/ceph` starts for this run
//! when `STIRRUP_TEST_CEPH=1`; without either each test says that it was skipped.
use std::path::Path;
use std::sync::OnceLock;

use super::*;
use crate::backend::conformance;

fn conf() -> Option<&'static Path> {
    static CONF: OnceLock<Option<PathBuf>> = OnceLock::new();
    CONF.get_or_init(|| std::env::var_os("CEPH_CONF").map(PathBuf::from)).as_deref()
}

fn store() -> Option<RbdStore> {
    let conf = conf()?;
    Some(RbdStore::open(Options { conf: Some(conf.into()), ..Options::new("rbd") }).unwrap())
}

#[test]
fn it_does_what_every_store_does() {
    let Some(store) = store() else { return };
    conformance::run(&store);
}
