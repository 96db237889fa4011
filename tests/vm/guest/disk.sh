# In the guest: one disk end to end. Discovery, login, what SCSI says of the disk, a file system,
# verified I/O, digests, IPv6, logout. Environment: PORTAL PORTAL6 TARGET SIZE_BYTES DENIED...
# shellcheck shell=bash disable=SC2153

start_iscsid

discover() { iscsiadm -m discovery -t sendtargets -p "$1"; }
check "discovery" discover "$PORTAL"
check "discovery names the target at its portal" says "^$PORTAL,1 $TARGET\$" discover "$PORTAL"
check "discovery names the IPv6 portal" says "^\\$PORTAL6,1 $TARGET\$" discover "$PORTAL"
for denied in $DENIED; do
    refused "discovery hides ${denied##*:}" says "$denied\$" discover "$PORTAL"
done

attach "$TARGET" "$PORTAL"
check "the size is the image's" test "$(blockdev --getsize64 "$disk")" = "$SIZE_BYTES"

check "sg_turs" sg_turs "$disk"
check "sg_inq: vendor" says 'Vendor identification: ' sg_inq "$disk"
for page in sv sn di bl bdc lbpv; do
    check "sg_vpd $page" sg_vpd --page=$page "$disk"
done
check "sg_vpd di: an NAA designator" says 'NAA' sg_vpd --page=di "$disk"
check "sg_readcap 10" sg_readcap "$disk"
check "sg_readcap 16" says 'lbpme=1' sg_readcap --16 "$disk"
check "sg_luns" says '^    0001000000000000|^Report luns' sg_luns "$disk"
check "sg_opcodes" says 'Read\(16\)' sg_opcodes "$disk"
check "sg_modes: the caching page" sg_modes --page=8 "$disk"
check "sg_requests" sg_requests "$disk"
check "sg_sync" sg_sync "$disk"
check "sg_verify" sg_verify --16 --lba=0 --count=128 "$disk"
refused "a read beyond the end" sg_raw --request=512 "$disk" \
    88 00 00 00 00 ff ff ff ff 00 00 00 00 01 00 00
unknown_opcode() { sg_raw "$disk" ed 00 00 00 00 00 00 00 00 00 2>&1 | grep -i 'invalid command operation code'; }
check "an operation code that does not exist" unknown_opcode

head -c 1M /dev/urandom >/tmp/random
check "write 1 MiB of noise" dd if=/tmp/random of="$disk" bs=1M oflag=direct conv=notrunc
check "sg_unmap the second half" sg_unmap --force --lba=1024 --num=1024 "$disk"
zeros() { cmp <(blocks "$disk" "$1" "$2") <(head -c "$(($2 * 512))" /dev/zero); }
check "what was unmapped reads as zeros" zeros 1024 1024
check "sg_write_same: zeros" sg_write_same --16 --lba=0 --num=512 --xferlen=512 --in=/dev/zero "$disk"
check "what was zeroed reads as zeros" zeros 0 512
noise() { cmp <(blocks "$disk" 512 512) <(tail -c +262145 /tmp/random | head -c 262144); }
check "the blocks between are as written" noise

mkdir -p /tmp/mnt
check "mkfs.ext4" mkfs.ext4 -q -F "$disk"
check "mount" mount "$disk" /tmp/mnt
head -c 16M /dev/urandom >/tmp/random
check "write a file, fsync" dd if=/tmp/random of=/tmp/mnt/file bs=1M conv=fsync
check "copy a tree" cp -a /usr/sbin /etc /tmp/mnt/
check "unmount" umount /tmp/mnt
echo 3 >/proc/sys/vm/drop_caches
check "fsck" e2fsck -f -n "$disk"
check "mount again" mount "$disk" /tmp/mnt
check "the file is as written" cmp /tmp/random /tmp/mnt/file
check "the tree is as copied" diff -r /usr/sbin /tmp/mnt/sbin
check "fstrim" fstrim /tmp/mnt
check "unmount again" umount /tmp/mnt

check "fio verify: random 4 KiB, depth 32" fio_verify "$disk" \
    --rw=randwrite --bs=4k --iodepth=32 --size=48m --io_size=12m
check "fio verify: 512 B to 1 MiB, depth 16" fio_verify "$disk" \
    --rw=randwrite --bsrange=512-1m --blockalign=512 --iodepth=16 --size=32m

check "log out" logout "$TARGET"
check "the disk is gone" test ! -b "$disk"

for digest in HeaderDigest DataDigest; do
    set_node "$TARGET" "node.conn[0].iscsi.$digest" CRC32C >/dev/null
done
attach "$TARGET" "$PORTAL"
digests_on() {
    local connection=/sys/class/iscsi_connection/connection
    connection=$connection$(session_of "$TARGET" | sed 's/.*session//'):0
    test "$(cat "$connection/header_digest" "$connection/data_digest" | tr -d '\n')" = 11
}
check "digests: both are CRC32C" digests_on
check "digests: fio verify, 512 B to 256 KiB" fio_verify "$disk" \
    --rw=randwrite --bsrange=512-256k --blockalign=512 --iodepth=16 --size=16m
sum=$(blocks "$disk" 0 32768 | sha256sum)
check "digests: log out" logout "$TARGET"

for digest in HeaderDigest DataDigest; do
    set_node "$TARGET" "node.conn[0].iscsi.$digest" None >/dev/null
done
attach "$TARGET" "$PORTAL6"
same() { test "$(blocks "$disk" 0 32768 | sha256sum)" = "$sum"; }
check "IPv6: the same data" same
check "IPv6: fio verify, 64 KiB" fio_verify "$disk" --rw=write --bs=64k --iodepth=8 --size=8m
check "IPv6: log out" logout "$TARGET"
