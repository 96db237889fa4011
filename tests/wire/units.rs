//! Logical units: unit attentions, addressing, provisioning, caching, reports (T9 to T17, T20 to
//! T22).

use crate::lab::{BLOCK, Lab, MIB, TARGET, VOLUME_BYTES, lun, pattern};
use crate::session::{
    Codes, End, GOOD, INVALID_FIELD_IN_CDB, INVALID_FIELD_IN_LIST, LBA_OUT_OF_RANGE,
    LUN_NOT_SUPPORTED, Residual, Session, codes, lun_field, read10, write10,
};
use crate::support::gated::Gated;
use crate::support::raw::{Pdu, op};

const TEST_UNIT_READY: [u8; 6] = [0; 6];
const POWER_ON: Codes = (6, 0x29, 0x00);
const I_T_NEXUS_LOSS: Codes = (6, 0x29, 0x07);
const CAPACITY_CHANGED: Codes = (6, 0x2a, 0x09);
const LUNS_CHANGED: Codes = (6, 0x3f, 0x0e);
const MISCOMPARE: Codes = (0x0e, 0x1d, 0x00);
const PARAMETER_LIST_LENGTH_ERROR: Codes = (5, 0x1a, 0x00);

/// INQUIRY of a vital product data page.
fn vpd(session: &mut Session, page: u8) -> Vec<u8> {
    let end = session.read(&[0x12, 1, page, 2, 0, 0], 512);
    assert_eq!(end.status, GOOD);
    end.data
}

fn word(data: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(data[at..at + 4].try_into().unwrap())
}

#[test]
fn t09_unit_attentions_are_of_one_nexus_and_one_unit_and_heard_once() {
    let lab = Lab::new();
    let mut session = lab.login().session();
    // These neither report nor clear one.
    assert_eq!(session.read(&[0x12, 0, 0, 0, 36, 0], 36).good().len(), 36);
    assert_eq!(session.read(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0], 24).status, GOOD);
    // The other unit has its own; REQUEST SENSE tells it as data, and that was it.
    session.lun = lun_field(1);
    let sense = session.read(&[0x03, 0, 0, 0, 18, 0], 18).good();
    assert_eq!(codes(&sense), POWER_ON);
    assert_eq!(session.none(&TEST_UNIT_READY).status, GOOD);
    session.lun = lun_field(0);
    assert_eq!(session.none(&TEST_UNIT_READY).codes(), POWER_ON);
    assert_eq!(session.none(&TEST_UNIT_READY).status, GOOD);
    let sense = session.read(&[0x03, 0, 0, 0, 18, 0], 18).good();
    assert_eq!(codes(&sense), (0, 0, 0), "nothing more");
    // Another nexus has its own, and a reset by one is heard by both, once.
    let mut neighbour = lab.neighbour();
    let reset = session.tmf(5, 0xffff_ffff, 0);
    assert_eq!(session.manage(&reset), 0);
    for session in [&mut session, &mut neighbour] {
        let first = session.none(&TEST_UNIT_READY).codes();
        assert_eq!((first.0, first.1), (6, 0x29), "{first:x?}");
        assert_eq!(session.none(&TEST_UNIT_READY).status, GOOD);
        session.lun = lun_field(1);
        assert_eq!(session.none(&TEST_UNIT_READY).status, GOOD, "the other unit was not reset");
        session.lun = lun_field(0);
    }
}

#[test]
fn t10_a_new_session_hears_of_power_on_and_one_that_comes_back_of_the_loss() {
    let lab = Lab::new();
    let mut session = lab.login().session();
    assert_eq!(session.none(&TEST_UNIT_READY).codes(), POWER_ON);
    drop(session);
    let mut session = lab.login().session();
    assert_eq!(session.none(&TEST_UNIT_READY).codes(), I_T_NEXUS_LOSS);
    assert_eq!(session.none(&TEST_UNIT_READY).status, GOOD);
    let mut other = lab.login().isid(2).session();
    assert_eq!(other.none(&TEST_UNIT_READY).codes(), POWER_ON, "another nexus");
}

fn capacity(session: &mut Session) -> u32 {
    word(&session.read(&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8).good(), 0)
}

