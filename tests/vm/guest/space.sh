# In the guest: what is discarded is given back to the store, whose use the host tells.
# Environment: PORTAL SPACE (a target) REQUESTS
# shellcheck shell=bash disable=SC2153

start_iscsid
new_node "$SPACE" "$PORTAL" >/dev/null
attach "$SPACE"

# stored: MiB that the store holds more than at the beginning.
held=$(ask stored-mib "$SPACE")
stored() { echo $(($(ask stored-mib "$SPACE") - held)); }
at_least() { [ "$(stored)" -ge "$1" ] || { stored; false; }; }
at_most() { [ "$(stored)" -le "$1" ] || { stored; false; }; }
report() { echo "     $1: $(stored) MiB in the store"; }

head -c 32M /dev/urandom >/dev/shm/noise
check "space: write 32 MiB" dd if=/dev/shm/noise of="$disk" bs=1M oflag=direct conv=notrunc
report "32 MiB written"
check "space: the store holds them" at_least 32
check "space: blkdiscard the last 16 MiB of them" blkdiscard --offset 16M --length 16M "$disk"
report "16 MiB discarded"
check "space: blkdiscard gave them back" at_most 20
check "space: the rest is as written" cmp <(blocks "$disk" 0 32768) <(head -c 16M /dev/shm/noise)
check "space: blkdiscard --zeroout" blkdiscard --zeroout --offset 0 --length 8M "$disk"
check "space: reads as zeros" cmp <(blocks "$disk" 0 16384) <(head -c 8M /dev/zero)
check "space: blkdiscard all" blkdiscard --force "$disk"
report "all discarded"
check "space: all was given back" at_most 8

mkdir -p /tmp/space
check "space: mkfs.ext4" mkfs.ext4 -q -F -E nodiscard "$disk"
check "space: mount" mount "$disk" /tmp/space
before=$(stored)
cp /dev/shm/noise /tmp/space/one
head -c 8M /dev/shm/noise >/tmp/space/two
sync -f /tmp/space
report "a file system with 40 MiB in two files"
check "space: the store holds the files" at_least $((before + 40))
rm /tmp/space/one
sync -f /tmp/space
check "space: a file removed is still held" at_least $((before + 40))
check "space: fstrim" fstrim -v /tmp/space
report "32 MiB removed and trimmed"
check "space: fstrim gave them back" at_most $((before + 20))
check "space: unmount" umount /tmp/space
echo 3 >/proc/sys/vm/drop_caches
check "space: mount again" mount "$disk" /tmp/space
check "space: the other file is whole" cmp /tmp/space/two <(head -c 8M /dev/shm/noise)
check "space: unmount again" umount /tmp/space
rm /dev/shm/noise
check "space: log out" logout "$SPACE"
