//! The script that is meant for a machine, or why there is none.

use std::fmt;

use super::machine::{Identity, Machine};
use super::{Asker, LOCK_PATIENCE, Secrets, delivered, script};
use crate::boot;
use crate::catalog::{Delivery, Disk, DiskView, Error, Name, Node, Role};
use crate::control::Control;

/// Why a machine gets no script.
pub(super) struct Refusal {
    /// What it is told.
    pub(super) reason: String,
    /// The node that it is; `None`: nobody knows it.
    pub(super) node: Option<Box<Node>>,
    /// What went wrong here, for the log only.
    pub(super) error: Option<String>,
}

impl Refusal {
    pub(super) fn machine(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), node: None, error: None }
    }

    fn node(node: &Node, why: impl fmt::Display) -> Self {
        let reason = format!("node {} of project {} {why}", node.name, node.project);
        Self { reason, node: Some(Box::new(node.clone())), error: None }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let refusal = Self::machine("the gateway could not look it up, see its log");
        Self { error: Some(error.to_string()), ..refusal }
    }
}

/// The node that a machine is.
struct Found {
    node: Node,
    disk: Option<DiskView>,
    /// By a name that whoever asks can guess or look up: the node's, or what stands for it.
    by_name: bool,
}

/// The script of the machine's own; a secret that it holds is handed out by this.
pub(super) async fn own_script(
    control: &Control,
    asker: Asker,
    machine: &Machine,
    named: Option<(Name, Name)>,
) -> Result<String, Refusal> {
    let Found { node, disk, by_name } = look_up(control, machine, named).await?;
    let Some(DiskView { disk, .. }) = disk else {
        let how = format!("has no disk: stirrup pro {} {} IMAGE", node.project, node.name);
        return Err(Refusal::node(&node, how));
    };
    // Before a secret is given out for nothing.
    let without = script(control, &node, &disk, false).map_err(|e| no_script(&node, &e))?;
    if !asker.takes {
        return Ok(without);
    }
    if disk.chap.is_none() && disk.chap_per_node.is_none() {
        delivered(control, asker, machine, &node, &disk, false);
        return Ok(without);
    }
    let (node, disk) = with_secret(control, &node, &disk, by_name).await?;
    let with = script(control, &node, &disk, true).map_err(|e| no_script(&node, &e))?;
    delivered(control, asker, machine, &node, &disk, true);
    Ok(with)
}

/// Within a turn, which is given back before anything is waited for that others may hold.
async fn look_up(
    control: &Control,
    machine: &Machine,
    named: Option<(Name, Name)>,
) -> Result<Found, Refusal> {
    let _turn = control.boot.turn().await;
    let Some((project, name)) = named else { return find(control, machine).await };
    match control.catalog.node(project, name).await {
        Err(error) if error.code() == "node-not-found" => {
            Err(Refusal::machine("there is no node of this name"))
        }
        found => {
            found.map(|(node, disk)| Found { node, disk, by_name: true }).map_err(Refusal::from)
        }
    }
}

fn no_script(node: &Node, error: &boot::Error) -> Refusal {
    let refusal = Refusal::node(node, "has no boot script, see the log of the gateway");
    Refusal { error: Some(error.to_string()), ..refusal }
}

/// The node and its disk with the secret that it is to be given, if it may be.
async fn with_secret(
    control: &Control,
    node: &Node,
    disk: &Disk,
    by_name: bool,
) -> Result<(Node, Disk), Refusal> {
    let (project, name) = (&node.project, &node.name);
    let secrets = control.boot.0.options.secrets;
    let all = secrets == Secrets::All;
    match (secrets, &disk.chap_per_node) {
        (Secrets::Never, _) => {
            let why = "has a disk with CHAP, and this gateway gives no secrets to machines";
            Err(Refusal::node(node, why))
        }
        (Secrets::PerNode, None) => {
            let set = format!("stirrup disk set -p {project} {} --chap-per-node", disk.name);
            let why = format!("has a disk with a CHAP secret that is not its own: {set}");
            Err(Refusal::node(node, why))
        }
        // Names can be guessed, and whoever did would leave nothing to the machine.
        (_, Some(per_node)) if by_name && per_node.delivery == Delivery::Once => {
            let why = "has a CHAP secret that is given out once, to its MAC address and not by name: \
                       chain boot.ipxe";
            Err(Refusal::node(node, why))
        }
        (Secrets::PerNode | Secrets::All, _) => {
            // Not asked for by a caller: who bound the disk meant its node's machine to have it.
            let (by, of, called) = (Role::Admin, project.clone(), name.clone());
            match control.catalog.hand_out_chap(by, of, called, LOCK_PATIENCE).await {
                Ok((node, Some(DiskView { disk, .. }))) if all || disk.chap_per_node.is_some() => {
                    Ok((node, disk))
                }
                Ok((node, _)) => Err(Refusal::node(&node, "has another disk by now")),
                Err(error) if error.code() == "secret-delivered" => {
                    let rearm = format!("stirrup node rearm -p {project} {name}");
                    let why = "has been given its CHAP secret already, to have it given once more";
                    Err(Refusal::node(node, format!("{why}: {rearm}")))
                }
                Err(error) if error.code() == "busy" => {
                    Err(Refusal::node(node, "is being worked on: ask again in a moment"))
                }
                Err(error) => Err(error.into()),
            }
        }
    }
}

async fn find(control: &Control, machine: &Machine) -> Result<Found, Refusal> {
    let mac_only = [Identity::Mac];
    let by = match control.boot.0.options.identify_by.as_slice() {
        [] => &mac_only[..],
        by => by,
    };
    for identity in by {
        let mut found = match identity {
            Identity::Mac => by_macs(control, machine).await?,
            other => match machine.name_by(*other).and_then(|name| Name::node(&name).ok()) {
                Some(name) => control.catalog.nodes_by_name(name).await?,
                None => continue,
            },
        };
        match found.len() {
            0 => {}
            1 => {
                let (node, disk) = found.remove(0);
                return Ok(Found { node, disk, by_name: *identity != Identity::Mac });
            }
            _ => {
                let names = found.iter().map(|(node, _)| format!("{}/{}", node.project, node.name));
                let names = names.collect::<Vec<_>>().join(", ");
                return Err(Refusal::machine(format!("it is more than one node: {names}")));
            }
        }
    }
    Err(Refusal::machine(match machine.macs.as_slice() {
        [] => "it told no MAC address, so chain boot.ipxe".to_owned(),
        [mac] => format!("no node has MAC address {mac}"),
        macs => format!("no node has one of the MAC addresses {}", macs.join(", ")),
    }))
}

/// The nodes that have one of a machine's MAC addresses.
async fn by_macs(
    control: &Control,
    machine: &Machine,
) -> Result<Vec<(Node, Option<DiskView>)>, Refusal> {
    let mut found: Vec<(Node, Option<DiskView>)> = Vec::new();
    for mac in &machine.macs {
        let Some(new) = control.catalog.node_by_mac(mac.clone()).await? else { continue };
        let is_it = |node: &Node| (&node.project, &node.name) == (&new.0.project, &new.0.name);
        if !found.iter().any(|(node, _)| is_it(node)) {
            found.push(new);
        }
    }
    Ok(found)
}
