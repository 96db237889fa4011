# In the guest: verified writes while the daemon is killed and started again on the host, which
# waits for the lines that begin with AT. Environment: PORTAL TARGET
# shellcheck shell=bash disable=SC2153

start_iscsid
new_node "$TARGET" "$PORTAL" >/dev/null
attach "$TARGET"
name=${disk##*/}
session=$(session_of "$TARGET")
identity() { sg_inq --page=0x83 --hex "$disk" && sg_inq --page=0x80 --hex "$disk"; }
identity_before=$(identity)

writes_done() { awk -v disk="$name" '$3 == disk { print $8 }' /proc/diskstats; }
enough() { [ "$(writes_done)" -gt 400 ]; }
state_is() { [ "$(cat "$session/state")" = "$1" ]; }
not_logged_in() { ! state_is LOGGED_IN; }

fio_verify "$disk" --rw=randwrite --bs=4k --iodepth=16 --size=16m >/tmp/fio.said 2>&1 &
fio=$!
wait_for enough
echo "AT mid-fio"
wait_for not_logged_in
echo "     session $(cat "$session/state") after $(writes_done) writes"
lost=$EPOCHREALTIME
wait_for state_is LOGGED_IN
echo "     logged in again $(_since "$lost")"
check "fio is still at it" kill -0 "$fio"
fio_status=0
wait "$fio" || fio_status=$?
cat /tmp/fio.said
check "fio wrote and verified everything" test "$fio_status" = 0
check "all of it was written" test "$(writes_done)" -ge 4096
check "no I/O error reached the kernel" test -z "$(dmesg | grep -iE 'I/O error|medium error')"
check "the same serial number and WWID" test "$(identity)" = "$identity_before"
check "log out" logout "$TARGET"