/// What a session hears next, in time: the target looks at its volumes by itself.
fn hears(session: &mut Session) -> Codes {
    let begin = std::time::Instant::now();
    loop {
        let end = session.none(&TEST_UNIT_READY);
        if end.status != GOOD {
            return end.codes();
        }
        assert!(begin.elapsed() < crate::support::HANG, "nothing is heard");
    }
}

#[test]
fn t11_every_nexus_hears_of_a_new_size_and_a_smaller_one_is_kept_to() {
    let lab = Lab::new();
    lab.volumes[0].set_size(32 * MIB);
    lab.publish(TARGET, Vec::new(), stirrup::target::Access::default());
    lab.publish(TARGET, lab.luns(), stirrup::target::Access::default());
    let mut sessions = [lab.session(), lab.neighbour()];
    let last = u32::try_from(32 * MIB / 512 - 1).unwrap();
    assert_eq!(capacity(&mut sessions[0]), last);
    assert_eq!(sessions[0].read(&read10(last + 1, BLOCK), BLOCK).codes(), LBA_OUT_OF_RANGE);
    lab.volumes[0].set_size(64 * MIB);
    for session in &mut sessions {
        assert_eq!(hears(session), CAPACITY_CHANGED);
        assert_eq!(capacity(session), 2 * last + 1);
        session.put(last + 1, &pattern(BLOCK, 1));
        assert_eq!(session.none(&TEST_UNIT_READY).status, GOOD);
    }
    lab.volumes[0].set_size(16 * MIB);
    for session in &mut sessions {
        assert_eq!(hears(session), CAPACITY_CHANGED);
        let write = session.write(&write10(last, BLOCK), &pattern(BLOCK, 2));
        assert_eq!(write.codes(), LBA_OUT_OF_RANGE, "behind the new end");
    }
}

#[test]
fn t12_a_change_of_the_lun_map_is_heard_on_every_unit() {
    let lab = Lab::new();
    let mut session = lab.session();
    session.ping();
    let mut luns = lab.luns();
    luns.push(lun(2, "third", Gated::new(MIB)));
    lab.publish(TARGET, luns, stirrup::target::Access::default());
    // The asynchronous message that makes initiators look (11.9): a SCSI event with its sense.
    let message = session.expect(op::ASYNC);
    assert_eq!(message.bhs[36], 0);
    assert_eq!(codes(&message.data[2..]), LUNS_CHANGED);
    for number in [0, 1] {
        session.lun = lun_field(number);
        assert_eq!(session.none(&TEST_UNIT_READY).codes(), LUNS_CHANGED);
        assert_eq!(session.none(&TEST_UNIT_READY).status, GOOD);
    }
    let list = session.read(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0], 32).good();
    assert_eq!(word(&list, 0), 24, "three units");
}

#[test]
fn t13_units_are_addressed_and_missing_ones_are_named_as_such() {
    let lab = Lab::new();
    let luns = vec![lun(0, "a", Gated::new(MIB)), lun(300, "b", Gated::new(2 * MIB))];
    lab.publish(TARGET, luns, stirrup::target::Access::default());
    let mut session = lab.login().session();
    let list = session.read(&[0xa0, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0], 256);
    let entries: Vec<_> = list.data[8..].chunks(8).map(|lun| lun[..2].to_vec()).collect();
    assert!(entries.contains(&vec![0x00, 0x00]) && entries.contains(&vec![0x41, 0x2c]));
    assert!(entries.contains(&vec![0xc1, 0x01]), "SELECT REPORT 02h: the well known one, too");
    // Flat space addressing, for small numbers, too.
    for (field, blocks) in [(0x412c, 4096), (0x4000, 2048), (0x0000, 2048)] {
        session.lun = field << 48;
        while session.none(&TEST_UNIT_READY).status != GOOD {}
        assert_eq!(capacity(&mut session) + 1, blocks, "{field:#x}");
    }
    // The REPORT LUNS well known logical unit.
    session.lun = 0xc101 << 48;
    assert_eq!(session.read(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0], 24).status, GOOD);
    let inquiry = session.read(&[0x12, 0, 0, 0, 36, 0], 36).good();
    assert_eq!(inquiry[0] & 0x1f, 0x1e, "a well known logical unit");
    // No such unit.
    for field in [0x0007, 0x4007, 0x412d, 0x0100, 0xc102, 0x8000] {
        session.lun = field << 48;
        let inquiry = session.read(&[0x12, 0, 0, 0, 36, 0], 36).good();
        assert_eq!(inquiry[0], 0x7f, "{field:#x}: no device of an unknown type");
        assert_eq!(session.none(&TEST_UNIT_READY).codes(), LUN_NOT_SUPPORTED);
        assert_eq!(session.read(&read10(0, BLOCK), BLOCK).codes(), LUN_NOT_SUPPORTED);
        let sense = session.read(&[0x03, 0, 0, 0, 18, 0], 18).good();
        assert_eq!(codes(&sense), LUN_NOT_SUPPORTED);
    }
}

