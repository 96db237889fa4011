//! Projects, as calls.

use super::{Catalog, Subject};
use crate::catalog::engine::Engine;
use crate::catalog::error::{Error, Noun};
use crate::catalog::model::{Project, ProjectSettings, Usage};
use crate::catalog::name::Name;
use crate::catalog::spec::DiskSpec;

/// A project, and what it has.
#[derive(Debug, Clone)]
pub struct ProjectView {
    /// Its name.
    pub name: Name,
    /// What was decided about it, if anything was.
    pub row: Option<Project>,
    /// What it has.
    pub usage: Usage,
}

impl Catalog {
    /// All projects, or the one that exists for a caller, sorted.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub async fn projects(&self, only: Option<Name>) -> Result<Vec<ProjectView>, Error> {
        self.blocking(move |engine| {
            let names = engine.project_names()?.into_iter();
            let names = names.filter(|name| only.as_ref().is_none_or(|only| only == name));
            names.map(|name| view(engine, name)).collect()
        })
        .await
    }

    /// A project.
    ///
    /// # Errors
    /// `project-not-found`.
    pub async fn project(&self, name: Name) -> Result<ProjectView, Error> {
        self.blocking(move |engine| view(engine, name)).await
    }

    /// Decides about a project. The second answer: it was decided about before.
    ///
    /// # Errors
    /// `store-unknown`, `invalid-name`, `invalid-size`, `invalid-qos`.
    pub async fn put_project(
        &self,
        name: Name,
        settings: ProjectSettings,
    ) -> Result<(ProjectView, bool), Error> {
        let guard = self.lock(Noun::Project, &name, "").await;
        self.call(Subject::Nothing, vec![guard], move |engine| {
            let (_, existed) = engine.put_project(&name, settings)?;
            Ok((view(engine, name)?, existed))
        })
        .await
    }

    /// What a disk is made of for which no image is named: of what it is made already, or of the
    /// project's default.
    ///
    /// # Errors
    /// `image-not-named`: there is none.
    pub async fn default_image(&self, project: Name, disk: Name) -> Result<DiskSpec, Error> {
        self.blocking(move |engine| engine.default_image(&project, &disk)).await
    }

    /// The store of what is imported: the one that is named, or that of the project.
    pub(super) async fn store_of(
        &self,
        project: &Name,
        named: Option<String>,
    ) -> Result<String, Error> {
        match named {
            Some(store) => Ok(store),
            None => {
                let project = project.clone();
                self.blocking(move |engine| engine.default_store(&project)).await
            }
        }
    }

    /// Removes a project in which nothing is, and of which there are no credentials.
    ///
    /// # Errors
    /// `project-not-empty` with what is in it; `project-not-found`.
    pub async fn remove_project(&self, name: Name) -> Result<(), Error> {
        let guard = self.lock(Noun::Project, &name, "").await;
        self.call(Subject::Nothing, vec![guard], move |engine| engine.remove_project(&name)).await
    }
}

fn view(engine: &Engine, name: Name) -> Result<ProjectView, Error> {
    let (row, usage) = engine.project(&name)?;
    Ok(ProjectView { name, row, usage })
}
