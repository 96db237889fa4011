# In the guest: the commands of sg3_utils, their answers and what they do to the blocks.
# Environment: PORTAL COMMANDS (a target) SIZE_BYTES
# shellcheck shell=bash disable=SC2153

start_iscsid
new_node "$COMMANDS" "$PORTAL" >/dev/null
attach "$COMMANDS"
sg=/dev/$(basename "/sys/block/${disk##*/}"/device/scsi_generic/*)
blocks_total=$((SIZE_BYTES / 512))

# sense PATTERN COMMAND...: the command fails and its words match: sg3_utils names the sense.
sense() {
    local pattern=$1 status=0 output
    shift
    output=$("$@" 2>&1) || status=$?
    [ "$status" != 0 ] && grep -Eiq -- "$pattern" <<<"$output" && return
    echo "exit $status; wanted a failure with: $pattern"
    echo "$output"
    return 1
}
invalid_field() { sense 'invalid field in cdb' "$@"; }
# fill FIRST COUNT: noise, kept in /tmp/noise.
fill() {
    head -c "$(($2 * 512))" /dev/urandom >/tmp/noise
    dd if=/tmp/noise of="$disk" bs=128k seek="$(($1 * 512))" oflag=direct,seek_bytes conv=notrunc \
        status=none
}
# holds FIRST COUNT FILE: the blocks are what the file begins with.
holds() { cmp <(blocks "$disk" "$1" "$2") <(head -c "$(($2 * 512))" "$3"); }

sg_stpg_words() { sg_stpg --offline "$disk" 2>&1 || true; }
sg_dd_read() { cmp <(sg_dd if="$sg" of=- bs=512 count=2048 iflag=dpo,fua 2>/dev/null) /tmp/noise; }
sg_dd_write() {
    sg_dd if=/tmp/noise of="$sg" bs=512 count=64 seek=4096 oflag=fua && holds 4096 64 /tmp/noise
}
# prefetch [--10]: sg_seek counts CONDITION MET, which says that all the blocks are cached.
prefetch() { sg_seek "$@" --pre-fetch --lba=0 --num-blocks=128 "$disk"; }
# same_noise --10|--16: a block of noise over 256 blocks.
same_noise() {
    local each=/tmp/same
    sg_write_same "$1" --lba=0 --num=256 --xferlen=512 --in=/tmp/noise "$disk" || return
    head -c 512 /tmp/noise >$each
    for _ in 1 2 3 4 5 6 7 8; do cat $each $each >$each.twice && mv $each.twice $each; done
    holds 0 256 $each && fill_first
}
# fill_first: the first 256 blocks are noise again.
fill_first() { dd if=/tmp/noise of="$disk" bs=128k count=1 oflag=direct conv=notrunc status=none; }

# INQUIRY and vital product data.
check "sg_inq: a disk, SPC-4 or later" says 'PDT=0 .*\[SPC-[456]\]' sg_inq "$disk"
check "sg_inq: command queuing, implicit ALUA" says 'TPGS=1|CmdQue=1' sg_inq "$disk"
# vpd PAGE LENGTH: bytes of a page in hexadecimal, as the target gives them for that length.
vpd() {
    sg_raw --request="$2" --outfile=/tmp/vpd "$disk" 12 01 "$1" 00 "$(printf %02x "$2")" 00 \
        >/dev/null 2>&1 && od -An -v -tx1 /tmp/vpd | tr '\n' ' '
}
read -r -a pages <<<"$(vpd 00 252 | cut -d ' ' -f 6-)"
for page in 00 80 83 86 b0 b1 b2; do
    check "VPD page $page is listed" grep -qw "$page" <(echo "${pages[*]}")
done
check "the VPD pages are in order" eval '[ "${pages[*]}" = "$(printf "%s\n" "${pages[@]}" | sort -u | tr "\n" " " | sed "s/ $//")" ]'
four_bytes() { [ "$(vpd "$1" 4)" = "$(vpd "$1" 252 | cut -c 1-12) " ]; }
for page in "${pages[@]}"; do
    check "sg_inq --page=0x$page" sg_inq --page="0x$page" "$disk"
    check "sg_vpd --page=0x$page" sg_vpd --page="0x$page" "$disk"
    check "VPD page $page: its first four bytes" four_bytes "$page"
done
refused "sg_vpd --page=0xc0: there is none" sg_vpd --page=0xc0 --force "$disk"
check "VPD 80: a serial number of 32 digits" says ': [0-9a-f]{32}$' sg_vpd --page=sn "$disk"
di() { sg_vpd --page=di "$disk"; }
check "VPD 83: an NAA designator" says 'designator type: NAA' di
check "VPD 83: an EUI-64 designator" says 'designator type: EUI-64' di
check "VPD 83: a T10 designator" says 'designator type: T10' di
check "VPD 83: the target's name" says "^ +$COMMANDS\$" di
check "VPD 83: the port's name" says "^ +$COMMANDS,t,0x0001\$" di
check "VPD 83: Linux took the NAA designator" grep -q '^naa\.' "/sys/block/${disk##*/}/device/wwid"
check "VPD 86: head of queue, ordered and simple tasks" says 'HEADSUP=1 ORDSUP=1 SIMPSUP=1' \
    sg_vpd --page=ei "$disk"
