//! `stirrupd quick`: one LUN in one command.

use std::io::Write;
use std::sync::Arc;

use super::{Failure, Signals, runtime, schedule};
use crate::backend::file::{FileOptions, FileVolume};
use crate::backend::memory::MemoryVolume;
use crate::backend::null::NullVolume;
use crate::backend::pool::Pool;
use crate::backend::rbd;
use crate::block::Volume;
use crate::cache::{self, Cache};
use crate::config::args::{QuickArgs, QuickSource};
use crate::target::{Access, Chap, Lun, Options, Server, TargetSpec};
use crate::telemetry;

/// Serves until a signal comes.
pub(super) fn run(args: &QuickArgs) -> Result<(), Failure> {
    telemetry::init(telemetry::Format::Human, &args.log).map_err(Failure::usage)?;
    schedule();
    let (volume, identity) = open(args)?;
    check_size(args, volume.as_ref())?;
    let spec = TargetSpec {
        name: args.iqn.clone(),
        luns: vec![Lun {
            number: args.lun,
            volume: Some(volume),
            identity,
            block_bytes: args.block_size,
            read_only: args.read_only,
            limits: crate::block::Limits::default(),
        }],
        access: Access {
            chap: args.chap.as_ref().map(|chap| Chap {
                user: chap.user.clone(),
                secret: chap.secret.clone(),
                mutual: None,
            }),
            ..Access::default()
        },
    };
    let options = Options { shards: args.shards, ..Options::default() };
    runtime()?.block_on(serve(args, options, spec))
}

async fn serve(args: &QuickArgs, options: Options, spec: TargetSpec) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let mut server = Server::start(options).map_err(Failure::runtime)?;
    server.handle().publish(spec);
    let portals = server.listen(&[args.listen]).map_err(Failure::runtime)?;
    for portal in portals {
        let mut out = std::io::stdout().lock();
        writeln!(out, "iscsi://{portal}/{}/{}", args.iqn, args.lun)
            .and_then(|()| out.flush())
            .map_err(|error| Failure::runtime(format!("standard output: {error}")))?;
    }
    let signal = signals.wait().await;
    tracing::info!("{signal}: stopping");
    super::stop(server).await
}

/// The volume, and what its WWID is made from: the same whenever the same thing is served.
fn open(args: &QuickArgs) -> Result<(Arc<dyn Volume>, String), Failure> {
    Ok(match args.source() {
        QuickSource::Memory(bytes) => {
            let volume = MemoryVolume::new(bytes, args.read_only);
            (Arc::new(volume) as Arc<dyn Volume>, format!("memory:{}", args.iqn))
        }
        QuickSource::Null(bytes) => {
            let volume = NullVolume::new(bytes, args.read_only);
            (Arc::new(volume), format!("null:{}", args.iqn))
        }
        QuickSource::File(path) => {
            let pool = Pool::start(Pool::threads_default()).map_err(Failure::runtime)?;
            let options = FileOptions { read_only: args.read_only, write_cache: args.write_cache };
            let volume = FileVolume::open(&path, options, &pool).map_err(Failure::runtime)?;
            let path = std::fs::canonicalize(&path).unwrap_or(path);
            (Arc::new(volume), format!("file:{}", path.display()))
        }
        QuickSource::Rbd(image) => {
            let spec = match image.namespace.as_str() {
                "" => format!("{}/{}", image.pool, image.image),
                namespace => format!("{}/{namespace}/{}", image.pool, image.image),
            };
            let conf = Some(args.ceph_conf.as_path());
            let options = cache::Options { golden_bytes: args.golden_memory, disk_bytes: 0 };
            let cache = (args.golden_memory > 0).then(|| Cache::new(options));
            let volume =
                rbd::open_image(&spec, conf, &args.ceph_user, args.read_only, cache.as_ref())
                    .map_err(Failure::runtime)?;
            (volume, format!("rbd:{spec}"))
        }
    })
}

fn check_size(args: &QuickArgs, volume: &dyn Volume) -> Result<(), Failure> {
    let size = volume.info().size_bytes;
    let block = u64::from(args.block_size);
    if size.is_multiple_of(block) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "the volume has {size} bytes, which is not a multiple of --block-size {block}"
    )))
}
