//! The calls of the control API that the command makes.

use bytes::Bytes;
use hyper::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::control::api::disks::{Disk, DiskCreate, DiskList, DiskResize, Redirect};
use crate::control::api::images::{BootProfile, Image, ImageImport, ImageList};
use crate::control::api::jobs::{Job, JobList};
use crate::control::api::nodes::{Bind, Node, NodeList, NodePut, Provision};
use crate::control::api::problem::Problem;
use crate::control::api::sessions::{LogoutRequest, SessionList};
use crate::control::api::system::{Health, Version};
use crate::control::api::targets::{Drained, Target, TargetList};

use super::error::ClientError;
use super::http::{Http, path, with_query};

/// An answer: its meaning, and its JSON as it came.
pub(super) struct Answer<T> {
    pub(super) value: T,
    pub(super) json: Bytes,
}

type Result<T> = std::result::Result<T, ClientError>;

/// The control API.
pub(super) struct Api {
    http: Http,
}

impl Api {
    pub(super) fn new(http: Http) -> Self {
        Self { http }
    }

    pub(super) async fn health(&self) -> Result<Answer<Health>> {
        self.get(path(&["health"])).await
    }

    pub(super) async fn version(&self) -> Result<Answer<Version>> {
        self.get(path(&["version"])).await
    }

    pub(super) async fn images(&self, project: Option<&str>) -> Result<Answer<ImageList>> {
        self.get(with_query(path(&["images"]), "project", project)).await
    }

    pub(super) async fn image(&self, project: &str, image: &str) -> Result<Answer<Image>> {
        self.get(path(&["projects", project, "images", image])).await
    }

    pub(super) async fn import(&self, project: &str, import: &ImageImport) -> Result<Answer<Job>> {
        self.send(Method::POST, path(&["projects", project, "images"]), Some(import)).await
    }

    pub(super) async fn remove_image(&self, project: &str, image: &str) -> Result<()> {
        self.delete(path(&["projects", project, "images", image])).await
    }

    pub(super) async fn boot_profile(
        &self,
        project: &str,
        image: &str,
    ) -> Result<Answer<BootProfile>> {
        self.get(path(&["projects", project, "images", image, "boot-profile"])).await
    }

    pub(super) async fn forget_boot_profile(&self, project: &str, image: &str) -> Result<()> {
        self.delete(path(&["projects", project, "images", image, "boot-profile"])).await
    }

    pub(super) async fn disks(&self, project: Option<&str>) -> Result<Answer<DiskList>> {
        self.get(with_query(path(&["disks"]), "project", project)).await
    }

    pub(super) async fn disk(&self, project: &str, disk: &str) -> Result<Answer<Disk>> {
        self.get(path(&["projects", project, "disks", disk])).await
    }

    pub(super) async fn create_disk(
        &self,
        project: &str,
        disk: &str,
        create: &DiskCreate,
    ) -> Result<Answer<Disk>> {
        self.send(Method::PUT, path(&["projects", project, "disks", disk]), Some(create)).await
    }

    /// With `None` the disk is served here again.
    pub(super) async fn redirect_disk(
        &self,
        project: &str,
        disk: &str,
        redirect: Option<&Redirect>,
    ) -> Result<Answer<Disk>> {
        let method = if redirect.is_some() { Method::PUT } else { Method::DELETE };
        self.send(method, path(&["projects", project, "disks", disk, "redirect"]), redirect).await
    }

    pub(super) async fn resize_disk(
        &self,
        project: &str,
        disk: &str,
        resize: &DiskResize,
    ) -> Result<Answer<Disk>> {
        let path = path(&["projects", project, "disks", disk, "resize"]);
        self.send(Method::POST, path, Some(resize)).await
    }

    pub(super) async fn remove_disk(&self, project: &str, disk: &str) -> Result<()> {
        self.delete(path(&["projects", project, "disks", disk])).await
    }

    pub(super) async fn nodes(&self, project: Option<&str>) -> Result<Answer<NodeList>> {
        self.get(with_query(path(&["nodes"]), "project", project)).await
    }

    pub(super) async fn node(&self, project: &str, node: &str) -> Result<Answer<Node>> {
        self.get(path(&["projects", project, "nodes", node])).await
    }

    pub(super) async fn put_node(
        &self,
        project: &str,
        node: &str,
        put: &NodePut,
    ) -> Result<Answer<Node>> {
        self.send(Method::PUT, path(&["projects", project, "nodes", node]), Some(put)).await
    }