bl() { sg_vpd --page=bl "$disk"; }
check "VPD b0: UNMAP has limits" says 'Maximum unmap LBA count: (-1|[1-9])' bl
check "VPD b0: a longest transfer" says 'Maximum transfer length: [1-9]' bl
check "VPD b0: COMPARE AND WRITE" says 'Maximum compare and write length: [1-9]' bl
check "VPD b1: no rotation" says 'Non-rotating medium' sg_vpd --page=bdc "$disk"
check "VPD b2: UNMAP and both WRITE SAME unmap" says 'LBPU\): 1' sg_vpd --page=lbpv "$disk"

# What the unit says of itself.
check "sg_readcap 10" says "Number of logical blocks=$blocks_total\$|Number of logical blocks=$blocks_total " sg_readcap "$disk"
check "sg_readcap 16: thin, zeros read from what is unmapped" says 'lbpme=1, lbprz=1' sg_readcap --16 "$disk"
check "sg_readcap 16: 4096-byte physical blocks" says 'physical block length=4096' sg_readcap --16 "$disk"
check "sg_luns: one unit" says '^    0001000000000000$' sg_luns "$disk"
check "sg_luns: the well-known unit" says '^    c101000000000000$' sg_luns --select=1 "$disk"
check "sg_modes: all pages, 10 bytes" says '>> Caching' sg_modes --all "$disk"
check "sg_modes: all pages, 6 bytes" says '>> Control' sg_modes --six --all "$disk"
for control in 0 1 2; do
    check "sg_modes: page control $control" sg_modes --page=8 --control=$control "$disk"
done
refused "sg_modes: a page there is not" sg_modes --page=0x05 "$disk"
check "sg_wr_mode: D_SENSE on" sg_wr_mode --page=0x0a --contents=0a,0a,06,10,0,40,0,0,ff,ff,0,0 "$disk"
descriptor_sense() { sense 'descriptor format' sg_raw --request=512 "$disk" 88 00 00 00 00 ff ff ff ff 00 00 00 00 01 00 00; }
check "sense data come in descriptor format" descriptor_sense
check "sg_wr_mode: D_SENSE off" sg_wr_mode --page=0x0a --contents=0a,0a,02,10,0,40,0,0,ff,ff,0,0 "$disk"
sg_turs "$disk" >/dev/null 2>&1 # the unit attention MODE PARAMETERS CHANGED, if it is for us
refused "sg_wr_mode: a field that cannot be changed" \
    sg_wr_mode --page=8 --contents=08,12,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1 "$disk"
