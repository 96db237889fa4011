//! What `tgtadm` asks for, done by the catalog.

use axum::http::{Method, StatusCode};

use super::show::{self, DRIVER};
use super::targets::{Account, Address, Attached, Memory, Rules, Target, disk_name};
use super::wire::{Answer, Errno, Mode, Op, Request};
use super::{FILES, RBD, Settings};
use crate::catalog::{AttachSpec, DiskChange, Error, ErrorKind, ExportState, Exposure, Role};
use crate::control::audit::Record;
use crate::control::{Control, Local, Peer};

/// What initiators and targets negotiate. Here they do, whatever was asked for.
const NEGOTIATED: &[&str] = &[
    "MaxRecvDataSegmentLength",
    "MaxXmitDataSegmentLength",
    "HeaderDigest",
    "DataDigest",
    "InitialR2T",
    "MaxOutstandingR2T",
    "ImmediateData",
    "FirstBurstLength",
    "MaxBurstLength",
    "DataPDUInOrder",
    "DataSequenceInOrder",
    "ErrorRecoveryLevel",
    "IFMarker",
    "OFMarker",
    "DefaultTime2Wait",
    "DefaultTime2Retain",
    "OFMarkInt",
    "IFMarkInt",
    "RDMAExtensions",
    "TargetRecvDataSegmentLength",
    "InitiatorRecvDataSegmentLength",
    "MaxOutstandingUnexpectedPDUs",
    "MaxConnections",
    "nop_count",
    "nop_interval",
];

/// Parameters of logical units that a disk here tells truly by itself: what was asked for would
/// change what is said, not what is.
const DESCRIBED: &[&str] = &[
    "vendor_id",
    "product_id",
    "product_rev",
    "sense_format",
    "lbppbe",
    "la_lba",
    "optimal_xfer_gran",
    "optimal_xfer_len",
    "thin_provisioning",
    "rotation_rate",
];

/// Parameters of which only what they are anyway can be had.
const FIXED: &[(&str, &str)] = &[("removable", "0"), ("online", "1"), ("swp", "0")];

/// The mode page of the write cache. A disk tells truly whether it has one.
const CACHING_PAGE: &str = "8:";

/// One request on its way.
pub(super) struct Verb<'a> {
    pub(super) control: &'a Control,
    pub(super) settings: &'a Settings,
    pub(super) memory: &'a mut Memory,
    pub(super) local: Local,
}