    pub(super) async fn remove_node(&self, project: &str, node: &str) -> Result<()> {
        self.delete(path(&["projects", project, "nodes", node])).await
    }

    pub(super) async fn bind(
        &self,
        project: &str,
        node: &str,
        bind: &Bind,
    ) -> Result<Answer<Node>> {
        self.send(Method::PUT, path(&["projects", project, "nodes", node, "disk"]), Some(bind))
            .await
    }

    pub(super) async fn unbind(&self, project: &str, node: &str) -> Result<Answer<Node>> {
        let path = path(&["projects", project, "nodes", node, "disk"]);
        self.send(Method::DELETE, path, None::<&()>).await
    }

    pub(super) async fn provision(
        &self,
        project: &str,
        node: &str,
        provision: &Provision,
    ) -> Result<Answer<Node>> {
        let path = path(&["projects", project, "nodes", node, "provision"]);
        self.send(Method::PUT, path, Some(provision)).await
    }

    pub(super) async fn deprovision(&self, project: &str, node: &str) -> Result<Answer<Node>> {
        let path = path(&["projects", project, "nodes", node, "provision"]);
        self.send(Method::DELETE, path, None::<&()>).await
    }

    /// The iPXE script of a node.
    pub(super) async fn ipxe(&self, project: &str, node: &str) -> Result<Bytes> {
        self.call(Method::GET, path(&["projects", project, "nodes", node, "ipxe"]), None).await
    }

    pub(super) async fn targets(&self) -> Result<Answer<TargetList>> {
        self.get(path(&["targets"])).await
    }

    pub(super) async fn target(&self, name: &str) -> Result<Answer<Target>> {
        self.get(path(&["targets", name])).await
    }

    pub(super) async fn sessions(&self, target: Option<&str>) -> Result<Answer<SessionList>> {
        self.get(with_query(path(&["sessions"]), "target", target)).await
    }

    pub(super) async fn drain(
        &self,
        target: &str,
        request: &LogoutRequest,
    ) -> Result<Answer<Drained>> {
        self.send(Method::POST, path(&["targets", target, "drain"]), Some(request)).await
    }

    pub(super) async fn logout(&self, id: u64, request: &LogoutRequest) -> Result<()> {
        let path = path(&["sessions", &id.to_string(), "logout"]);
        let body = serde_json::to_vec(request).map_err(|e| self.strange(&e))?;
        self.call(Method::POST, path, Some(body)).await.map(drop)
    }

    pub(super) async fn kill_session(&self, id: u64) -> Result<()> {
        self.delete(path(&["sessions", &id.to_string()])).await
    }

    pub(super) async fn jobs(&self) -> Result<Answer<JobList>> {
        self.get(path(&["jobs"])).await
    }

    pub(super) async fn job(&self, id: u64) -> Result<Answer<Job>> {
        self.get(path(&["jobs", &id.to_string()])).await
    }

    pub(super) async fn cancel_job(&self, id: u64) -> Result<Answer<Job>> {
        self.send(Method::DELETE, path(&["jobs", &id.to_string()]), None::<&()>).await
    }

    async fn get<T: DeserializeOwned>(&self, path: String) -> Result<Answer<T>> {
        self.send(Method::GET, path, None::<&()>).await
    }

    async fn delete(&self, path: String) -> Result<()> {
        self.call(Method::DELETE, path, None).await.map(drop)
    }

    async fn send<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: String,
        body: Option<&B>,
    ) -> Result<Answer<T>> {
        let body = body.map(serde_json::to_vec).transpose().map_err(|e| self.strange(&e))?;
        let json = self.call(method, path, body).await?;
        let value = serde_json::from_slice(&json).map_err(|e| self.strange(&e))?;
        Ok(Answer { value, json })
    }

    /// The body of a successful answer; any other is a [`ClientError::Problem`].
    async fn call(&self, method: Method, path: String, body: Option<Vec<u8>>) -> Result<Bytes> {
        let answer = self.http.call(method, &path, body).await?;
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        Err(match serde_json::from_slice::<Problem>(&answer.body) {
            Ok(problem) => ClientError::Problem(Box::new(problem)),
            Err(_) => self.strange(&format!("status {} without an explanation", answer.status)),
        })
    }

    fn strange(&self, what: &dyn ToString) -> ClientError {
        ClientError::Answer { socket: self.http.socket().to_owned(), what: what.to_string() }
    }
}
