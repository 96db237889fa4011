# In the guest: dm-multipath over two portals of one disk, while fio writes and verifies: resets,
# a session that the target ends, a path that is cut and comes back, both paths cut in turn.
# Environment: PORTAL PORTAL6 PATHS (a target) REQUESTS
# shellcheck shell=bash disable=SC2153

/lib/systemd/systemd-udevd --daemon
start_iscsid
modprobe -a dm_multipath dm_round_robin scsi_dh_alua
cat >/etc/multipath.conf <<'END'
defaults {
    find_multipaths no
    polling_interval 1
    max_polling_interval 1
    path_grouping_policy multibus
    path_selector "round-robin 0"
    path_checker tur
    no_path_retry queue
}
blacklist {
    devnode "^vd"
}
END

# path PORTAL: a session through it, that gives up a lost connection after seconds.
path() {
    new_node "$PATHS" "$1"
    set_node "$PATHS" node.session.timeo.replacement_timeout 2
    set_node "$PATHS" 'node.conn[0].timeo.noop_out_interval' 1
    set_node "$PATHS" 'node.conn[0].timeo.noop_out_timeout' 2
    login "$PATHS" "$1"
}
# session_at ADDRESS: the session of $PATHS through that address.
session_at() {
    local connection session
    for connection in /sys/class/iscsi_connection/connection*; do
        session=/sys/class/iscsi_session/session${connection##*connection}
        session=${session%:*}
        [ "$(cat "$connection/persistent_address" "$session/targetname" 2>/dev/null)" = "$1"$'\n'"$PATHS" ] &&
            echo "$session" && return
    done
    return 1
}
address4=${PORTAL%:*}
address6=${PORTAL6#[}
address6=${address6%]*}
disk_at() { disk_in "$(session_at "$1")"; }
check "paths: a session through the first portal" path "$PORTAL" || finish
check "paths: a session through the second" path "$PORTAL6" || finish
wait_for disk_at "$address4" >/dev/null
wait_for disk_at "$address6" >/dev/null
one=$(disk_at "$address4")
two=$(disk_at "$address6")
same_wwid() { cmp "/sys/block/${one##*/}/device/wwid" "/sys/block/${two##*/}/device/wwid"; }
check "paths: two devices, one WWID" eval 'test $one != $two && same_wwid'
di() { sg_vpd --page=di "$1"; }
# Both portals belong to one portal group, which is one SCSI port (RFC 7143, 4.4.1).
check "paths: one SCSI port" eval 'cmp <(di $one) <(di $two)'

udevadm settle
check "paths: multipathd" multipathd
active() { multipathd show paths format '%d %t %o' | grep -c ' active running'; }
both() { [ "$(active)" = 2 ]; }
one_left() { [ "$(active)" = 1 ]; }
wait_for both
map=/dev/mapper/$(multipathd show maps format %n | tail -n 1 | tr -d ' ')
wait_for test -b "$map"
multipath -ll | sed 's/^/     /'

# Rounds of verified writes for as long as there is trouble, each in full.
rounds() {
    local n=0
    until [ -e /tmp/trouble-is-over ] && [ $n -gt 0 ]; do
        fio_verify "$map" --rw=randwrite --bs=4k --iodepth=16 --size=16m --io_size=8m || return
        n=$((n + 1))
        echo "$n" >/tmp/rounds
    done
}
ios() { awk -v disk="${1##*/}" '$3 == disk { print $4 + $8 }' /proc/diskstats; }
grows() { [ "$(ios "$1")" -gt "$2" ]; }
moves() { wait_for grows "$1" $(($(ios "$1") + 50)); }
rounds >/tmp/rounds.said 2>&1 &
fio=$!
moves "$one"
moves "$two"
echo "     both paths carry I/O"
check "paths: sg_reset --device" sg_reset --device "$one"
moves "$one"
check "paths: sg_reset --target" sg_reset --target "$two"
moves "$two"

check "paths: the target ends all sessions" ask end-sessions "$PATHS"
wait_for both
moves "$one"
moves "$two"
echo "     I/O on both again"

# cut FAMILY ADDRESS, mend FAMILY ADDRESS: nothing gets there, as if the cable were out.
cut() { ip "-$1" route add blackhole "$2" metric 1; }
mend() { ip "-$1" route del blackhole "$2" metric 1; }
lose() {
    local family=$1 address=$2 lost=$3 other=$4 since=$EPOCHREALTIME
    check "paths: cut $address" cut "$family" "$address"
    wait_for one_left
    echo "     shown as failed $(_since "$since")"
    since=$EPOCHREALTIME
    moves "$other"
    echo "     the other carries on $(_since "$since")"
    check "paths: mend $address" mend "$family" "$address"
    since=$EPOCHREALTIME
    wait_for both
    moves "$lost"
    echo "     in use again $(_since "$since")"
}
lose 6 "$address6" "$two" "$one"
check "paths: the daemon is killed and comes back" ask restart
wait_for both
moves "$one"
moves "$two"

check "paths: fio is still at it" kill -0 $fio
touch /tmp/trouble-is-over
fio_status=0
wait $fio || fio_status=$?
cat /tmp/rounds.said
echo "     $(cat /tmp/rounds) rounds of fio"
check "paths: fio wrote and verified everything" test $fio_status = 0
check "paths: no I/O error above the paths" test -z "$(dmesg | grep -iE 'I/O error, dev dm-|Buffer I/O error')"
multipath -F
pkill -x multipathd
check "paths: log out" logout "$PATHS"
