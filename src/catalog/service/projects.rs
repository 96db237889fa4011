//! Projects, as calls.

use super::{Catalog, Subject};
use crate::catalog::engine::Engine;
use crate::catalog::error::{Error, Noun};
use crate::catalog::model::{Project, Quota, Usage};
use crate::catalog::name::Name;

/// A project, and what it has.
#[derive(Debug, Clone)]
pub struct ProjectView {
    /// Its name.
    pub name: Name,
    /// Its limits, if it has some.
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

    /// Sets what a project may have. The second answer: it had limits.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub async fn put_project(
        &self,
        name: Name,
        quota: Quota,
    ) -> Result<(ProjectView, bool), Error> {
        let guard = self.lock(Noun::Project, &name, "").await;
        self.call(Subject::Nothing, vec![guard], move |engine| {
            let (_, existed) = engine.put_project(&name, quota)?;
            Ok((view(engine, name)?, existed))
        })
        .await
    }

    /// Removes a project in which nothing is.
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