impl Verb<'_> {
    pub(super) async fn run(&mut self, request: &Request) -> Answer {
        if !request.driver.is_empty() && request.driver != DRIVER {
            return Err(Errno::NoDriver);
        }
        let targets = self.targets().await?;
        if request.op == Op::Show {
            return self.show(request, &targets);
        }
        let subject = match targets.iter().find(|target| target.tid == request.tid) {
            Some(target) => target.name.as_str(),
            None => request.value("targetname").unwrap_or("-"),
        };
        let mut record = self.record(request, subject);
        let done = self.change(request, &targets).await;
        record.end(Some(match &done {
            Ok(()) => StatusCode::OK,
            Err(_) => StatusCode::BAD_REQUEST,
        }));
        done.map(|()| String::new())
    }

    fn record(&self, request: &Request, subject: &str) -> Record {
        let op = format!("{:?}", request.op).to_ascii_uppercase();
        let method = Method::from_bytes(op.as_bytes()).unwrap_or(Method::POST);
        let path = format!("/tgt/{:?}/{subject}", request.mode).to_ascii_lowercase();
        let who = format!("uid {}", self.local.uid);
        let peer = Peer::Local(self.local);
        Record::new(&self.control.audit, &who, Some(&peer), &method, &path)
    }

    /// The targets that there are.
    async fn targets(&mut self) -> Result<Vec<Target>, Errno> {
        let project = &self.settings.project;
        let catalog = &self.control.catalog;
        let disks = catalog.disks(Some(project.clone())).await.map_err(failed)?;
        let images = catalog.images(Some(project.clone())).await.map_err(failed)?;
        let attached = disks.into_iter().filter_map(|view| {
            let image = images.iter().find(|it| it.image.name == view.disk.image)?;
            (image.image.attached && view.disk.edits).then(|| Attached {
                wwid: self.control.data_path.wwid(&view.disk.identity),
                online: view.serving.state == ExportState::Serving,
                image: image.image.clone(),
                disk: view.disk,
            })
        });
        let attached = attached.collect();
        Ok(self.memory.targets(attached))
    }

    fn show(&mut self, request: &Request, targets: &[Target]) -> Answer {
        let sessions = self.control.data_path.sessions();
        let last = sessions.iter().map(|session| session.id).max().unwrap_or_default();
        self.memory.last_shown = self.memory.last_shown.max(last);
        match request.mode {
            Mode::System => Ok(show::system()),
            Mode::Driver => Ok(show::drivers(targets)),
            Mode::Portal => Ok(show::portals(&self.control.data_path.portals())),
            Mode::Target if request.tid < 0 => Ok(show::targets(targets, &sessions)),
            Mode::Connection => Ok(show::connections(&find(targets, request.tid)?.name, &sessions)),
            Mode::Account => {
                let bound = targets.iter().flat_map(|target| {
                    [&target.rules.incoming, &target.rules.outgoing].into_iter().flatten()
                });
                let mut names: Vec<&str> =
                    self.memory.accounts.iter().map(|account| account.name.as_str()).collect();
                for account in bound {
                    if !names.contains(&account.name.as_str()) {
                        names.push(&account.name);
                    }
                }
                Ok(show::accounts(names.into_iter()))
            }
            Mode::Target | Mode::LogicalUnit | Mode::Session => Err(Errno::Unsupported),
        }
    }

    async fn change(&mut self, request: &Request, targets: &[Target]) -> Result<(), Errno> {
        match (request.mode, request.op) {
            (Mode::Target, Op::New) => self.new_target(request, targets),
            (Mode::Target, Op::Delete) => {
                self.delete_target(find(targets, request.tid)?, request.force).await
            }
            (Mode::Target, Op::Bind | Op::Unbind) => {
                self.bind_address(request, find(targets, request.tid)?).await
            }
            (Mode::Target, Op::Update) => {
                self.update_target(request, find(targets, request.tid)?).await
            }
            (Mode::LogicalUnit, Op::New) => {
                self.new_unit(request, find(targets, request.tid)?).await
            }
            (Mode::LogicalUnit, Op::Delete) => {
                self.delete_unit(request, find(targets, request.tid)?).await
            }
            (Mode::LogicalUnit, Op::Update) => {
                self.update_unit(request, find(targets, request.tid)?).await
            }
            (Mode::Account, _) => self.account(request, targets).await,
            (Mode::Connection, Op::Delete) => self.close(request.sid, find(targets, request.tid)?),
            (Mode::Driver, Op::Start) => Ok(()),
            _ => Err(Errno::Unsupported),
        }
    }

    fn new_target(&mut self, request: &Request, targets: &[Target]) -> Result<(), Errno> {
        let name = request.value("targetname").unwrap_or_default();
        let good =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:".contains(&byte);
        if request.tid <= 0 || name.is_empty() || !name.bytes().all(good) {
            return Err(Errno::InvalidRequest);
        }
        if targets.iter().any(|target| target.tid == request.tid || target.name == name) {
            return Err(Errno::TargetExists);
        }
        disk_name(name).ok_or(Errno::InvalidRequest)?;
        self.memory.add(request.tid, name);
        Ok(())
    }

    async fn delete_target(&mut self, target: &Target, force: bool) -> Result<(), Errno> {
        if !force
            && self.control.data_path.sessions().iter().any(|s| is_of(s.target.as_deref(), target))
        {
            return Err(Errno::TargetActive);
        }
        if target.unit.is_some() {
            self.detach(target).await?;
        }
        self.memory.remove(&target.name);
        Ok(())
    }

    async fn detach(&self, target: &Target) -> Result<(), Errno> {
        let name = disk_name(&target.name).ok_or(Errno::NoTarget)?;
        self.control.catalog.detach(self.settings.project.clone(), name).await.map_err(failed)
    }

    async fn bind_address(&mut self, request: &Request, target: &Target) -> Result<(), Errno> {
        let mut rules = target.rules.clone();
        let binds = request.op == Op::Bind;
        let (address, name) = (request.value("initiator-address"), request.value("initiator-name"));
        if address.or(name).is_none() {
            return Err(Errno::InvalidRequest);
        }
        if let Some(address) = address {
            let address = Address::parse(address).ok_or(Errno::InvalidRequest)?;
            put_or_take(&mut rules.addresses, address, binds)?;
        }
        if let Some(name) = name {
            put_or_take(&mut rules.initiators, name.to_owned(), binds)?;
        }
        self.set_rules(target, rules).await
    }

    async fn set_rules(&mut self, target: &Target, rules: Rules) -> Result<(), Errno> {
        if target.unit.is_none() {
            self.memory.bare.insert(target.name.clone(), rules);
            return Ok(());
        }
        self.change_disk(target, rules.access().into()).await
    }

    async fn new_unit(&mut self, request: &Request, target: &Target) -> Result<(), Errno> {
        if request.lun == 0 || target.unit.as_ref().is_some_and(|unit| unit.lun == request.lun) {
            return Err(Errno::LunExists);
        }
        if target.unit.is_some() {
            return Err(refused("a target here has one disk; make another target"));
        }
        let (project, name) = (self.settings.project.clone(), disk_name(&target.name));
        let name = name.ok_or(Errno::NoTarget)?;
        let spec = self.attach_spec(request, target)?;
        self.control.catalog.attach(project, name, spec).await.map_err(failed)?;
        self.memory.bare.remove(&target.name);
        Ok(())
    }

    /// What a new logical unit is in the catalog's terms.
    fn attach_spec(&self, request: &Request, target: &Target) -> Result<AttachSpec, Errno> {
        if request.device_type != 0 {
            return Err(refused("only disks are served here"));
        }
        let path = request.value("path").ok_or(Errno::InvalidRequest)?;
        if request.value("blocksize").is_some_and(|size| size != "512") {
            return Err(refused("logical blocks have 512 bytes here"));
        }
        let (store, backing) = match request.value("bstype").unwrap_or("rdwr") {
            "rbd" => (RBD, self.rbd_image(path)?),
            "rdwr" | "aio" => (FILES, path.to_owned()),
            other => return Err(refused(&format!("there is no backing store type '{other}'"))),
        };
        Ok(AttachSpec {
            store: store.to_owned(),
            backing,
            source: path.to_owned(),
            target: target.name.clone(),
            lun: u16::try_from(request.lun).map_err(|_| Errno::InvalidRequest)?,
            rules: target.rules.access(),
        })
    }

    /// `POOL/IMAGE`, or `IMAGE` in the pool `rbd`.
    fn rbd_image(&self, path: &str) -> Result<String, Errno> {
        let (pool, image) = path.split_once('/').unwrap_or((RBD, path));
        let served = self.settings.rbd_pool.as_deref();
        if served != Some(pool) {
            let served = served.unwrap_or("none");
            return Err(refused(&format!("of Ceph's pools, {served} is served here, not {pool}")));
        }
        if image.contains('@') {
            return Err(refused("a snapshot cannot be served; clone it"));
        }
        Ok(image.to_owned())
    }

    async fn update_target(&self, request: &Request, target: &Target) -> Result<(), Errno> {
        let (name, value) = request.text.split_once('=').ok_or(Errno::Unsupported)?;
        if NEGOTIATED.contains(&name) {
            tracing::debug!(name, value, "what is negotiated is not set by tgtadm");
            return Ok(());
        }
        let exposure = match (name, value) {
            ("state", "ready") => Exposure::Enabled,
            ("state", "offline") => Exposure::Disabled,
            ("state", _) => return Err(Errno::InvalidRequest),
            _ => return Err(Errno::UnknownParameter),
        };
        if target.unit.is_none() && exposure == Exposure::Enabled {
            return Ok(());
        }
        let exposure = Some(exposure);
        self.change_disk(target, DiskChange { exposure, ..DiskChange::default() }).await
    }

    async fn update_unit(&self, request: &Request, target: &Target) -> Result<(), Errno> {
        has_unit(request, target)?;
        let params = request.text.strip_prefix("targetOps ").unwrap_or(&request.text);
        let mut change = DiskChange::default();
        for param in params.split(',').filter(|param| !param.is_empty()) {
            let (name, value) = param.split_once('=').ok_or(Errno::InvalidRequest)?;
            let fixed = FIXED.iter().any(|(fixed, only)| *fixed == name && *only == value);
            let caching = name == "mode_page" && value.starts_with(CACHING_PAGE);
            if name == "readonly" && ["0", "1"].contains(&value) {
                change.read_only = Some(value == "1");
            } else if DESCRIBED.contains(&name) || fixed || caching {
                tracing::debug!(target = target.name, param, "a disk tells this by itself");
            } else {
                return Err(refused(&format!(
                    "{name} of a disk cannot be set to {value}: its identity is its image's, and \
                     the rest is as it is"
                )));
            }
        }
        if change.read_only.is_none() {
            return Ok(());
        }
        self.change_disk(target, change).await
    }

    async fn change_disk(&self, target: &Target, change: DiskChange) -> Result<(), Errno> {
        if target.unit.is_none() {
            return Err(refused("a target without a logical unit is ready, and nothing else"));
        }
        let (project, name) = (self.settings.project.clone(), disk_name(&target.name));
        let name = name.ok_or(Errno::NoTarget)?;
        // Nobody else gets so far.
        let changed = self.control.catalog.change_disk(Role::Admin, project, name, change).await;
        changed.map(drop).map_err(failed)
    }

    async fn delete_unit(&mut self, request: &Request, target: &Target) -> Result<(), Errno> {
        if request.lun == 0 {
            return Err(Errno::InvalidRequest);
        }
        has_unit(request, target)?;
        self.detach(target).await?;
        self.memory.bare.insert(target.name.clone(), target.rules.clone());
        Ok(())
    }

    fn close(&self, sid: u64, target: &Target) -> Result<(), Errno> {
        let sessions = self.control.data_path.sessions();
        let found = sessions.iter().any(|s| s.id == sid && is_of(s.target.as_deref(), target));
        // tgt-admin takes the rules away first, which ends sessions here and not in tgt.
        let ended = sid <= self.memory.last_shown;
        if (found && self.control.data_path.kill_session(sid)) || ended {
            return Ok(());
        }
        Err(Errno::NoSession)
    }

    async fn account(&mut self, request: &Request, targets: &[Target]) -> Result<(), Errno> {
        match request.op {
            Op::New => self.new_account(request, targets),
            Op::Delete => {
                let name = request.rest("user").ok_or(Errno::InvalidRequest)?;
                self.known(name, targets).ok_or(Errno::NoUser)?;
                for target in targets {
                    let mut rules = target.rules.clone();
                    for account in [&mut rules.incoming, &mut rules.outgoing] {
                        account.take_if(|account| account.name == name);
                    }
                    if rules != target.rules {
                        self.set_rules(target, rules).await?;
                    }
                }
                self.memory.accounts.retain(|account| account.name != name);
                Ok(())
            }
            Op::Bind | Op::Unbind => {
                let name = request.rest("user").ok_or(Errno::InvalidRequest)?;
                if request.tid == -1 {
                    return Err(refused("CHAP of discovery is in [discovery] of stirrup.toml"));
                }
                let target = find(targets, request.tid)?;
                let account = self.known(name, targets).ok_or(Errno::NoUser)?;
                self.bind_account(request, target, account).await
            }
            _ => Err(Errno::Unsupported),
        }
    }

    fn new_account(&mut self, request: &Request, targets: &[Target]) -> Result<(), Errno> {
        let name = request.value("user").ok_or(Errno::InvalidRequest)?;
        let password = request.rest("password").ok_or(Errno::InvalidRequest)?;
        if self.known(name, targets).is_some() {
            return Err(Errno::UserExists);
        }
        if self.memory.accounts.len() >= ACCOUNTS_MAX {
            return Err(Errno::TooManyUsers);
        }
        let password = crate::catalog::Secret::new(password.to_owned());
        self.memory.accounts.insert(0, Account { name: name.to_owned(), password });
        Ok(())
    }

    /// An account; those of targets are known after a restart, too.
    fn known(&self, name: &str, targets: &[Target]) -> Option<Account> {
        let bound = targets.iter().flat_map(|target| {
            [&target.rules.incoming, &target.rules.outgoing].into_iter().flatten()
        });
        self.memory.accounts.iter().chain(bound).find(|account| account.name == name).cloned()
    }

    async fn bind_account(
        &mut self,
        request: &Request,
        target: &Target,
        account: Account,
    ) -> Result<(), Errno> {
        let mut rules = target.rules.clone();
        let place = if request.outgoing { &mut rules.outgoing } else { &mut rules.incoming };
        match (request.op, place.as_ref()) {
            (Op::Bind, None) => *place = Some(account),
            (Op::Bind, Some(_)) if request.outgoing => return Err(Errno::OutgoingExists),
            (Op::Bind, Some(bound)) if bound.name == account.name => {
                return Err(Errno::UserExists);
            }
            (Op::Bind, Some(_)) => return Err(Errno::TooManyUsers),
            (_, Some(bound)) if bound.name == account.name => *place = None,
            _ => return Err(Errno::NoUser),
        }
        if rules.incoming.is_none() && rules.outgoing.is_some() {
            return Err(refused("an outgoing account needs an incoming one (RFC 7143 12.1.3)"));
        }
        self.set_rules(target, rules).await
    }
}

