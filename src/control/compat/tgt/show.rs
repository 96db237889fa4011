//! What `tgtadm --op show` prints, to the byte where scripts read it.

use std::fmt::{self, Write as _};

use super::targets::{Target, Unit};
use crate::control::{PortalInfo, SessionInfo};

/// What tgt calls its default driver.
pub(super) const DRIVER: &str = "iscsi";

/// `--mode target`: everything about all targets.
pub(super) fn targets(targets: &[Target], sessions: &[SessionInfo]) -> String {
    let mut out = String::new();
    for target in targets {
        // Nothing fails that writes to a string.
        let _ = write_target(&mut out, target, sessions);
    }
    out
}

fn write_target(out: &mut String, target: &Target, sessions: &[SessionInfo]) -> fmt::Result {
    writeln!(out, "Target {}: {}", target.tid, target.name)?;
    let state = if target.ready { "ready" } else { "offline" };
    writeln!(out, "    System information:\n        Driver: {DRIVER}\n        State: {state}")?;
    writeln!(out, "    I_T nexus information:")?;
    for session in of_target(sessions, &target.name) {
        writeln!(out, "        I_T nexus: {}", session.id)?;
        writeln!(out, "            Initiator: {} alias: none", session.initiator)?;
        writeln!(out, "            Connection: 0")?;
        writeln!(out, "                IP Address: {}", address(session))?;
    }
    writeln!(out, "    LUN information:")?;
    write_unit(out, &Unit::controller(target.tid))?;
    if let Some(unit) = &target.unit {
        write_unit(out, unit)?;
    }
    writeln!(out, "    Account information:")?;
    if let Some(user) = &target.rules.incoming {
        writeln!(out, "        {}", user.name)?;
    }
    if let Some(user) = &target.rules.outgoing {
        writeln!(out, "        {} (outgoing)", user.name)?;
    }
    writeln!(out, "    ACL information:")?;
    let addresses = target.rules.addresses.iter().map(ToString::to_string);
    for rule in addresses.chain(target.rules.initiators.iter().cloned()) {
        writeln!(out, "        {rule}")?;
    }
    Ok(())
}

fn write_unit(out: &mut String, unit: &Unit) -> fmt::Result {
    let yes = |is: bool| if is { "Yes" } else { "No" };
    writeln!(out, "        LUN: {}", unit.lun)?;
    writeln!(out, "            Type: {}", unit.kind)?;
    writeln!(out, "            SCSI ID: {}", unit.scsi_id)?;
    writeln!(out, "            SCSI SN: {}", unit.scsi_sn)?;
    let (size, block) = (megabytes(unit.size_bytes), unit.block_bytes);
    writeln!(out, "            Size: {size} MB, Block size: {block}")?;
    writeln!(out, "            Online: {}", yes(unit.online))?;
    writeln!(out, "            Removable media: No\n            Prevent removal: No")?;
    writeln!(out, "            Readonly: {}\n            SWP: No", yes(unit.read_only))?;
    writeln!(out, "            Thin-provisioning: {}", yes(unit.thin))?;
    writeln!(out, "            Backing store type: {}", unit.store)?;
    writeln!(out, "            Backing store path: {}", unit.path)?;
    writeln!(out, "            Backing store flags: ")
}

/// As disks are sold, by the rule of IDEMA LBA1-03, as tgt computes it.
fn megabytes(size_bytes: u64) -> u64 {
    let sectors = size_bytes / 512;
    sectors.wrapping_sub((sectors / 625).wrapping_sub(974)) / 1950
}

fn of_target<'s>(
    sessions: &'s [SessionInfo],
    target: &'s str,
) -> impl Iterator<Item = &'s SessionInfo> {
    sessions.iter().filter(move |session| session.target.as_deref() == Some(target))
}

fn address(session: &SessionInfo) -> String {
    match session.address.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// `--mode conn --tid N`.
pub(super) fn connections(target: &str, sessions: &[SessionInfo]) -> String {
    let show = |session: &SessionInfo| {
        format!(
            "Session: {}\n    Connection: 0\n        Initiator: {}\n        IP Address: {}\n",
            session.id,
            session.initiator,
            address(session)
        )
    };
    of_target(sessions, target).map(show).collect()
}

/// `--mode portal`.
pub(super) fn portals(portals: &[PortalInfo]) -> String {
    portals.iter().map(|portal| format!("Portal: {},{}\n", portal.address, portal.tpgt)).collect()
}

/// `--mode account`.
pub(super) fn accounts<'a>(users: impl Iterator<Item = &'a str>) -> String {
    let lines: String = users.map(|user| format!("    {user}\n")).collect();
    if lines.is_empty() { lines } else { format!("Account list:\n{lines}") }
}

/// `--mode lld`.
pub(super) fn drivers(targets: &[Target]) -> String {
    let line = |target: &Target| format!("        Target {}: {}\n", target.tid, target.name);
    format!("LLDs:\n    {DRIVER}: ready\n{}", targets.iter().map(line).collect::<String>())
}

/// `--mode sys`.
pub(super) fn system() -> String {
    format!(
        "System:\n    State: ready\n    debug: off\n\
         LLDs:\n    {DRIVER}: ready\n\
         Backing stores:\n    rbd\n    rdwr\n\
         Device types:\n    disk\n    controller\n\
         iSNS:\n    iSNS=Off\n    iSNSServerIP=\n    iSNSServerPort=3205\n    iSNSAccessControl=Off\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_tgt_prints_them() {
        // Recorded from tgtd 1.0.85.
        for (bytes, shown) in [(0, 0), (16 << 20, 17), (1 << 30, 1074), (10 << 30, 10737)] {
            assert_eq!(megabytes(bytes), shown, "{bytes}");
        }
    }
}
