//! A target in a program of one's own, whose logical units come and go while initiators use it.
//!
//! ```text
//! cargo run --example changing_luns -- 127.0.0.1:3260
//! ```
//!
//! prints an `iscsi://` URL and serves one disk of 64 MiB in memory at LUN 1. Each line on its standard
//! input is what LUNs there are to be, as in `1 2`; when they are, it says so. It ends with its input.
//! The tests have Linux see such a change (`tests/vm/linux luns`).

use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use stirrup::backend::memory::MemoryVolume;
use stirrup::block::Volume;
use stirrup::target::{Access, Lun, Options, Server, TargetSpec};

const TARGET: &str = "iqn.2026-01.org.example:changing-luns";
const LUNS_MAX: u16 = 8;
const DISK_BYTES: u64 = 64 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("which address to listen on, as in 127.0.0.1:0")?;
    let volumes: Vec<Arc<dyn Volume>> = (0..LUNS_MAX)
        .map(|_| Arc::new(MemoryVolume::new(DISK_BYTES, false)) as Arc<dyn Volume>)
        .collect();
    let spec = |numbers: &[u16]| {
        let lun = |(number, volume): (u16, &Arc<dyn Volume>)| Lun {
            number,
            volume: Some(Arc::clone(volume)),
            identity: format!("changing {number}"),
            block_bytes: 512,
            read_only: false,
            limits: stirrup::block::Limits::default(),
        };
        let all = (0..LUNS_MAX).zip(&volumes);
        let luns = all.filter(|(number, _)| numbers.contains(number)).map(lun).collect();
        TargetSpec { name: TARGET.to_owned(), luns, access: Access::default() }
    };

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let _inside = runtime.enter();
    let mut server = Server::start(Options { shards: 1, ..Options::default() })?;
    let handle = server.handle();
    handle.publish(spec(&[1]));
    let portals = server.listen(&[address.parse()?])?;
    let mut out = std::io::stdout().lock();
    for portal in portals {
        writeln!(out, "iscsi://{portal}/{TARGET}/1")?;
    }
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let numbers: Result<Vec<u16>, _> = line?.split_whitespace().map(str::parse).collect();
        handle.publish(spec(&numbers?));
        writeln!(out, "done")?;
        out.flush()?;
    }
    runtime.block_on(server.stop(Duration::from_secs(5)));
    Ok(())
}
