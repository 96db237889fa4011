//! The calls of the control API that the command makes.

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::control::api::access::{AuditList, Token, TokenCreate, TokenList, WhoAmI};
use crate::control::api::boot::BootArguments;
use crate::control::api::certificates::{Certificate, CertificateList, CertificatePut};
use crate::control::api::disks::{Disk, DiskCreate, DiskList, DiskResize, DiskRollback, Redirect};
use crate::control::api::images::{
    BootProfile, DefaultTag, Image, ImageCopy, ImageExport, ImageImport, ImageList, ImageRename,
    Protection, Visibility,
};
use crate::control::api::jobs::{Job, JobList};
use crate::control::api::nodes::{Bind, Migrate, Node, NodeList, NodePut, Provision, Rearm};
use crate::control::api::problem::Problem;
use crate::control::api::projects::{Project, ProjectList, ProjectPut};
use crate::control::api::sessions::{LogoutRequest, SessionList};
use crate::control::api::settings::DiskChange;
use crate::control::api::system::{Health, Version};
use crate::control::api::tags::{Tag, TagList, TagPut};
use crate::control::api::targets::{Drained, Target, TargetList};
use crate::control::api::uploads::{Upload, UploadCreate};

use super::error::ClientError;
use super::http::{Http, RawAnswer, Sending, path, with_query};
use super::place::Place;

/// An answer: its meaning, and its JSON as it came.
pub(super) struct Answer<T> {
    pub(super) value: T,
    pub(super) json: Bytes,
}

/// What a call has made, or the job that makes it.
pub(super) enum Made<T> {
    Now(Answer<T>),
    Later(Box<Answer<Job>>),
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

    pub(super) async fn whoami(&self) -> Result<Answer<WhoAmI>> {
        self.get(path(&["whoami"])).await
    }

    pub(super) async fn projects(&self) -> Result<Answer<ProjectList>> {
        self.get(path(&["projects"])).await
    }

    pub(super) async fn project(&self, name: &str) -> Result<Answer<Project>> {
        self.get(path(&["projects", name])).await
    }

    pub(super) async fn put_project(
        &self,
        name: &str,
        put: &ProjectPut,
    ) -> Result<Answer<Project>> {
        self.send(Method::PUT, path(&["projects", name]), Some(put)).await
    }

    pub(super) async fn remove_project(&self, name: &str) -> Result<()> {
        self.delete(path(&["projects", name])).await
    }

    pub(super) async fn tokens(&self) -> Result<Answer<TokenList>> {
        self.get(path(&["tokens"])).await
    }

    pub(super) async fn make_token(
        &self,
        name: &str,
        create: &TokenCreate,
    ) -> Result<Answer<Token>> {
        self.send(Method::PUT, path(&["tokens", name]), Some(create)).await
    }

    pub(super) async fn remove_token(&self, name: &str) -> Result<()> {
        self.delete(path(&["tokens", name])).await
    }

    pub(super) async fn certificates(&self) -> Result<Answer<CertificateList>> {
        self.get(path(&["certificates"])).await
    }

    pub(super) async fn put_certificate(
        &self,
        name: &str,
        put: &CertificatePut,
    ) -> Result<Answer<Certificate>> {
        self.send(Method::PUT, path(&["certificates", name]), Some(put)).await
    }

    pub(super) async fn remove_certificate(&self, name: &str) -> Result<()> {
        self.delete(path(&["certificates", name])).await
    }

