//! Projects: what they have, and may have.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::Engine;
use super::images::some_of;
use super::rows::{self, Batch, Versioned};
use crate::catalog::error::{Error, ErrorKind, Noun};
use crate::catalog::model::{Disk, Project, ProjectSettings, Quota, Usage};
use crate::catalog::name::Name;
use crate::catalog::spec::{DiskSpec, check_size};
use crate::catalog::state::{ABSENT, Table};

impl Engine {
    /// The names of all projects that have limits, or something in them.
    pub(in crate::catalog) fn project_names(&self) -> Result<BTreeSet<Name>, Error> {
        let rows = rows::load_all::<Project>(self.state.as_ref(), Table::Projects, "")?;
        let mut names: BTreeSet<Name> = rows.into_iter().map(|row| row.value.name).collect();
        names.extend(self.images(None)?.into_iter().map(|image| image.project));
        names.extend(self.disks(None)?.into_iter().map(|disk| disk.project));
        names.extend(self.nodes(None)?.into_iter().map(|node| node.project));
        Ok(names)
    }

    /// A project's limits, if it has some, and what it has.
    pub(in crate::catalog) fn project(
        &self,
        name: &Name,
    ) -> Result<(Option<Project>, Usage), Error> {
        let row = self.find_project(name)?.map(|row| row.value);
        let usage = self.tally.usage(name)?;
        if row.is_none() && self.contents(name)?.is_empty() {
            let code = Error::not_found(Noun::Project, "", "").code();
            let message = format!("no project '{name}': nothing is in it, and it has no limits");
            return Err(Error::new(ErrorKind::NotFound, code, message));
        }
        Ok((row, usage))
    }

    /// Decides about a project. What it has already stays as it is. The second answer: it was decided
    /// about before.
    pub(in crate::catalog) fn put_project(
        &self,
        name: &Name,
        settings: ProjectSettings,
    ) -> Result<(Project, bool), Error> {
        if let Some(store) = &settings.store {
            self.store(store)?;
        }
        settings.image.as_deref().map(DiskSpec::of_image).transpose()?;
        settings.disk_bytes.map_or(Ok(()), check_size)?;
        settings.qos.check()?;
        let row = self.find_project(name)?;
        let existed = row.is_some();
        let (mut project, revision) = match row {
            Some(Versioned { value, revision }) => (value, revision),
            None => {
                let created = Timestamp::now();
                (Project { name: name.clone(), settings: settings.clone(), created }, ABSENT)
            }
        };
        if !existed || project.settings != settings {
            project.settings = settings;
            let mut batch = Batch::default();
            batch.put(Table::Projects, name.as_str(), revision, &project)?;
            batch.apply(self.state.as_ref())?;
        }
        Ok((project, existed))
    }

    /// Removes a project in which nothing is, and of which no credentials are: these would be good for
    /// the next project of its name.
    pub(in crate::catalog) fn remove_project(&self, name: &Name) -> Result<(), Error> {
        let (row, _) = (self.find_project(name)?, self.project(name)?);
        let mut contents = self.contents(name)?;
        contents.extend(self.credentials(name)?);
        if !contents.is_empty() {
            let message = format!("project '{name}' is not empty; there is {}", some_of(&contents));
            let error = Error::new(ErrorKind::Conflict, "project-not-empty", message);
            return Err(error.with_users(contents));
        }
        if let Some(row) = row {
            let mut batch = Batch::default();
            batch.delete(Table::Projects, name.as_str(), row.revision);
            batch.apply(self.state.as_ref())?;
        }
        Ok(())
    }

    /// The portal groups of a disk that wants to be offered in these (empty: it does not say).
    pub(super) fn portal_groups(&self, name: &Name, wanted: &[u16]) -> Result<Vec<u16>, Error> {
        let allowed = self.settings(name)?.portal_groups;
        if wanted.is_empty() || allowed.is_empty() {
            return Ok(if wanted.is_empty() { allowed } else { wanted.to_vec() });
        }
        let Some(other) = wanted.iter().find(|tag| !allowed.contains(tag)) else {
            return Ok(wanted.to_vec());
        };
        let tags: Vec<_> = allowed.iter().map(ToString::to_string).collect();
        let message = format!(
            "portal group {other} is not for disks of project '{name}'; it has {}",
            tags.join(", ")
        );
        Err(Error::invalid("portal-group-not-allowed", message))
    }

