//! Making disks: within the call, or as a job if data are copied.

use tokio::runtime::Handle;

use super::works::Begun as Work;
use super::{Catalog, Subject};
use crate::catalog::engine::{Begun, Created, Engine};
use crate::catalog::error::Error;
use crate::catalog::jobs::Job;
use crate::catalog::locks::Guard;
use crate::catalog::name::Name;
use crate::catalog::spec::DiskSpec;

/// What a call has made.
#[derive(Debug, Clone)]
pub enum Made<T> {
    /// It is there.
    Now(T),
    /// This job makes it.
    Later(Box<Job>),
}

/// A disk that is asked for.
pub(super) struct Wanted {
    pub(super) project: Name,
    pub(super) name: Name,
    pub(super) spec: DiskSpec,
    /// The node that it is bound to in the same step.
    pub(super) node: Option<Name>,
}

impl Wanted {
    fn check(&self, engine: &Engine) -> Result<(), Error> {
        self.node.as_ref().map_or(Ok(()), |node| engine.check_provision(&self.project, node))
    }
}

impl Catalog {
    /// Makes a disk and does what is left to do then. Nobody else gets at what `guards` lock before
    /// all of it is done: who repeats the call meanwhile waits for the end of the first one.
    pub(super) async fn make_disk<T: Send + 'static>(
        &self,
        wanted: Wanted,
        guards: Vec<Guard>,
        end: impl FnOnce(&Engine, Created) -> Result<T, Error> + Send + 'static,
    ) -> Result<Made<T>, Error> {
        let subject = Subject::Image(wanted.spec.of(&wanted.project), wanted.spec.image.clone());
        if wanted.spec.luks().is_none() {
            let made = self.call(subject, guards, move |engine| {
                wanted.check(engine)?;
                let Wanted { project, name, spec, node } = wanted;
                end(engine, engine.create_disk(&project, &name, &spec, node.as_ref())?)
            });
            return Ok(Made::Now(made.await?));
        }
        let queued = self.queue(&wanted.project)?;
        let (this, runtime) = (self.clone(), Handle::current());
        self.call(subject, Vec::new(), move |engine| {
            wanted.check(engine)?;
            let Wanted { project, name, spec, node } = wanted;
            let making = match engine.begin_disk(&project, &name, &spec, node.as_ref())? {
                Begun::There(disk) => return Ok(Made::Now(end(engine, Created::before(*disk))?)),
                Begun::Making(making) => making,
            };
            let (object, total_bytes) = (name.to_string(), making.total_bytes());
            let work = Work { kind: "disk-encrypt", project, object, total_bytes };
            let (job, progress) = match this.open_job(engine, &work) {
                Ok(opened) => opened,
                Err(error) => {
                    engine.drop_making(*making);
                    return Err(error);
                }
            };
            let id = job.id;
            runtime.spawn(async move {
                let _held = (guards, queued);
                let _turn = this.0.imports.acquire().await;
                let run = this.blocking(move |engine| {
                    let created = engine.make_disk(*making, &progress)?;
                    end(engine, created).map(drop)
                });
                this.run_job(id, async { run.await.map(|()| Vec::new()) }).await;
            });
            Ok(Made::Later(Box::new(job)))
        })
        .await
    }
}
