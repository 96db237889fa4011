//! A look at the beginning of an image: will it boot?

use crate::catalog::model::Warning;

/// Bytes that [`examine`] wants, or as many as there are: the MBR, and the GPT's header and entries
/// (UEFI 2.10 5.3).
pub(in crate::catalog) const LOOK_BYTES: usize = 34 * SECTOR_BYTES;
/// Bytes that [`fix_boot_chs`] wants.
pub(in crate::catalog) const HEAD_BYTES: usize = SECTOR_BYTES;
const SECTOR_BYTES: usize = 512;
const BOOT_CODE_BYTES: usize = 440;
const PARTITIONS_AT: usize = 446;
const PARTITION_BYTES: usize = 16;
const PARTITIONS: usize = 4;
/// Partition type of a protective MBR (UEFI 2.10 5.2.3).
const TYPE_GPT: u8 = 0xee;
/// Partition type of an EFI system partition in an MBR.
const TYPE_EFI: u8 = 0xef;
/// Where the end CHS is in a partition's entry.
const END_CHS: std::ops::Range<usize> = 5..8;
/// Head 254, sector 63, cylinder 1023: the geometry (255 heads, 63 sectors) that BIOSes take for
/// granted. iPXE takes the INT 13h geometry from here.
const END_CHS_GOOD: [u8; 3] = [0xfe, 0xff, 0xff];
/// What a GPT's header begins with.
const GPT_SIGNATURE: &[u8] = b"EFI PART";
/// C12A7328-F81F-11D2-BA4B-00A0C93EC93B, as it is stored.
const GUID_EFI: [u8; 16] = [
    0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
];
/// A GPT's entries are at least so long, and lie in the sectors 2 to 33 unless there are more than
/// 128.
const GPT_ENTRY_BYTES: usize = 128;

/// What is worth saying about an image of `size_bytes` that begins so.
pub(in crate::catalog) fn examine(head: &[u8], size_bytes: u64) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |code: &str, message: &str| {
        warnings.push(Warning { code: code.to_owned(), message: message.to_owned() });
    };
    if head.starts_with(b"QFI\xfb") {
        warn(
            "raw-is-qcow2",
            "this begins like a qcow2 file, but was taken as raw: nodes would see the qcow2 file \
             itself as their disk; import it as qcow2",
        );
        return warnings;
    }
    let sector = head.get(..SECTOR_BYTES).unwrap_or_default();
    if !sector.ends_with(&[0x55, 0xaa]) {
        warn(
            "no-boot-signature",
            "the first sector has no boot signature (55 aa), so there is neither a boot sector nor \
             a partition table: no machine will boot from it",
        );
        return warnings;
    }
    if sector[PARTITIONS_AT..510].iter().all(|&byte| byte == 0) {
        warn("no-partition-table", "the partition table is empty: UEFI will not boot from it");
    }
    let mut efi = types(sector).any(|kind| kind == TYPE_EFI);
    if types(sector).any(|kind| kind == TYPE_GPT) {
        let gpt = head.get(SECTOR_BYTES..).filter(|rest| rest.starts_with(GPT_SIGNATURE));
        if let Some(gpt) = gpt {
            let entries = gpt.get(SECTOR_BYTES..).unwrap_or_default();
            efi |= entries.chunks_exact(GPT_ENTRY_BYTES).any(|entry| entry.starts_with(&GUID_EFI));
            if last_sector(gpt).is_some_and(|last| last >= size_bytes / SECTOR_BYTES as u64) {
                warn(
                    "gpt-beyond-end",
                    "the partition table is that of a larger disk, and ends beyond the image: was \
                     the file cut off?",
                );
            }
        } else if head.get(4096..).is_some_and(|rest| rest.starts_with(GPT_SIGNATURE)) {
            warn(
                "gpt-4k-sectors",
                "the partition table was made for a disk with sectors of 4096 bytes; nodes see \
                 sectors of 512 bytes, and will not find the partitions",
            );
        } else {
            warn(
                "no-gpt",
                "the first sector says that there is a GPT, and there is none: nodes will not find \
                 the partitions",
            );
        }
    }
    if sector[..BOOT_CODE_BYTES].iter().all(|&byte| byte == 0) {
        if efi {
            warn(
                "no-boot-code",
                "there is no boot code in the first sector: only UEFI can boot it",
            );
        } else {
            warn(
                "no-boot-loader",
                "there is neither boot code in the first sector, for BIOS, nor an EFI system \
                 partition: no machine will boot from it",
            );
        }
    }
    if slow_entries(sector).next().is_some() {
        warn(
            "gpt-boot-chs",
            "the protective MBR ends at another CHS than fe ff ff: under iPXE, BIOS GRUB will read \
             512 bytes a command (a boot takes many times longer); import with fix_boot_chs to \
             mend it in the copy",
        );
    }
    warnings
}

/// Where the other copy of a GPT is, the last sector of its disk.
fn last_sector(header: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(header.get(32..40)?.try_into().ok()?))
}

/// The partition types of an MBR.
fn types(sector: &[u8]) -> impl Iterator<Item = u8> {
    (0..PARTITIONS)
        .filter_map(|index| sector.get(PARTITIONS_AT + index * PARTITION_BYTES + 4).copied())
}