    /// The store of what is imported into a project without naming one.
    pub(in crate::catalog) fn default_store(&self, name: &Name) -> Result<String, Error> {
        let own = self.settings(name)?.store;
        // One that is not configured any more is no reason to refuse.
        let own = own.filter(|store| self.stores.contains_key(store));
        Ok(own.unwrap_or_else(|| self.options.default_store.clone()))
    }

    /// What a disk is made of for which no image is named: of what it is made already, or of the
    /// project's default.
    pub(in crate::catalog) fn default_image(
        &self,
        project: &Name,
        disk: &Name,
    ) -> Result<DiskSpec, Error> {
        if let Some(row) = self.find_disk(project, disk)?.filter(|row| row.value.is_there()) {
            let Disk { image, image_project, tag, .. } = row.value;
            return Ok(DiskSpec { image_project, tag, ..DiskSpec::new(image) });
        }
        match self.settings(project)?.image {
            Some(image) => DiskSpec::of_image(&image),
            None => {
                let message = format!(
                    "no image is named, and project '{project}' has no default one: name one, or \
                     have an admin set it"
                );
                Err(Error::invalid("image-not-named", message))
            }
        }
    }

    /// What was decided about a project.
    pub(super) fn settings(&self, name: &Name) -> Result<ProjectSettings, Error> {
        Ok(self.find_project(name)?.map(|row| row.value.settings).unwrap_or_default())
    }

    /// Does what gives a project `more`, if it may have that. Nothing else is given to the project
    /// meanwhile, so that two who ask for the last of something do not both get it.
    pub(super) fn within_quota<T>(
        &self,
        name: &Name,
        more: Usage,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let quota = self.settings(name)?.quota;
        if quota == Quota::default() {
            return work();
        }
        let alone = Arc::clone(&self.quotas.entry(name.clone()).or_default());
        let _alone = alone.lock();
        let has = self.tally.usage(name)?;
        let limits = [
            ("disks", quota.disks, has.disks, more.disks),
            ("bytes", quota.bytes, has.bytes, more.bytes),
            ("provisioned nodes", quota.nodes, has.nodes, more.nodes),
        ];
        for (what, limit, has, more) in limits {
            let Some(limit) = limit.filter(|limit| more > 0 && has.saturating_add(more) > *limit)
            else {
                continue;
            };
            let message = format!(
                "project '{name}' may have {limit} {what}; it has {has}, and this would be {more} more"
            );
            return Err(Error::new(ErrorKind::Conflict, "quota-exceeded", message));
        }
        work()
    }

    /// What is in a project, for a person.
    fn contents(&self, name: &Name) -> Result<Vec<String>, Error> {
        let images = self.images(Some(name))?.into_iter().map(|it| format!("image {}", it.name));
        let disks = self.disks(Some(name))?.into_iter().map(|it| format!("disk {}", it.name));
        let nodes = self.nodes(Some(name))?.into_iter().map(|it| format!("node {}", it.name));
        Ok(images.chain(disks).chain(nodes).collect())
    }

    /// What stands for a project, for a person.
    fn credentials(&self, name: &Name) -> Result<Vec<String>, Error> {
        let of = |project: &Option<Name>| project.as_ref() == Some(name);
        let tokens = self.tokens()?.into_iter().filter(|it| of(&it.project));
        let certificates = self.certificates()?.into_iter().filter(|it| of(&it.project));
        let tokens = tokens.map(|it| format!("token {}", it.name));
        Ok(tokens.chain(certificates.map(|it| format!("certificate {}", it.name))).collect())
    }

    fn find_project(&self, name: &Name) -> Result<Option<Versioned<Project>>, Error> {
        rows::load(self.state.as_ref(), Table::Projects, name.as_str())
    }
}
