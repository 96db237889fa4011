# In the guest: a disk grows under a mounted file system that is being written to.
# Environment: PORTAL GROW (a target) GROWN_BYTES REQUESTS
# shellcheck shell=bash disable=SC2153

# What a distribution's rule does: the kernel tells of the unit attention CAPACITY DATA HAS CHANGED,
# and the rule has it look.
mkdir -p /run/udev/rules.d
cat >/run/udev/rules.d/60-grow.rules <<'END'
ACTION=="change", SUBSYSTEM=="scsi", ENV{SDEV_UA}=="CAPACITY_DATA_HAS_CHANGED", ATTR{rescan}="1"
END
pgrep -x systemd-udevd >/dev/null || /lib/systemd/systemd-udevd --daemon
udevadm control --reload
start_iscsid
new_node "$GROW" "$PORTAL" >/dev/null
attach "$GROW"
before=$(blockdev --getsize64 "$disk")
check "grow: the disk is smaller to begin with" test "$before" -lt "$GROWN_BYTES"
mkdir -p /tmp/grow
check "grow: mkfs.ext4" mkfs.ext4 -q -F "$disk"
check "grow: mount" mount "$disk" /tmp/grow

rounds_of_writing() {
    until [ -e /tmp/grown ]; do
        fio --name=verify --filename=/tmp/grow/file --direct=1 --ioengine=libaio --verify=crc32c \
            --verify_fatal=1 --do_verify=1 --rw=randwrite --bs=4k --iodepth=8 --size=8m \
            --minimal --output=/tmp/grow.out || return
    done
}
rounds_of_writing >/tmp/grow.said 2>&1 &
fio=$!
check "grow: the host grows it" ask grow "$GROW" "$GROWN_BYTES"
is_larger() { [ "$(blockdev --getsize64 "$disk")" = "$GROWN_BYTES" ]; }
since=$EPOCHREALTIME
wait_for is_larger
echo "     Linux saw it $(_since "$since")"
check "grow: the kernel was told" says 'Capacity data has changed' dmesg
check "grow: resize2fs" resize2fs "$disk"
touch /tmp/grown
fio_status=0
wait $fio || fio_status=$?
cat /tmp/grow.said
check "grow: what was written meanwhile is right" test $fio_status = 0
large_enough() { [ "$(df --output=size -B1 /tmp/grow | tail -n 1)" -gt "$before" ]; }
check "grow: the file system is larger" large_enough
last_block() { printf 'the end' | dd of="$disk" bs=512 seek=$((GROWN_BYTES / 512 - 1)) conv=notrunc,sync oflag=direct; }
check "grow: unmount" umount /tmp/grow
check "grow: fsck" e2fsck -f -n "$disk"
check "grow: its new last block can be written" last_block
check "grow: and read" says 'the end' blocks "$disk" $((GROWN_BYTES / 512 - 1)) 1
beyond() { sg_raw --request=512 "$disk" 88 00 $(printf '%016x' $((GROWN_BYTES / 512)) | sed 's/../& /g') 00 00 00 01 00 00; }
refused "grow: not the one after" beyond
check "grow: log out" logout "$GROW"
