# In the guest: persistent reservations between two initiators, each with a session of its own to
# one disk. Environment: PORTAL RESERVE (a target) REQUESTS
# shellcheck shell=bash disable=SC2153

start_iscsid
new_node "$RESERVE" "$PORTAL" >/dev/null

# iface NAME: an interface of open-iscsi with an initiator name of its own.
iface() {
    iscsiadm -m iface -I "$1" -o new
    iscsiadm -m iface -I "$1" -o update -n iface.initiatorname -v "$INITIATOR-$1"
    iscsiadm -m iface -I "$1" -o update -n iface.transport_name -v tcp
    iscsiadm -m node -T "$RESERVE" -p "$PORTAL" -I "$1" -o new
}
session_by() {
    local directory
    for directory in /sys/class/iscsi_session/session*; do
        [ "$(cat "$directory/targetname" "$directory/ifacename" 2>/dev/null)" = "$RESERVE"$'\n'"$1" ] &&
            echo "$directory" && return
    done
    return 1
}
disk_by() { disk_in "$(session_by "$1")"; }
in_session() { [ "$(cat "$(session_by "$1")/state")" = LOGGED_IN ]; }
for name in a b; do
    check "reserve: an interface for initiator $name" iface $name
    check "reserve: initiator $name logs in" iscsiadm -m node -T "$RESERVE" -I $name --login || finish
    wait_for disk_by $name >/dev/null
done
a=$(disk_by a)
b=$(disk_by b)
check "reserve: two devices" test "$a" != "$b"

CONFLICT=24 # sg3_utils' exit status for RESERVATION CONFLICT
UNIT_ATTENTION=6
read_block() { sg_raw --request=512 --outfile=/dev/null "$1" 28 00 00 00 00 00 00 00 01 00; }
write_block() { sg_raw --send=512 --infile=/dev/zero "$1" 2a 00 00 00 00 00 00 00 01 00; }
pr() { sg_persist --no-inquiry --out "$@"; }
# keys DEVICE: the registered keys; holder DEVICE: the holder's key and the type. "none" if none.
keys() {
    local said
    said=$(sg_persist --no-inquiry --in --read-keys "$1") || { echo failed; return; }
    grep -o '^ *0x[0-9a-f]*$' <<<"$said" | sort | xargs -r
    grep -o 'NO registered' <<<"$said" || true
}
holder() {
    local said
    said=$(sg_persist --no-inquiry --in --read-reservation "$1") || { echo failed; return; }
    grep -o 'Key=.*\|type:.*\|NO reservation' <<<"$said" | xargs -r
}
# settle: takes the unit attentions that wait for either, until there are none.
settle() { for _ in 1 2 3 4 5; do sg_turs "$a" && sg_turs "$b" && return; done; return 1; }
nothing_left() {
    local found
    found="$(keys "$a"), $(holder "$a")"
    [ "$found" = "NO registered, NO reservation" ] || { echo "$found"; false; }
}
# ends_with STATUS COMMAND...
ends_with() {
    local wanted=$1 status=0 output
    shift
    output=$("$@" 2>&1) || status=$?
    [ "$status" = "$wanted" ] && return
    echo "exit $status, wanted $wanted"
    echo "$output"
    return 1
}
register() { pr --register-ignore --param-sark="$2" "$1"; }
unregister() { pr --register-ignore --param-sark=0 "$1"; }

register_both() { register "$a" 0xa1 && register "$b" 0xb2 && settle; }
check "reserve: both register" register_both
check "reserve: both keys are read by either" test "$(keys "$a") $(keys "$b")" = "0xa1 0xb2 0xa1 0xb2"
check "reserve: a wrong key is refused" ends_with $CONFLICT \
    pr --reserve --param-rk=0xbad --prout-type=1 "$a"
check "reserve: full status names both initiators" says "$INITIATOR-b" \
    sg_persist --no-inquiry --in --read-full-status "$a"

# try TYPE NAME REGISTERED-READ REGISTERED-WRITE OTHER-READ OTHER-WRITE: what initiator b may
# while a holds the reservation, b registered or not (SPC-4, table 46 and 47).
try() {
    local type=$1 name=$2
    check "reserve: $name: a reserves" pr --reserve --param-rk=0xa1 --prout-type="$type" "$a"
    check "reserve: $name: b sees it" says "type: $name" sg_persist --no-inquiry --in -r "$b"
    # Of the last two types every registrant is a holder, and a holder may reserve again.
    case $name in
        *all*) check "reserve: $name: b holds it, too" pr --reserve --param-rk=0xb2 --prout-type="$type" "$b" ;;
        *) check "reserve: $name: b cannot take it" ends_with $CONFLICT \
            pr --reserve --param-rk=0xb2 --prout-type="$type" "$b" ;;
    esac
    check "reserve: $name: a reads and writes" eval 'read_block $a && write_block $a'
    check "reserve: $name: b, registered, reads" ends_with "$3" read_block "$b"
    check "reserve: $name: b, registered, writes" ends_with "$4" write_block "$b"
    check "reserve: $name: b unregisters" unregister "$b"
    check "reserve: $name: b, not registered, reads" ends_with "$5" read_block "$b"
    check "reserve: $name: b, not registered, writes" ends_with "$6" write_block "$b"
    check "reserve: $name: b registers again" register "$b" 0xb2
    check "reserve: $name: a releases" pr --release --param-rk=0xa1 --prout-type="$type" "$a"
    # SPC-4 5.12.11.2.2: the other registrants hear of it, but not of the release of Write
    # Exclusive and Exclusive Access.
    case $name in
        *,*) check "reserve: $name: b hears of it" ends_with $UNIT_ATTENTION sg_turs "$b" ;;
        *) check "reserve: $name: b hears nothing" sg_turs "$b" ;;
    esac
    check "reserve: $name: b writes" write_block "$b"
}
C=$CONFLICT
try 1 "Write Exclusive" 0 $C 0 $C
try 3 "Exclusive Access" $C $C $C $C
try 5 "Write Exclusive, registrants only" 0 0 0 $C
try 6 "Exclusive Access, registrants only" 0 0 $C $C
try 7 "Write Exclusive, all registrants" 0 0 0 $C
try 8 "Exclusive Access, all registrants" 0 0 $C $C

