//! A look at the first sector of an image: will it boot?

use crate::catalog::model::Warning;

/// Bytes that [`examine`] wants.
pub(in crate::catalog) const HEAD_BYTES: usize = 512;
const BOOT_CODE_BYTES: usize = 440;
const PARTITIONS_AT: usize = 446;
const PARTITION_BYTES: usize = 16;
const PARTITIONS: usize = 4;
/// Partition type of a protective MBR (UEFI 2.10 5.2.3).
const TYPE_GPT: u8 = 0xee;
/// Where the end CHS is in a partition's entry.
const END_CHS: std::ops::Range<usize> = 5..8;
/// Head 254, sector 63, cylinder 1023: the geometry (255 heads, 63 sectors) that BIOSes take for
/// granted. iPXE takes the INT 13h geometry from here.
const END_CHS_GOOD: [u8; 3] = [0xfe, 0xff, 0xff];

/// What is worth saying about an image with this first sector.
pub(in crate::catalog) fn examine(head: &[u8; HEAD_BYTES]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |code: &str, message: &str| {
        warnings.push(Warning { code: code.to_owned(), message: message.to_owned() });
    };
    if head[510..] != [0x55, 0xaa] {
        warn(
            "no-boot-signature",
            "the first sector has no boot signature (55 aa), so there is neither a boot sector nor \
             a partition table: no machine will boot from it",
        );
        return warnings;
    }
    let table = &head[PARTITIONS_AT..510];
    if table.iter().all(|&byte| byte == 0) {
        warn("no-partition-table", "the partition table is empty: UEFI will not boot from it");
    }
    if head[..BOOT_CODE_BYTES].iter().all(|&byte| byte == 0) {
        warn("no-boot-code", "there is no boot code in the first sector: only UEFI can boot it");
    }
    if slow_entries(head).next().is_some() {
        warn(
            "gpt-boot-chs",
            "the protective MBR ends at another CHS than fe ff ff: under iPXE, BIOS GRUB will read \
             512 bytes a command (a boot takes many times longer); import with fix_boot_chs to \
             mend it in the copy",
        );
    }
    warnings
}

/// Mends what [`examine`] calls `gpt-boot-chs`.
pub(in crate::catalog) fn fix_boot_chs(head: &mut [u8; HEAD_BYTES]) {
    let entries: Vec<usize> = slow_entries(head).collect();
    for at in entries {
        head[at + END_CHS.start..at + END_CHS.end].copy_from_slice(&END_CHS_GOOD);
    }
}

/// Offsets of the partition entries whose end CHS slows BIOS down.
fn slow_entries(head: &[u8; HEAD_BYTES]) -> impl Iterator<Item = usize> {
    (0..PARTITIONS).map(|index| PARTITIONS_AT + index * PARTITION_BYTES).filter(|&at| {
        head[510..] == [0x55, 0xaa]
            && head[at + 4] == TYPE_GPT
            && head[at + END_CHS.start..at + END_CHS.end] != END_CHS_GOOD
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(head: &[u8; HEAD_BYTES]) -> Vec<String> {
        examine(head).into_iter().map(|warning| warning.code).collect()
    }

    #[test]
    fn each_head_gets_its_warnings() {
        let mut head = [0; HEAD_BYTES];
        assert_eq!(codes(&head), ["no-boot-signature"]);
        head[510..].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(codes(&head), ["no-partition-table", "no-boot-code"]);
        head[0] = 0xeb;
        head[PARTITIONS_AT + 4] = 0x83;
        assert!(codes(&head).is_empty());
        head[PARTITIONS_AT + 4] = TYPE_GPT;
        head[PARTITIONS_AT + 5..PARTITIONS_AT + 8].copy_from_slice(&[0x20, 0x01, 0x00]);
        assert_eq!(codes(&head), ["gpt-boot-chs"]);
    }

    #[test]
    fn mending_touches_the_end_chs_of_the_protective_entry_only() {
        let mut head = [0x11; HEAD_BYTES];
        head[510..].copy_from_slice(&[0x55, 0xaa]);
        head[PARTITIONS_AT + PARTITION_BYTES + 4] = TYPE_GPT;
        let before = head;
        fix_boot_chs(&mut head);
        assert!(!codes(&head).contains(&"gpt-boot-chs".to_owned()));
        let changed: Vec<usize> = (0..HEAD_BYTES).filter(|&i| head[i] != before[i]).collect();
        let at = PARTITIONS_AT + PARTITION_BYTES;
        assert_eq!(changed, [at + 5, at + 6, at + 7]);
    }
}