/// COMPARE AND WRITE of so many blocks.
fn compare_and_write(session: &mut Session, lba: u32, old: &[u8], new: &[u8]) -> End {
    let mut cdb = [0; 16];
    cdb[0] = 0x89;
    cdb[6..10].copy_from_slice(&lba.to_be_bytes());
    cdb[13] = u8::try_from(old.len() / BLOCK).unwrap();
    session.write(&cdb, &[old, new].concat())
}

#[test]
fn t14_compare_and_write_compares_and_writes_in_one_step() {
    let lab = Lab::new();
    let mut session = lab.session();
    compare_and_write(&mut session, 0, &[], &[]).good();
    let (old, new) = (vec![0; 4 * BLOCK], pattern(4 * BLOCK, 1));
    compare_and_write(&mut session, 8, &old, &new).good();
    assert!(session.get(8, 4 * BLOCK) == new);
    // The offset of the first difference, in INFORMATION; nothing is written.
    let mut wrong = new.clone();
    wrong[1234] ^= 1;
    let end = compare_and_write(&mut session, 8, &wrong, &old);
    assert_eq!(end.codes(), MISCOMPARE);
    assert_eq!((end.sense[0], word(&end.sense, 3)), (0xf0, 1234), "VALID, and where");
    assert!(session.get(8, 4 * BLOCK) == new);
    // One block more than VPD page B0h allows.
    let most = usize::from(vpd(&mut session, 0xb0)[5]);
    assert_ne!(most, 0);
    if most < 255 {
        let data = vec![0; (most + 1) * BLOCK];
        let end = compare_and_write(&mut session, 0, &data, &data);
        assert_eq!(end.codes(), INVALID_FIELD_IN_CDB);
    }
    // 32 initiators count in one block; none of their steps is lost.
    const ROUNDS: u32 = 4;
    std::thread::scope(|scope| {
        for i in 0..32 {
            let mut session = lab.login().isid(100 + i).session();
            scope.spawn(move || {
                while session.none(&TEST_UNIT_READY).status != GOOD {}
                let mut done = 0;
                while done < ROUNDS {
                    let old = session.get(1000, BLOCK);
                    let mut new = old.clone();
                    new[..4].copy_from_slice(&(word(&old, 0) + 1).to_be_bytes());
                    let end = compare_and_write(&mut session, 1000, &old, &new);
                    if end.status == GOOD {
                        done += 1;
                    } else {
                        assert_eq!(end.codes(), MISCOMPARE);
                    }
                }
            });
        }
    });
    assert_eq!(word(&session.get(1000, BLOCK), 0), 32 * ROUNDS);
}

/// UNMAP with this parameter list.
fn unmap_list(session: &mut Session, list: &[u8]) -> End {
    let len = u16::try_from(list.len()).unwrap().to_be_bytes();
    session.write(&[0x42, 0, 0, 0, 0, 0, 0, len[0], len[1], 0], list)
}

/// UNMAP of these ranges.
fn unmap(session: &mut Session, ranges: &[(u64, u32)]) -> End {
    let len = u16::try_from(16 * ranges.len()).unwrap();
    let mut list = Vec::new();
    list.extend((len + 6).to_be_bytes());
    list.extend(len.to_be_bytes());
    list.extend([0; 4]);
    for (lba, count) in ranges {
        list.extend(lba.to_be_bytes());
        list.extend(count.to_be_bytes());
        list.extend([0; 4]);
    }
    unmap_list(session, &list)
}