/// Accounts at a time.
const ACCOUNTS_MAX: usize = 10_000;

fn find(targets: &[Target], tid: i32) -> Result<&Target, Errno> {
    targets.iter().find(|target| target.tid == tid).ok_or(Errno::NoTarget)
}

fn is_of(name: Option<&str>, target: &Target) -> bool {
    name == Some(target.name.as_str())
}

fn has_unit(request: &Request, target: &Target) -> Result<(), Errno> {
    let has = target.unit.as_ref().is_some_and(|unit| unit.lun == request.lun);
    if has || request.lun == 0 { Ok(()) } else { Err(Errno::NoLun) }
}

fn put_or_take<T: PartialEq>(rules: &mut Vec<T>, rule: T, put: bool) -> Result<(), Errno> {
    match (put, rules.iter().position(|other| *other == rule)) {
        (true, None) => rules.push(rule),
        (true, Some(_)) => return Err(Errno::AclExists),
        (false, Some(at)) => drop(rules.remove(at)),
        (false, None) => return Err(Errno::NoAcl),
    }
    Ok(())
}

/// `tgtadm` has one line for this; the log says more.
fn refused(why: &str) -> Errno {
    tracing::warn!("tgtadm: {why}");
    Errno::Unsupported
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: Error) -> Errno {
    tracing::warn!(code = error.code(), "tgtadm: {error}");
    match error.kind() {
        ErrorKind::NotFound if error.code() == "disk-not-found" => Errno::NoTarget,
        ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::Conflict => Errno::InvalidRequest,
        _ => Errno::Unknown,
    }
}