    pub(super) async fn audit(&self, limit: u16) -> Result<Answer<AuditList>> {
        self.get(with_query(path(&["audit"]), "limit", Some(&limit.to_string()))).await
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

    pub(super) async fn copy_image(
        &self,
        project: &str,
        image: &str,
        copy: &ImageCopy,
    ) -> Result<Answer<Job>> {
        let path = path(&["projects", project, "images", image, "copy"]);
        self.send(Method::POST, path, Some(copy)).await
    }

    pub(super) async fn rename_image(
        &self,
        project: &str,
        image: &str,
        rename: &ImageRename,
    ) -> Result<Answer<Image>> {
        let path = path(&["projects", project, "images", image, "rename"]);
        self.send(Method::POST, path, Some(rename)).await
    }

    pub(super) async fn protect_image(
        &self,
        project: &str,
        image: &str,
        protected: bool,
    ) -> Result<Answer<Image>> {
        let path = path(&["projects", project, "images", image, "protection"]);
        self.send(Method::PUT, path, Some(&Protection { protected })).await
    }

    pub(super) async fn set_default_tag(
        &self,
        project: &str,
        image: &str,
        tag: Option<String>,
    ) -> Result<Answer<Image>> {
        let path = path(&["projects", project, "images", image, "default-tag"]);
        self.send(Method::PUT, path, Some(&DefaultTag { tag })).await
    }

    pub(super) async fn publish_image(
        &self,
        project: &str,
        image: &str,
        public: bool,
    ) -> Result<Answer<Image>> {
        let path = path(&["projects", project, "images", image, "visibility"]);
        self.send(Method::PUT, path, Some(&Visibility { public })).await
    }

    pub(super) async fn export_image(
        &self,
        project: &str,
        image: &str,
        export: &ImageExport,
    ) -> Result<Answer<Job>> {
        let path = path(&["projects", project, "images", image, "export"]);
        self.send(Method::POST, path, Some(export)).await
    }

    pub(super) async fn begin_upload(
        &self,
        project: &str,
        image: &str,
        create: &UploadCreate,
    ) -> Result<Answer<Upload>> {
        let path = path(&["projects", project, "images", image, "upload"]);
        self.send(Method::PUT, path, Some(create)).await
    }

    pub(super) async fn upload(&self, project: &str, image: &str) -> Result<Answer<Upload>> {
        self.get(path(&["projects", project, "images", image, "upload"])).await
    }

    /// Sends more of what is uploaded.
    pub(super) async fn add_to_upload(
        &self,
        (project, image): (&str, &str),
        sending: Sending,
        show: &mut dyn FnMut() -> Result<u64>,
    ) -> Result<Answer<Upload>> {
        let path = path(&["projects", project, "images", image, "upload"]);
        let answer = self.http.upload(&path, sending, show).await?;
        if !answer.status.is_success() {
            return Err(self.refused(&answer));
        }
        let value = serde_json::from_slice(&answer.body).map_err(|e| self.strange(&e))?;
        Ok(Answer { value, json: answer.body })
    }

    /// The job of an upload, as if it had been asked for.
    pub(super) async fn upload_job(&self, upload: &Upload) -> Result<Option<Answer<Job>>> {
        match &upload.job {
            Some(job) => self.job(job.id).await.map(Some),
            None => Ok(None),
        }
    }

    pub(super) async fn abandon_upload(&self, project: &str, image: &str) -> Result<()> {
        self.delete(path(&["projects", project, "images", image, "upload"])).await
    }

    /// The bytes of an image, handed on as they come.
    pub(super) async fn download(
        &self,
        project: &str,
        image: &str,
        tag: Option<&str>,
        take: &mut (dyn FnMut(u64, &[u8]) -> std::io::Result<()> + Send),
    ) -> Result<()> {
        let path = with_query(path(&["projects", project, "images", image, "raw"]), "tag", tag);
        let refused = self.http.download(&path, take).await?;
        refused.map_or(Ok(()), |answer| Err(self.refused(&answer)))
    }

    /// The tags of an image or a disk; `kind` is `images` or `disks`.
    pub(super) async fn tags(
        &self,
        project: &str,
        kind: &str,
        name: &str,
    ) -> Result<Answer<TagList>> {
        self.get(path(&["projects", project, kind, name, "tags"])).await
    }

    pub(super) async fn tag(&self, [project, kind, name, tag]: [&str; 4]) -> Result<Answer<Tag>> {
        self.get(path(&["projects", project, kind, name, "tags", tag])).await
    }

    pub(super) async fn put_tag(
        &self,
        [project, kind, name, tag]: [&str; 4],
        protected: Option<bool>,
    ) -> Result<Answer<Tag>> {
        let path = path(&["projects", project, kind, name, "tags", tag]);
        self.send(Method::PUT, path, Some(&TagPut { protected })).await
    }

    pub(super) async fn remove_tag(&self, [project, kind, name, tag]: [&str; 4]) -> Result<()> {
        self.delete(path(&["projects", project, kind, name, "tags", tag])).await
    }

    pub(super) async fn rollback(
        &self,
        project: &str,
        disk: &str,
        rollback: &DiskRollback,
    ) -> Result<Answer<Job>> {
        let path = path(&["projects", project, "disks", disk, "rollback"]);
        self.send(Method::POST, path, Some(rollback)).await
    }

    pub(super) async fn flatten(&self, project: &str, disk: &str) -> Result<Answer<Job>> {
        let path = path(&["projects", project, "disks", disk, "flatten"]);
        self.send(Method::POST, path, None::<&()>).await
    }

    pub(super) async fn copy_disk(
        &self,
        project: &str,
        disk: &str,
        copy: &ImageCopy,
    ) -> Result<Answer<Job>> {
        let path = path(&["projects", project, "disks", disk, "image"]);
        self.send(Method::POST, path, Some(copy)).await
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
    ) -> Result<Made<Disk>> {
        self.make(path(&["projects", project, "disks", disk]), create).await
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

    pub(super) async fn change_disk(
        &self,
        project: &str,
        disk: &str,
        change: &DiskChange,
    ) -> Result<Answer<Disk>> {
        self.send(Method::PATCH, path(&["projects", project, "disks", disk]), Some(change)).await
    }

    pub(super) async fn migrate(
        &self,
        project: &str,
        disk: &str,
        migrate: &Migrate,
    ) -> Result<Answer<Node>> {
        let path = path(&["projects", project, "disks", disk, "migrate"]);
        self.send(Method::POST, path, Some(migrate)).await
    }

    pub(super) async fn remove_disk(&self, project: &str, disk: &str) -> Result<()> {
        self.delete(path(&["projects", project, "disks", disk])).await
    }

    pub(super) async fn nodes(
        &self,
        project: Option<&str>,
        mac: Option<&str>,
    ) -> Result<Answer<NodeList>> {
        let path = with_query(path(&["nodes"]), "project", project);
        self.get(with_query(path, "mac", mac)).await
    }

    pub(super) async fn rearm(
        &self,
        project: &str,
        node: &str,
        rearm: &Rearm,
    ) -> Result<Answer<Node>> {
        self.send(Method::POST, path(&["projects", project, "nodes", node, "rearm"]), Some(rearm))
            .await
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
    ) -> Result<Made<Node>> {
        self.make(path(&["projects", project, "nodes", node, "provision"]), provision).await
    }

    pub(super) async fn deprovision(&self, project: &str, node: &str) -> Result<Answer<Node>> {
        let path = path(&["projects", project, "nodes", node, "provision"]);
        self.send(Method::DELETE, path, None::<&()>).await
    }

    /// The iPXE script of a node.
    pub(super) async fn ipxe(&self, project: &str, node: &str) -> Result<Bytes> {
        let path = path(&["projects", project, "nodes", node, "ipxe"]);
        Ok(self.call(Method::GET, path, None).await?.body)
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

    /// The event stream, handed on as it comes.
    pub(super) async fn events(
        &self,
        path: &str,
        take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<()> {
        let refused = self.http.download(path, &mut |_, bytes| take(bytes)).await?;
        refused.map_or(Ok(()), |answer| Err(self.refused(&answer)))
    }

    /// What to boot a node by.
    pub(super) async fn boot_arguments(
        &self,
        project: &str,
        node: &str,
    ) -> Result<Answer<BootArguments>> {
        self.get(path(&["projects", project, "nodes", node, "boot-arguments"])).await
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
        self.read(self.call(method, path, body).await?.body)
    }

    /// A PUT that may be answered by the job that does it.
    async fn make<B: Serialize, T: DeserializeOwned>(
        &self,
        path: String,
        body: &B,
    ) -> Result<Made<T>> {
        let body = serde_json::to_vec(body).map_err(|e| self.strange(&e))?;
        let answer = self.call(Method::PUT, path, Some(body)).await?;
        match answer.status {
            StatusCode::ACCEPTED => self.read(answer.body).map(|job| Made::Later(Box::new(job))),
            _ => self.read(answer.body).map(Made::Now),
        }
    }

    fn read<T: DeserializeOwned>(&self, json: Bytes) -> Result<Answer<T>> {
        let value = serde_json::from_slice(&json).map_err(|e| self.strange(&e))?;
        Ok(Answer { value, json })
    }

    /// A successful answer; any other is a [`ClientError::Problem`].
    async fn call(&self, method: Method, path: String, body: Option<Vec<u8>>) -> Result<RawAnswer> {
        let answer = self.http.call(method, &path, body).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(self.refused(&answer)) }
    }

    /// Where stirrupd is.
    pub(super) fn place(&self) -> &Place {
        self.http.place()
    }

    fn refused(&self, answer: &RawAnswer) -> ClientError {
        match serde_json::from_slice::<Problem>(&answer.body) {
            Ok(problem) => ClientError::Problem(Box::new(problem)),
            Err(_) => self.strange(&format!("status {} without an explanation", answer.status)),
        }
    }

    fn strange(&self, what: &dyn ToString) -> ClientError {
        ClientError::Answer { place: self.http.place().clone(), what: what.to_string() }
    }
}