#[test]
fn t15_unmap_checks_every_descriptor_before_it_does_anything() {
    let lab = Lab::new();
    let mut session = lab.session();
    let data = pattern(64 * BLOCK, 1);
    session.put(0, &data);
    let blocks = VOLUME_BYTES / 512;
    for bad in [
        (blocks, 1),
        (blocks - 1, 2),
        (u64::MAX, 1),
        (u64::MAX, 2),
        (u64::MAX - 1, u32::MAX),
        (0, u32::MAX),
    ] {
        let end = unmap(&mut session, &[(8, 8), bad]);
        assert_eq!(end.codes(), LBA_OUT_OF_RANGE, "{bad:?}");
        assert!(session.get(0, 64 * BLOCK) == data, "nothing of the list was done");
    }
    for short in [1, 4, 7] {
        assert_eq!(unmap_list(&mut session, &vec![0; short]).codes(), PARAMETER_LIST_LENGTH_ERROR);
    }
    assert_eq!(unmap_list(&mut session, &[]).status, GOOD, "no list, nothing to do");
    assert_eq!(unmap(&mut session, &[]).status, GOOD);
    let limits = vpd(&mut session, 0xb0);
    let most = word(&limits, 24) as usize;
    assert!((1..4000).contains(&most), "{most} descriptors");
    assert_eq!(unmap(&mut session, &vec![(8, 0); most + 1]).codes(), INVALID_FIELD_IN_LIST);
    assert_eq!(unmap(&mut session, &vec![(8, 0); most]).status, GOOD);
    assert!(session.get(0, 64 * BLOCK) == data);
    // Ranges that overlap, in any order.
    assert_eq!(unmap(&mut session, &[(12, 8), (8, 8)]).status, GOOD);
    let mut expected = data;
    expected[8 * BLOCK..20 * BLOCK].fill(0);
    assert!(session.get(0, 64 * BLOCK) == expected);
}

/// WRITE SAME(16) with this byte 1.
fn write_same(session: &mut Session, flags: u8, lba: u64, count: u32, data: &[u8]) -> End {
    let mut cdb = [0; 16];
    (cdb[0], cdb[1]) = (0x93, flags);
    cdb[2..10].copy_from_slice(&lba.to_be_bytes());
    cdb[10..14].copy_from_slice(&count.to_be_bytes());
    session.write(&cdb, data)
}

#[test]
fn t16_write_same_in_all_its_forms() {
    const NDOB: u8 = 0x01;
    const UNMAP: u8 = 0x08;
    const ANCHOR: u8 = 0x10;
    let lab = Lab::new();
    let mut session = lab.session();
    let block = pattern(BLOCK, 7);
    write_same(&mut session, 0, 8, 5, &block).good();
    let expected = [vec![0; BLOCK], block.repeat(5), vec![0; BLOCK]].concat();
    assert!(session.get(7, 7 * BLOCK) == expected);
    write_same(&mut session, NDOB, 9, 2, &[]).good();
    write_same(&mut session, UNMAP, 12, 1, &[0; BLOCK]).good();
    let expected = [&block[..], &[0; 2 * BLOCK], &block, &[0; BLOCK]].concat();
    assert!(session.get(8, 5 * BLOCK) == expected);
    // Unmapped with data that is not what unmapped blocks read as: the data counts.
    write_same(&mut session, UNMAP, 12, 1, &block).good();
    assert!(session.get(12, BLOCK) == block);
    let limits = vpd(&mut session, 0xb0);
    let (wsnz, most) = (limits[4] & 1, word(&limits, 40));
    assert_eq!((wsnz, word(&limits, 36)), (0, 0), "zero means all to the end");
    let blocks = VOLUME_BYTES / 512;
    write_same(&mut session, 0, blocks - 3, 0, &block).good();
    let tail = u32::try_from(blocks - 4).unwrap();
    assert!(session.get(tail, 4 * BLOCK) == [vec![0; BLOCK], block.repeat(3)].concat());
    let end = write_same(&mut session, 0, 0, 0, &block);
    assert_eq!(end.codes(), INVALID_FIELD_IN_CDB, "all is more than {most}");
    let end = write_same(&mut session, 0, 0, most + 1, &block);
    assert_eq!(end.codes(), INVALID_FIELD_IN_CDB, "more than {most}");
    write_same(&mut session, NDOB | UNMAP, 0, most, &[]).good();
    let end = write_same(&mut session, UNMAP | ANCHOR, 0, 1, &block);
    assert_eq!(end.codes(), INVALID_FIELD_IN_CDB, "there are no anchored blocks");
    let last = VOLUME_BYTES / 512 - 1;
    assert_eq!(write_same(&mut session, 0, last, 2, &block).codes(), LBA_OUT_OF_RANGE);
    assert_eq!(write_same(&mut session, 0, u64::MAX, 2, &block).codes(), LBA_OUT_OF_RANGE);
}

