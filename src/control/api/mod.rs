//! The calls of the control socket, one file per noun.
//!
//! | call | request | answer |
//! |---|---|---|
//! | `GET /v1/health` | | [`system::Health`] |
//! | `GET /v1/version` | | [`system::Version`] |
//! | `GET /v1/openapi.json` | | OpenAPI 3.1 |
//! | `GET /v1/images[?project=]` | | [`images::ImageList`] |
//! | `POST /v1/projects/{project}/images` | [`images::ImageImport`] | 202 [`jobs::Job`] |
//! | `GET`, `DELETE /v1/projects/{project}/images/{image}` | | [`images::Image`]; 204 |
//! | `GET /v1/disks[?project=]` | | [`disks::DiskList`] |
//! | `PUT /v1/projects/{project}/disks/{disk}` | [`disks::DiskCreate`] | 201, or 200 if it existed, [`disks::Disk`] |
//! | `GET`, `DELETE /v1/projects/{project}/disks/{disk}` | | [`disks::Disk`]; 204 |
//! | `GET /v1/nodes[?project=]` | | [`nodes::NodeList`] |
//! | `PUT /v1/projects/{project}/nodes/{node}` | [`nodes::NodePut`] | 201 or 200 [`nodes::Node`] |
//! | `GET`, `DELETE /v1/projects/{project}/nodes/{node}` | | [`nodes::Node`]; 204 |
//! | `PUT /v1/projects/{project}/nodes/{node}/disk` | [`nodes::Bind`] | 200 [`nodes::Node`] |
//! | `DELETE /v1/projects/{project}/nodes/{node}/disk` | | 200 [`nodes::Node`] |
//! | `PUT /v1/projects/{project}/nodes/{node}/provision` | [`nodes::Provision`] | 201 or 200 [`nodes::Node`] |
//! | `DELETE /v1/projects/{project}/nodes/{node}/provision` | | 200 [`nodes::Node`] |
//! | `GET /v1/projects/{project}/nodes/{node}/ipxe` | | `text/plain`, an iPXE script |
//! | `GET /v1/targets`, `/v1/targets/{name}` | | [`targets::TargetList`], [`targets::Target`] |
//! | `GET /v1/sessions[?target=]`, `DELETE /v1/sessions/{id}` | | [`sessions::SessionList`]; 204 |
//! | `GET /v1/jobs`, `GET /v1/jobs/{id}` | | [`jobs::JobList`], [`jobs::Job`] |
//! | `DELETE /v1/jobs/{id}` | | 202 [`jobs::Job`]: cancellation is asked for |
//!
//! Every error is a [`problem::Problem`] (`application/problem+json`, RFC 9457). Unknown fields
//! in a request are refused.

pub mod disks;
pub mod images;
pub mod jobs;
pub mod nodes;
pub mod problem;
pub mod sessions;
pub mod system;
pub mod targets;