check "reserve: preempt: a reserves" pr --reserve --param-rk=0xa1 --prout-type=1 "$a"
check "reserve: preempt: b takes it" pr --preempt --param-rk=0xb2 --param-sark=0xa1 --prout-type=3 "$b"
check "reserve: preempt: a hears of it" ends_with $UNIT_ATTENTION sg_turs "$a"
check "reserve: preempt: b holds it" test "$(holder "$a")" = "Key=0xb2 type: Exclusive Access"
check "reserve: preempt: a's registration is gone" test "$(keys "$a")" = "0xb2"
check "reserve: preempt: a is shut out" ends_with $CONFLICT write_block "$a"
check "reserve: clear" pr --clear --param-rk=0xb2 "$b"
check "reserve: clear: nothing is left" nothing_left
check "reserve: clear: a reads and writes" eval 'settle && read_block $a && write_block $a'

# Preempt and abort while a writes: a's writes end, and none reaches the disk after the answer.
register_both >/dev/null 2>&1
# Aborted commands are answered with TASK ABORTED (TAS is 1): Linux need not ask after them when their
# time is up, which is longer than any of this takes.
echo 600 >"/sys/block/${a##*/}/device/timeout"
check "reserve: abort: a reserves" pr --reserve --param-rk=0xa1 --prout-type=1 "$a"
fio --name=victim --filename="$a" --direct=1 --ioengine=libaio --rw=randwrite --bs=4k --iodepth=32 \
    --size=16m --time_based --runtime=600 --buffer_pattern=0x11 --minimal --output=/tmp/victim \
    >/dev/null 2>&1 &
victim=$!
written() { [ "$(awk -v disk="${a##*/}" '$3 == disk { print $8 }' /proc/diskstats)" -gt "$1" ]; }
before=$(awk -v disk="${a##*/}" '$3 == disk { print $8 }' /proc/diskstats)
wait_for written $((before + 300))
check "reserve: abort: b preempts and aborts" \
    pr --preempt-abort --param-rk=0xb2 --param-sark=0xa1 --prout-type=1 "$b" || kill $victim
check "reserve: abort: b overwrites what a wrote" \
    dd if=/dev/zero of="$b" bs=1M count=16 oflag=direct conv=notrunc
victim_status=0
wait $victim || victim_status=$?
check "reserve: abort: a's writes ended in errors" test $victim_status != 0
check "reserve: abort: nothing of a reached the disk after" \
    cmp <(blocks "$b" 0 32768) <(head -c 16M /dev/zero)
check "reserve: abort: b holds the reservation" test "$(holder "$b")" = "Key=0xb2 type: Write Exclusive"
check "reserve: abort: clear" pr --clear --param-rk=0xb2 "$b"
settle >/dev/null 2>&1

# Through a kill -9 of the daemon: what was registered with APTPL stays, the rest does not.
back() { in_session a && in_session b && sg_turs "$a" && sg_turs "$b"; }
restart() { ask restart && wait_for back >/dev/null 2>&1; }
aptpl() { pr --register-ignore --param-aptpl --param-sark="$2" "$1"; }
aptpl_both() { aptpl "$a" 0xa1 && aptpl "$b" 0xb2; }
check "reserve: APTPL: both register" aptpl_both
settle >/dev/null 2>&1
check "reserve: APTPL: a reserves" pr --reserve --param-rk=0xa1 --prout-type=1 "$a"
check "reserve: APTPL: the daemon is killed and comes back" restart
check "reserve: APTPL: the keys are there" test "$(keys "$a")" = "0xa1 0xb2"
check "reserve: APTPL: a still holds it" test "$(holder "$b")" = "Key=0xa1 type: Write Exclusive"
check "reserve: APTPL: b is still shut out" ends_with $CONFLICT write_block "$b"
check "reserve: APTPL: a still writes" write_block "$a"
check "reserve: APTPL: given up by a registration without it" register_both
check "reserve: APTPL: the daemon is killed again" restart
check "reserve: APTPL: nothing is left" nothing_left
check "reserve: APTPL: b writes" write_block "$b"
check "reserve: log out" logout "$RESERVE"