check "sg_opcodes: a list" says 'Compare and write' sg_opcodes "$disk"
check "sg_opcodes: one" says 'Command is supported' sg_opcodes --opcode=0x93 "$disk"
check "sg_opcodes: one with a service action" says 'Command is supported' sg_opcodes --opcode=0x9e,0x10 "$disk"
check "sg_opcodes: one there is not" says 'NOT supported' sg_opcodes --opcode=0xed "$disk"
check "sg_opcodes: task management" says 'Logical unit reset' sg_opcodes --tmf "$disk"
check "sg_requests: fixed" says 'Fixed format.*No Sense' sg_requests "$disk"
check "sg_requests: descriptor" says 'Descriptor format.*No Sense' sg_requests --desc "$disk"
check "sg_turs" sg_turs --num=10 "$disk"
check "sg_rtpg: active/optimized" says 'active/optimized' sg_rtpg --decode "$disk"
check "sg_rtpg: extended header" says 'Implicit transition time' sg_rtpg --extended "$disk"
check "sg_stpg: refused, ALUA is implicit" says 'Illegal request' sg_stpg_words
check "sg_persist: capabilities" says 'Persist Through Power Loss Capable\(PTPL_C\): 1' sg_persist --no-inquiry -c "$disk"
check "sg_reassign: no defects" says 'grown defect list: 0' sg_reassign --grown "$disk"
unknown_opcode() { sense 'invalid command operation code' sg_raw "$disk" ed 00 00 00 00 00 00 00 00 00; }
check "an operation code that does not exist" unknown_opcode
check "a service action that does not exist" invalid_field sg_raw "$disk" 9e 1f 00 00 00 00 00 00 00 00 00 00 00 00 00 00
check "a read beyond the end" sense 'out of range' \
    sg_raw --request=512 "$disk" 88 00 00 00 00 ff ff ff ff 00 00 00 00 01 00 00
check "sg_start: stop" sg_start --stop "$disk"
check "sg_start: stopped: not ready" sense 'not ready' sg_turs -v "$disk"
check "sg_start: start" sg_start --start "$disk"
check "sg_start: started: ready" sg_turs "$disk"
check "sg_prevent" sg_prevent --prevent=1 "$disk"
check "sg_prevent: allow" sg_prevent --allow "$disk"

# What commands do to the blocks.
check "write 1 MiB of noise" fill 0 2048
check "sg_dd: read with DPO and FUA" sg_dd_read
check "sg_dd: write with FUA" sg_dd_write
check "sg_verify 10" sg_verify --lba=0 --count=128 "$disk"
check "sg_verify 16" sg_verify --16 --lba=0 --count=128 "$disk"
check "sg_verify: the bytes, too" sg_verify --lba=0 --count=16 --ndo=8192 --in=/tmp/noise "$disk"
check "sg_verify: one block against many" sense 'miscompare' \
    sg_verify --16 --lba=0 --count=16 --ebytchk=3 --ndo=512 --in=/tmp/noise "$disk"
check "sg_verify: other bytes" sense 'miscompare' \
    sg_verify --lba=1 --count=16 --ndo=8192 --in=/tmp/noise "$disk"
check "sg_sync 10" sg_sync --lba=0 --count=128 "$disk"
check "sg_sync 16" sg_sync --16 "$disk"
check "sg_seek: PRE-FETCH 10" prefetch --10
check "sg_seek: PRE-FETCH 16" prefetch
check "sg_unmap" sg_unmap --force --lba=1024 --num=1024 "$disk"
check "sg_unmap: reads as zeros" holds 1024 1024 /dev/zero
check "sg_unmap: and nothing else does" holds 0 1024 /tmp/noise
check "sg_unmap: beyond the end" sense 'out of range' \
    sg_unmap --force --lba="$blocks_total" --num=1 "$disk"
check "sg_get_lba_status: mapped" says '0x0000000000000000 .*mapped' sg_get_lba_status --lba=0 "$disk"
check "sg_get_lba_status: deallocated" says 'deallocated' sg_get_lba_status --lba=$((blocks_total / 2)) "$disk"
check "sg_get_lba_status: beyond the end" sense 'out of range' \
    sg_get_lba_status --lba="$blocks_total" "$disk"
