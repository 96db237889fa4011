//! Hints for the command line of a kernel that has its root on a disk.

use serde::Serialize;

use super::{Boot, Error, host, lun_field};

/// What to add to a kernel's command line, for each of the ways in which an initramfs finds its disk.
/// None holds a secret: with CHAP, firmware's table (iBFT) is the way that needs none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KernelArguments {
    /// dracut (Fedora, RHEL, SUSE), by what firmware has left in memory (iBFT).
    pub dracut_ibft: String,
    /// dracut without firmware: one `netroot` for each portal.
    pub dracut: String,
    /// initramfs-tools with open-iscsi (Debian, Ubuntu), by the iBFT.
    pub initramfs_tools_ibft: String,
    /// initramfs-tools without firmware: the first portal.
    pub initramfs_tools: String,
}

impl Boot<'_> {
    /// The hints.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn kernel_arguments(&self) -> Result<KernelArguments, Error> {
        self.checked()?;
        let portals = self.firmware_portals()?;
        let target = self.target;
        let netroot = |portal: &super::Portal| {
            let (host, port, lun) =
                (host(portal.address), portal.address.port(), lun_field(self.lun));
            format!("netroot=iscsi:{host}::{port}:{lun:x}:{target}")
        };
        let mut dracut: Vec<String> = portals.iter().map(netroot).collect();
        let mut debian = Vec::new();
        if let Some(initiator) = self.initiator {
            dracut.push(format!("rd.iscsi.initiator={initiator}"));
            debian.push(format!("iscsi_initiator={initiator}"));
        }
        dracut.push("ip=dhcp rd.neednet=1".to_owned());
        // Never empty.
        let first = portals[0];
        debian.extend([
            format!("iscsi_target_name={target}"),
            format!("iscsi_target_ip={}", first.address.ip()),
            format!("iscsi_target_port={}", first.address.port()),
            format!("iscsi_target_group={}", first.group),
            "ip=dhcp".to_owned(),
        ]);
        Ok(KernelArguments {
            dracut_ibft: "rd.iscsi.firmware=1 ip=ibft".to_owned(),
            dracut: dracut.join(" "),
            initramfs_tools_ibft: "iscsi_auto".to_owned(),
            initramfs_tools: debian.join(" "),
        })
    }
}
