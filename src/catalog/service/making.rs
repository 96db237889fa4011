//! Making disks: within the call, or as a job if data are copied.

use tokio::runtime::Handle;

use super::works::Begun as Work;
use super::{Catalog, Subject};
use crate::catalog::engine::{Begun, Created, Engine, busy, key};
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
#[derive(Clone, PartialEq, Eq)]
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
    /// The job that makes this disk, if one does at the moment.
    ///
    /// # Errors
    /// `busy`: one makes another disk of that name.
    pub(super) fn being_made(&self, wanted: &Wanted) -> Result<Option<Job>, Error> {
        let of = key(&wanted.project, &wanted.name);
        let id = match self.0.makings.lock().get(&of) {
            None => return Ok(None),
            Some((other, id)) if other != wanted => return Err(in_the_making(&wanted.name, *id)),
            Some((_, id)) => *id,
        };
        self.0.jobs.get(id).map(Some)
    }

    /// Refuses to wait for a job that makes a disk, or one for `node`: that may take hours.
    pub(super) fn check_not_being_made(
        &self,
        project: &Name,
        name: &Name,
        node: Option<&Name>,
    ) -> Result<(), Error> {
        match self.0.makings.lock().get(&key(project, name)) {
            Some((wanted, id)) if node.is_none() || wanted.node.as_ref() == node => {
                Err(in_the_making(name, *id))
            }
            _ => Ok(()),
        }
    }

    /// Makes a disk and does what is left to do then. Nobody else gets at what `guards` lock before
    /// all of it is done.
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
        let (this, runtime) = (self.clone(), Handle::current());
        self.call(subject, Vec::new(), move |engine| {
            wanted.check(engine)?;
            let Wanted { project, name, spec, node } = &wanted;
            let making = match engine.begin_disk(project, name, spec, node.as_ref())? {
                Begun::There(disk) => return Ok(Made::Now(end(engine, Created::before(*disk))?)),
                Begun::Making(making) => making,
            };
            let (object, total_bytes) = (name.to_string(), making.total_bytes());
            let work = Work { kind: "disk-encrypt", project: project.clone(), object, total_bytes };
            let begun = this.queue(project).and_then(|queued| {
                let (job, progress) = this.open_job(engine, &work)?;
                Ok((queued, job, progress))
            });
            let (queued, job, progress) = match begun {
                Ok(begun) => begun,
                Err(error) => {
                    engine.drop_making(*making);
                    return Err(error);
                }
            };
            let id = job.id;
            let of = key(project, name);
            this.0.makings.lock().insert(of.clone(), (wanted, id));
            runtime.spawn(async move {
                let _held = (guards, queued);
                let _turn = this.turn(&progress).await;
                let disk = making.disk().clone();
                let run = this.blocking(move |engine| {
                    let created = engine.make_disk(*making, &progress)?;
                    end(engine, created).map(drop)
                });
                let work = async {
                    let made = run.await;
                    if made.is_err() {
                        // Does nothing where all has been taken back already.
                        this.finish_later(disk);
                    }
                    this.0.makings.lock().remove(&of);
                    made.map(|()| Vec::new())
                };
                this.run_job(id, work).await;
            });
            Ok(Made::Later(Box::new(job)))
        })
        .await
    }
}

fn in_the_making(name: &Name, job: u64) -> Error {
    busy(format!("job {job} makes disk '{name}'; wait for its end, or cancel it"))
}