fill 0 2048
check "sg_write_same 10: one block of noise" same_noise --10
check "sg_write_same 16: one block of noise" same_noise --16
check "sg_write_same 16: unmap" \
    sg_write_same --16 --unmap --lba=256 --num=256 --xferlen=512 --in=/dev/zero "$disk"
check "sg_write_same 16: without data" sg_write_same --16 --ndob --lba=512 --num=256 "$disk"
check "sg_write_same: zeros" holds 256 512 /dev/zero
check "sg_write_same: the blocks behind are as they were" cmp <(blocks "$disk" 768 1280) <(tail -c +393217 /tmp/noise)
head -c 1024 /dev/zero >/tmp/swap
head -c 1024 /dev/urandom >>/tmp/swap
swap() { sg_compare_and_write --in=/tmp/swap --lba=256 --num=2 --xferlen=2048 "$disk"; }
check "sg_compare_and_write" swap
check "sg_compare_and_write: written" cmp <(blocks "$disk" 256 2) <(tail -c 1024 /tmp/swap)
check "sg_compare_and_write: a miscompare, and where" sense 'Miscompare at byte offset: 0 ' swap
check "sg_compare_and_write: left alone" cmp <(blocks "$disk" 256 2) <(tail -c 1024 /tmp/swap)
check "sg_write_verify 10" sg_write_verify --lba=512 --num=8 --ilen=4096 --in=/tmp/noise "$disk"
check "sg_write_verify 16" sg_write_verify --16 --bytchk=1 --lba=520 --num=8 --ilen=4096 --in=/tmp/noise "$disk"
check "sg_write_verify: written" cmp <(blocks "$disk" 512 16) <(head -c 4096 /tmp/noise; head -c 4096 /tmp/noise)
ones() { head -c 4096 /dev/zero | tr '\0' '\377'; }
ones >/tmp/ones
check "sg_write_x: ORWRITE" sg_write_x --or --16 --lba=512 --num=8 --in=/tmp/ones "$disk"
check "sg_write_x: written" holds 512 8 /tmp/ones

# Copies within the unit.
check "sg_inq: it copies for a third party" says '3PC=1' sg_inq "$disk"
check "sg_copy_results: the limits" says 'Maximum target descriptor count' sg_copy_results --params "$disk"
fill 0 2048
xcopy() { sg_xcopy if="$sg" of="$sg" skip=0 seek=8192 count=2048 bs=512 time=1; }
check "sg_xcopy" xcopy
check "sg_xcopy: copied" holds 8192 2048 /tmp/noise
check "sg_xcopy: the source is as it was" holds 0 2048 /tmp/noise

# Task management, as a machine's recovery uses it.
after_reset() { sense 'Unit Attention' sg_turs -v "$disk" && sg_turs "$disk"; }
check "sg_reset --device" sg_reset --device "$disk"
check "sg_reset: a unit attention, once" after_reset
check "sg_reset --target" sg_reset --target "$disk"
check "sg_reset: again" after_reset
check "the blocks are as they were" holds 8192 2048 /tmp/noise

# Everything is forgotten.
empty() { holds 0 2048 /dev/zero && holds 8192 2048 /dev/zero; }
check "sg_sanitize: CRYPTO ERASE: refused" sense 'Illegal request' sg_sanitize --crypto --quick --wait "$disk"
check "sg_sanitize: OVERWRITE" sg_sanitize --overwrite --zero --quick --wait "$disk"
check "sg_sanitize: nothing is left" empty
fill 0 2048
check "sg_sanitize: BLOCK ERASE" sg_sanitize --block --quick --wait "$disk"
check "sg_sanitize: nothing is left again" empty
check "sg_sanitize: EXIT FAILURE MODE" sg_sanitize --fail --quick --early "$disk"
fill 0 2048
check "sg_format: FORMAT UNIT" sg_format --format --quick --wait "$disk"
check "sg_format: nothing is left" empty
check "sg_format: a block length it cannot have" sense 'Illegal request' \
    sg_format --format --size=520 --quick --wait "$disk"
check "log out" logout "$COMMANDS"
