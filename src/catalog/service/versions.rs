//! Tags, names and contents of images, and tags of disks, as calls.

use super::{Catalog, Subject, image_view};
use crate::catalog::engine::Engine;
use crate::catalog::error::{Error, Noun};
use crate::catalog::locks::Guard;
use crate::catalog::model::{Image, Tag, Tagged};
use crate::catalog::name::{ImageName, Name};

/// A tag, and the disks that were cloned from it.
#[derive(Debug, Clone)]
pub struct TagView {
    /// The row.
    pub tag: Tag,
    /// Names of disks.
    pub users: Vec<String>,
}

/// An image, and what hangs on it.
#[derive(Debug, Clone)]
pub struct ImageView {
    /// The row.
    pub image: Image,
    /// Names of the disks that use it.
    pub users: Vec<String>,
    /// Names of its tags.
    pub tags: Vec<String>,
}

impl Catalog {
    /// The tags of an image or a disk, sorted.
    ///
    /// # Errors
    /// `image-not-found`, `disk-not-found`.
    pub async fn tags(&self, project: Name, of: Tagged) -> Result<Vec<TagView>, Error> {
        self.blocking(move |engine| {
            engine.tags(&project, &of)?.into_iter().map(|tag| tag_view(engine, tag)).collect()
        })
        .await
    }

    /// A tag.
    ///
    /// # Errors
    /// `tag-not-found`, `image-not-found`, `disk-not-found`.
    pub async fn tag(&self, project: Name, of: Tagged, name: ImageName) -> Result<TagView, Error> {
        self.blocking(move |engine| tag_view(engine, engine.tag(&project, &of, &name)?)).await
    }

    /// Makes a tag of what an image or a disk holds now, or sets whether one is protected. The
    /// second answer: it was there.
    ///
    /// # Errors
    /// `image-not-ready`, `disk-not-ready`, `disk-edits-image`, `too-many-tags`, `busy`, and what
    /// the store says; nothing is left behind.
    pub async fn put_tag(
        &self,
        project: Name,
        of: Tagged,
        name: ImageName,
        protected: Option<bool>,
    ) -> Result<(TagView, bool), Error> {
        let (guard, subject) = self.lock_tagged(&project, &of).await;
        self.call(subject, vec![guard], move |engine| {
            let (tag, existed) = engine.put_tag(&project, &of, &name, protected)?;
            Ok((tag_view(engine, tag)?, existed))
        })
        .await
    }

    /// Removes a tag.
    ///
    /// # Errors
    /// `tag-in-use` with the disks that use it; `tag-protected`, `tag-is-default`, `busy`.
    pub async fn remove_tag(
        &self,
        project: Name,
        of: Tagged,
        name: ImageName,
    ) -> Result<(), Error> {
        let (guard, subject) = self.lock_tagged(&project, &of).await;
        self.call(subject, vec![guard], move |engine| engine.remove_tag(&project, &of, &name)).await
    }

    pub(super) async fn lock_tagged(&self, project: &Name, of: &Tagged) -> (Guard, Subject) {
        let guard = self.lock(of.noun(), project, of.name()).await;
        let subject = match of {
            Tagged::Image(name) => Subject::Image(project.clone(), name.clone()),
            Tagged::Disk(name) => Subject::Disk(project.clone(), name.clone()),
        };
        (guard, subject)
    }

    /// Locks two images, the same pair always in the same order.
    pub(super) async fn lock_images(&self, a: (Name, String), b: (Name, String)) -> Vec<Guard> {
        let mut names = vec![a, b];
        names.sort();
        names.dedup();
        let mut guards = Vec::new();
        for (project, name) in names {
            guards.push(self.lock(Noun::Image, &project, &name).await);
        }
        guards
    }

    /// Gives an image another name, or moves it to another project.
    ///
    /// # Errors
    /// `image-exists`; `image-in-use` when disks keep it in its project; `image-not-ready`, `busy`.
    pub async fn rename_image(
        &self,
        from: (Name, ImageName),
        to: (Name, ImageName),
    ) -> Result<ImageView, Error> {
        let name = |(project, name): &(Name, ImageName)| (project.clone(), name.to_string());
        let guards = self.lock_images(name(&from), name(&to)).await;
        self.end_foreign_downloads(&from.0, &from.1).await?;
        self.call(Subject::Nothing, guards, move |engine| {
            image_view(engine, engine.rename_image((&from.0, &from.1), (&to.0, &to.1))?)
        })
        .await
    }

    /// Sets which tag disks are cloned from when none is named; `None`: what was imported.
    ///
    /// # Errors
    /// `image-not-found`, `tag-not-found`, `image-not-ready`.
    pub async fn set_default_tag(
        &self,
        project: Name,
        name: ImageName,
        tag: Option<ImageName>,
    ) -> Result<ImageView, Error> {
        let guard = self.lock(Noun::Image, &project, name.as_str()).await;
        self.call(Subject::Nothing, vec![guard], move |engine| {
            image_view(engine, engine.set_default_tag(&project, &name, tag.as_ref())?)
        })
        .await
    }

    /// Sets whether an image can be removed.
    ///
    /// # Errors
    /// `image-not-found`, `image-not-ready`.
    pub async fn protect_image(
        &self,
        project: Name,
        name: ImageName,
        protected: bool,
    ) -> Result<ImageView, Error> {
        let guard = self.lock(Noun::Image, &project, name.as_str()).await;
        self.call(Subject::Nothing, vec![guard], move |engine| {
            image_view(engine, engine.protect_image(&project, &name, protected)?)
        })
        .await
    }

    /// Sets whether all projects can use an image. If they cannot, their downloads of it end.
    ///
    /// # Errors
    /// `image-not-found`, `image-not-ready`; `busy` when downloads do not end: no new one begins.
    pub async fn publish_image(
        &self,
        project: Name,
        name: ImageName,
        public: bool,
    ) -> Result<ImageView, Error> {
        let guard = self.lock(Noun::Image, &project, name.as_str()).await;
        let (of, image) = (project.clone(), name.clone());
        let published = self.call(Subject::Nothing, vec![guard], move |engine| {
            image_view(engine, engine.publish_image(&project, &name, public)?)
        });
        let view = published.await?;
        if !public {
            // None begins any more.
            self.end_foreign_downloads(&of, &image).await?;
        }
        Ok(view)
    }

    /// Bytes that an image takes in its store; `None` if the store does not tell that cheaply, or
    /// not within `patience`.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub async fn image_used(
        &self,
        project: Name,
        name: ImageName,
        patience: std::time::Duration,
    ) -> Result<Option<u64>, Error> {
        let subject = Subject::Image(project.clone(), name.clone());
        let looks = std::sync::Arc::clone(&self.places(subject).await?.looks);
        let used = async {
            let Ok(look) = looks.acquire_owned().await else { return Ok(None) };
            self.blocking(move |engine| {
                let _look = look;
                Ok(engine.image_used(&project, &name).ok().flatten())
            })
            .await
        };
        tokio::time::timeout(patience, used).await.unwrap_or(Ok(None))
    }
}

fn tag_view(engine: &Engine, tag: Tag) -> Result<TagView, Error> {
    let users = engine.tag_users(&tag)?;
    Ok(TagView { tag, users })
}
