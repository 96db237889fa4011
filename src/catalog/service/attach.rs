//! Images that were there before, as calls.

use super::{Catalog, DiskView, Subject, view};
use crate::catalog::attach::AttachSpec;
use crate::catalog::error::{Error, Noun};
use crate::catalog::name::Name;

impl Catalog {
    /// Serves an image of a store as it is, under a target name of the caller's. The image is the
    /// catalog's to serve, not to remove. The second answer: it was served already.
    ///
    /// # Errors
    /// `already-attached`, `image-exists`, `disk-exists`, `invalid-target`, `invalid-image`,
    /// `store-unknown`, and what the store says; nothing is left behind.
    pub async fn attach(
        &self,
        project: Name,
        name: Name,
        spec: AttachSpec,
    ) -> Result<(DiskView, bool), Error> {
        // One after the other, whatever their names: two could ask for the same target or image.
        let all = self.0.locks.lock(Noun::Project, "", "attach").await;
        let disk = self.lock(Noun::Disk, &project, name.as_str()).await;
        let image = self.lock(Noun::Image, &project, name.as_str()).await;
        let subject = Subject::Store(spec.store.clone());
        self.call(subject, vec![all, disk, image], move |engine| {
            let (disk, existed) = engine.attach(&project, &name, &spec)?;
            Ok((view(engine, disk)?, existed))
        })
        .await
    }

    /// Ends the sessions of an attached disk and forgets it. The image stays, for its owner to do
    /// with as they like when this returns.
    ///
    /// # Errors
    /// `disk-not-found`, `disk-not-attached`, `disk-bound`, `image-in-use`, `tag-protected`, `busy`,
    /// and what the store says.
    pub async fn detach(&self, project: Name, name: Name) -> Result<(), Error> {
        let disk = self.lock(Noun::Disk, &project, name.as_str()).await;
        let image = self.lock(Noun::Image, &project, name.as_str()).await;
        let subject = Subject::Disk(project.clone(), name.clone());
        self.call(subject, vec![disk, image], move |engine| engine.detach(&project, &name)).await
    }
}