/// Sends a command and waits until its operation is at the volume; nothing comes before that has
/// ended. What the operation is.
fn held_up(lab: &Lab, session: &mut Session, command: &Pdu, data: &[u8]) -> &'static str {
    lab.volumes[0].hold();
    session.send(command);
    if !data.is_empty() {
        let r2t = session.expect(op::R2T);
        session.answer_r2t(command, &r2t, data);
    }
    lab.volumes[0].wait_for(1);
    session.ping();
    let ops = lab.volumes[0].held_ops();
    lab.volumes[0].release();
    let sent = u32::try_from(data.len()).unwrap();
    assert_eq!(session.finish_from(command, data, sent).status, GOOD);
    ops[0]
}

/// WCE of the caching mode page.
fn write_cache(session: &mut Session) -> bool {
    let page = session.read(&[0x1a, 8, 8, 0, 255, 0], 255).data;
    page[4 + 2] & 4 != 0
}

#[test]
fn t17_good_means_stable_storage_unless_a_cache_is_admitted() {
    let lab = Lab::new();
    let data = pattern(BLOCK, 1);
    let mut session = lab.session();
    assert!(!write_cache(&mut session));
    let write = session.write_command(0, BLOCK);
    assert_eq!(held_up(&lab, &mut session, &write, &data), "write");
    // With a volatile cache behind it.
    lab.volumes[0].set_write_cache();
    lab.publish(TARGET, Vec::new(), stirrup::target::Access::default());
    lab.publish(TARGET, lab.luns(), stirrup::target::Access::default());
    let mut session = lab.session();
    assert!(write_cache(&mut session));
    let write = session.write_command(0, BLOCK);
    assert_eq!(held_up(&lab, &mut session, &write, &data), "write");
    let fua = session.write_command(0, BLOCK).byte(33, 0x08);
    assert_eq!(held_up(&lab, &mut session, &fua, &data), "write fua");
    let flush = session.command(0, 0, &[0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(held_up(&lab, &mut session, &flush, &[]), "flush");
}

/// REPORT SUPPORTED OPERATION CODES.
fn rsoc(session: &mut Session, options: u8, opcode: u8, action: u16, len: u32) -> End {
    let [high, low] = action.to_be_bytes();
    let l = len.to_be_bytes();
    let cdb = [0xa3, 0x0c, options, opcode, high, low, l[0], l[1], l[2], l[3], 0, 0];
    session.read(&cdb, len as usize)
}

#[test]
fn t20_supported_opcodes_are_told_in_every_form() {
    let lab = Lab::new();
    let mut session = lab.session();
    let all = rsoc(&mut session, 0, 0, 0, 16_384);
    assert_eq!(word(&all.data, 0) as usize + 4, all.data.len());
    assert_eq!(all.data[4..].len() % 8, 0);
    let with_timeouts = rsoc(&mut session, 0x80, 0, 0, 16_384);
    assert_eq!(with_timeouts.data[4..].len() / 20, all.data[4..].len() / 8, "12 bytes more each");
    // SUPPORT: 3 is yes, 1 is no.
    let one = |session: &mut Session, options, opcode, action| {
        let end = rsoc(session, options, opcode, action, 64);
        assert_eq!(end.status, GOOD, "{opcode:#x}");
        end.data
    };
    let read = one(&mut session, 1, 0x28, 0);
    assert_eq!((read[1] & 7, read[3], read[4]), (3, 10, 0x28), "a usage map of ten bytes");
    assert_eq!(one(&mut session, 1, 0x2c, 0)[1] & 7, 1, "no such command");
    let timeouts = one(&mut session, 0x81, 0x28, 0);
    assert_eq!((timeouts[1] & 0x87, timeouts.len()), (0x83, 4 + 10 + 12));
    let capacity = one(&mut session, 2, 0x9e, 0x10);
    assert_eq!((capacity[1] & 7, capacity[3]), (3, 16));
    for action in [0x1f, 0x20, 0xff, 0x100, 0xffff] {
        assert_eq!(one(&mut session, 2, 0x9e, action)[1] & 7, 1, "service action {action:#x}");
        assert_eq!(one(&mut session, 3, 0x28, action)[1] & 7, 1);
    }
    // The wrong form for the command.
    assert_eq!(rsoc(&mut session, 1, 0x9e, 0, 64).codes(), INVALID_FIELD_IN_CDB);
    assert_eq!(rsoc(&mut session, 2, 0x28, 0, 64).codes(), INVALID_FIELD_IN_CDB);
    for options in 4..=7 {
        assert_eq!(rsoc(&mut session, options, 0, 0, 64).codes(), INVALID_FIELD_IN_CDB);
    }
}

#[test]
fn t21_short_allocation_lengths_cut_the_answer_and_leave_no_residual() {
    let lab = Lab::new();
    let mut session = lab.session();
    type Cdb = fn(u8) -> Vec<u8>;
    let commands: [(&str, Cdb); 7] = [
        ("INQUIRY", |len| vec![0x12, 0, 0, 0, len, 0]),
        ("INQUIRY 83h", |len| vec![0x12, 1, 0x83, 0, len, 0]),
        ("MODE SENSE(6)", |len| vec![0x1a, 0, 0x3f, 0, len, 0]),
        ("MODE SENSE(10)", |len| vec![0x5a, 0, 0x3f, 0, 0, 0, 0, 0, len, 0]),
        ("REPORT TARGET PORT GROUPS", |len| vec![0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0, len, 0, 0]),
        ("PERSISTENT RESERVE IN", |len| vec![0x5e, 2, 0, 0, 0, 0, 0, 0, len, 0]),
        ("READ CAPACITY(16)", |len| vec![0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, len, 0, 0]),
    ];
    for (name, cdb) in commands {
        let whole = session.read(&cdb(255), 255);
        assert_eq!(whole.status, GOOD, "{name}");
        let missing = 255 - u32::try_from(whole.data.len()).unwrap();
        assert_eq!(whole.residual, Residual::Under(missing), "{name}");
        assert_eq!(session.none(&cdb(0)).residual, Residual::None, "{name}");
        for len in [1, 4, 7, 8] {
            // What is cut by the allocation length is no residual.
            let end = session.read(&cdb(len), len.into());
            assert_eq!(end.good(), whole.data[..len.into()], "{name} {len}");
            let end = session.read(&cdb(len), 64);
            assert_eq!(end.residual, Residual::Under(64 - u32::from(len)), "{name} {len}");
        }
    }
    // REPORT LUNS wants 16 bytes at least (SPC-4); SPC-5 lets go of that.
    let report = |len| [0xa0, 0, 0, 0, 0, 0, 0, 0, 0, len, 0, 0];
    assert_eq!(session.read(&report(15), 15).codes(), INVALID_FIELD_IN_CDB);
    assert_eq!(session.read(&report(16), 16).good().len(), 16);
}

#[test]
fn t22_a_unit_is_known_by_its_disk_wherever_and_a_new_disk_is_another() {
    let page = |lab: &Lab, page| vpd(&mut lab.session(), page);
    let (one, other) = (Lab::new(), Lab::new());
    for number in [0x80, 0x83] {
        assert_eq!(page(&one, number), page(&other, number), "two gateways, one disk");
    }
    // The same name, made anew from the same image.
    let (serial, designators) = (page(&one, 0x80), page(&one, 0x83));
    let again = vec![lun(0, "first, made anew", one.volumes[0].clone()), one.luns().remove(1)];
    one.publish(TARGET, again, stirrup::target::Access::default());
    assert_ne!(page(&one, 0x80), serial);
    // Of the designators of the logical unit, none is as before.
    let of_unit = |page: &[u8]| -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let mut rest = &page[4..];
        while !rest.is_empty() {
            let (this, after) = rest.split_at(4 + usize::from(rest[3]));
            if this[1] >> 4 & 3 == 0 {
                found.push(this.to_vec());
            }
            rest = after;
        }
        found
    };
    let (before, after) = (of_unit(&designators), of_unit(&page(&one, 0x83)));
    assert!(before.iter().any(|designator| designator[1] & 0x0f == 3), "there is an NAA one");
    assert_eq!(before.len(), after.len());
    assert!(after.iter().all(|designator| !before.contains(designator)));
}
