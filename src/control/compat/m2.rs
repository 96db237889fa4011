//! What M2 can do, in calls of the control API.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use super::{Api, Credential, segment};
use crate::control::api::disks::Disk;
use crate::control::api::images::{Image, ImageList};
use crate::control::api::jobs::Job;
use crate::control::api::nodes::Node;
use crate::control::api::problem::Problem;

/// How often a job is looked at.
const JOB_POLL: Duration = Duration::from_millis(100);

/// Somebody who works in a project of M2's.
pub(super) struct User<'a> {
    api: &'a Api,
    credential: &'a Credential,
    /// The project's name here.
    project: String,
}

impl<'a> User<'a> {
    /// `project` as M2 has it: Stirrup's names have dashes where M2's (`bmi_infra`) have
    /// underscores, and no upper case.
    pub(super) fn new(api: &'a Api, credential: &'a Credential, project: &str) -> Self {
        let project = project.to_ascii_lowercase().replace('_', "-");
        Self { api, credential, project }
    }

    fn path(&self, kind: &str, name: &str) -> String {
        format!("/v1/projects/{}/{kind}/{}", segment(&self.project), segment(name))
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, Problem> {
        self.api.call(self.credential, method, path, body).await
    }

    /// Whether there is such a project, and its user may see it.
    pub(super) async fn check_project(&self) -> Result<(), Problem> {
        let path = format!("/v1/projects/{}", segment(&self.project));
        self.call::<Value>(Method::GET, &path, None).await.map(drop)
    }

    async fn all_images(&self) -> Result<Vec<Image>, Problem> {
        let path = format!("/v1/images?project={}", segment(&self.project));
        Ok(self.call::<ImageList>(Method::GET, &path, None).await?.items)
    }

    /// Names of images that nodes are made from. Those made of a disk are M2's snapshots.
    pub(super) async fn images(&self) -> Result<Vec<String>, Problem> {
        let images = self.all_images().await?.into_iter();
        Ok(images.filter(|image| image.parent.is_none()).map(|image| image.name).collect())
    }

    /// Names of snapshots, each with that of the image that its disk was cloned from.
    pub(super) async fn snapshots(&self) -> Result<Vec<(String, String)>, Problem> {
        let images = self.all_images().await?.into_iter();
        Ok(images.filter_map(|image| Some((image.name, image.parent?))).collect())
    }

    /// Makes a disk; `existed` of the answer tells whether it was there.
    pub(super) async fn create_disk(&self, disk: &str, image: &str) -> Result<Disk, Problem> {
        let path = self.path("disks", disk);
        match self.call::<Disk>(Method::PUT, &path, Some(json!({"image": image}))).await {
            // Of another image: to M2 a disk is there if its name is.
            Err(Problem { existing: Some(existing), .. })
                if let Ok(found) = serde_json::from_value::<Disk>(existing.clone()) =>
            {
                Ok(Disk { existed: Some(true), ..found })
            }
            answer => answer,
        }
    }

    /// Removes a disk, from its node too.
    pub(super) async fn delete_disk(&self, name: &str) -> Result<(), Problem> {
        let path = self.path("disks", name);
        let disk: Disk = self.call(Method::GET, &path, None).await?;
        if let Some(node) = disk.node {
            self.unbind(&node).await?;
        }
        self.call(Method::DELETE, &path, None).await
    }

    /// Has a node boot from a disk. `nic` is made known as the node's if it is a MAC address and
    /// the node is new; otherwise it is M2's label of an interface, which is nothing to us.
    pub(super) async fn provision(&self, node: &str, disk: &str, nic: &str) -> Result<(), Problem> {
        let path = self.path("nodes", node);
        let known: Result<Node, Problem> = self.call(Method::GET, &path, None).await;
        match known {
            Ok(_) => {}
            Err(problem) if problem.code == "node-not-found" => {
                // Not before the disk is known to be there: no node is left behind then.
                let _: Disk = self.call(Method::GET, &self.path("disks", disk), None).await?;
                let macs: Vec<&str> = is_mac(nic).then_some(nic).into_iter().collect();
                let _: Node = self.call(Method::PUT, &path, Some(json!({"macs": macs}))).await?;
            }
            Err(problem) => return Err(problem),
        }
        let bind = Some(json!({"disk": disk}));
        self.call::<Node>(Method::PUT, &format!("{path}/disk"), bind).await.map(drop)
    }

    /// Takes the disk off a node; that there is none is fine.
    pub(super) async fn unbind(&self, node: &str) -> Result<(), Problem> {
        let path = format!("{}/disk", self.path("nodes", node));
        match self.call::<Node>(Method::DELETE, &path, None).await {
            Err(problem) if problem.code != "node-unbound" => Err(problem),
            _ => Ok(()),
        }
    }

    /// Makes an image of a disk, whole, and waits for the end of that.
    pub(super) async fn create_snapshot(&self, disk: &str, name: &str) -> Result<(), Problem> {
        let path = format!("{}/image", self.path("disks", disk));
        let mut job: Job = self.call(Method::POST, &path, Some(json!({"name": name}))).await?;
        while job.finished.is_none() {
            tokio::time::sleep(JOB_POLL).await;
            // With the project, by which HIL knows whether it is somebody of it who asks.
            let path = format!("/v1/jobs/{}?project={}", job.id, segment(&self.project));
            job = self.call(Method::GET, &path, None).await?;
        }
        if job.state == "succeeded" {
            return Ok(());
        }
        let detail = job.error.unwrap_or_else(|| format!("job {} was {}", job.id, job.state));
        Err(super::internal(&path, &detail))
    }

    /// Removes an image or a snapshot.
    pub(super) async fn remove_image(&self, name: &str) -> Result<(), Problem> {
        self.call(Method::DELETE, &self.path("images", name), None).await
    }
}

fn is_mac(text: &str) -> bool {
    let octets: Vec<&str> = text.split([':', '-']).collect();
    let hex = |octet: &&str| octet.len() == 2 && octet.bytes().all(|b| b.is_ascii_hexdigit());
    octets.len() == 6 && octets.iter().all(hex)
}