/// Mends what [`examine`] calls `gpt-boot-chs`; whether there was something to mend.
pub(in crate::catalog) fn fix_boot_chs(head: &mut [u8]) -> bool {
    let entries: Vec<usize> = slow_entries(head).collect();
    for at in &entries {
        head[at + END_CHS.start..at + END_CHS.end].copy_from_slice(&END_CHS_GOOD);
    }
    !entries.is_empty()
}

/// Offsets of the partition entries whose end CHS slows BIOS down.
fn slow_entries(head: &[u8]) -> impl Iterator<Item = usize> {
    let is_mbr = head.get(510..SECTOR_BYTES) == Some(&[0x55, 0xaa]);
    (0..PARTITIONS).map(|index| PARTITIONS_AT + index * PARTITION_BYTES).filter(move |&at| {
        is_mbr
            && head[at + 4] == TYPE_GPT
            && head[at + END_CHS.start..at + END_CHS.end] != END_CHS_GOOD
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISK_BYTES: u64 = 1 << 20;

    fn codes(head: &[u8]) -> Vec<String> {
        examine(head, DISK_BYTES).into_iter().map(|warning| warning.code).collect()
    }

    fn mbr(kind: u8, boot_code: u8) -> Vec<u8> {
        let mut head = vec![0; LOOK_BYTES];
        head[0] = boot_code;
        head[PARTITIONS_AT + 4] = kind;
        head[PARTITIONS_AT + 5..PARTITIONS_AT + 8].copy_from_slice(&END_CHS_GOOD);
        head[510..512].copy_from_slice(&[0x55, 0xaa]);
        head
    }

    fn gpt(boot_code: u8, last_sector: u64, first_type: &[u8]) -> Vec<u8> {
        let mut head = mbr(TYPE_GPT, boot_code);
        head[512..520].copy_from_slice(GPT_SIGNATURE);
        head[544..552].copy_from_slice(&last_sector.to_le_bytes());
        // Not the first entry: a BIOS boot partition is before it.
        head[1024 + GPT_ENTRY_BYTES..][..first_type.len()].copy_from_slice(first_type);
        head
    }

    #[test]
    fn each_head_gets_its_warnings() {
        assert_eq!(codes(&[0; HEAD_BYTES]), ["no-boot-signature"]);
        assert_eq!(codes(&[]), ["no-boot-signature"]);
        assert_eq!(codes(b"QFI\xfb and so on"), ["raw-is-qcow2"]);
        let mut head = [0; HEAD_BYTES];
        head[510..].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(codes(&head), ["no-partition-table", "no-boot-loader"]);
        assert!(codes(&mbr(0x83, 0xeb)).is_empty());
        assert_eq!(codes(&mbr(0x83, 0)), ["no-boot-loader"]);
        assert_eq!(codes(&mbr(TYPE_EFI, 0)), ["no-boot-code"]);
    }

    #[test]
    fn a_gpt_is_looked_into() {
        let last = DISK_BYTES / 512 - 1;
        assert!(codes(&gpt(0xeb, last, &GUID_EFI)).is_empty());
        assert_eq!(codes(&gpt(0, last, &GUID_EFI)), ["no-boot-code"]);
        assert_eq!(codes(&gpt(0, last, &[1; 16])), ["no-boot-loader"]);
        assert_eq!(codes(&gpt(0xeb, last + 1, &GUID_EFI)), ["gpt-beyond-end"]);
        assert_eq!(codes(&gpt(0xeb, u64::MAX, &GUID_EFI)), ["gpt-beyond-end"]);
        assert_eq!(codes(&mbr(TYPE_GPT, 0xeb)), ["no-gpt"]);
        let mut large = mbr(TYPE_GPT, 0xeb);
        large[4096..4104].copy_from_slice(GPT_SIGNATURE);
        assert_eq!(codes(&large), ["gpt-4k-sectors"]);
        // A head that ends anywhere is no reason to panic.
        for len in 0..2048 {
            codes(&gpt(0, last, &GUID_EFI)[..len]);
        }
        let mut slow = gpt(0xeb, last, &GUID_EFI);
        slow[PARTITIONS_AT + 5..PARTITIONS_AT + 8].copy_from_slice(&[0x20, 0x01, 0x00]);
        assert_eq!(codes(&slow), ["gpt-boot-chs"]);
        assert!(fix_boot_chs(&mut slow) && codes(&slow).is_empty());
        assert!(!fix_boot_chs(&mut slow) && !fix_boot_chs(&mut [0; 100]));
    }

    #[test]
    fn mending_touches_the_end_chs_of_the_protective_entry_only() {
        let mut head = [0x11; HEAD_BYTES];
        head[510..].copy_from_slice(&[0x55, 0xaa]);
        head[PARTITIONS_AT + PARTITION_BYTES + 4] = TYPE_GPT;
        let before = head;
        assert!(fix_boot_chs(&mut head));
        assert!(!codes(&head).contains(&"gpt-boot-chs".to_owned()));
        let changed: Vec<usize> = (0..HEAD_BYTES).filter(|&i| head[i] != before[i]).collect();
        let at = PARTITIONS_AT + PARTITION_BYTES;
        assert_eq!(changed, [at + 5, at + 6, at + 7]);
    }
}
