# For the scripts that tests/vm runs in the initiator guest: checks and open-iscsi in few words.
# shellcheck shell=bash

failed=0

_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "(%.1f s)", b - a }'; }

# check TITLE COMMAND...: passes if the command succeeds; shows its output if not.
check() {
    local title=$1 started=$EPOCHREALTIME output status=0
    shift
    output=$("$@" 2>&1 </dev/null) || status=$?
    if [ "$status" = 0 ]; then
        echo "PASS $title $(_since "$started")"
        return 0
    fi
    failed=$((failed + 1))
    echo "FAIL $title: exit $status $(_since "$started")"
    # shellcheck disable=SC2001
    tail -n 15 <<<"$output" | sed 's/^/     /'
    return 1
}

# refused TITLE COMMAND...: passes if the command fails.
refused() {
    local title=$1
    shift
    # shellcheck disable=SC2016
    check "$title" bash -c 'set +e; said=$("$@" 2>&1); status=$?
        [ $status != 0 ] && exit 0; echo "it was not refused:"; echo "$said"; exit 1' - "$@"
}

# says PATTERN COMMAND...: succeeds if the command does and its output matches.
says() {
    local pattern=$1 output
    shift
    output=$("$@" 2>&1) && grep -Eq -- "$pattern" <<<"$output" && return 0
    echo "$output"
    echo "-- wanted: $pattern"
    return 1
}

finish() {
    local words
    words=$(dmesg | grep -E 'BUG:|Oops:|blocked for more')
    [ -z "$words" ] || echo "     the kernel: $words"
    [ "$failed" = 0 ]
    exit
}

# wait_for COMMAND...: polls the state of the kernel until the command succeeds. A guest that
# waits for ever is ended from outside.
wait_for() { until "$@"; do sleep 0.05; done; }

start_iscsid() { pgrep -x iscsid >/dev/null || iscsid; }

# ask WORD...: has the host do what only it can (scripts/lab/vmlab/requests.py); prints its answer.
ask() {
    local answer
    exec 9<>"/dev/tcp/10.0.2.2/$REQUESTS"
    echo "$*" >&9
    IFS= read -r answer <&9 || answer="FAILED: no answer"
    exec 9>&-
    echo "$answer"
    [ "${answer%%:*}" != FAILED ]
}

# new_node TARGET PORTAL: a node record, without discovery.
new_node() { iscsiadm -m node -T "$1" -p "$2" -o new; }

# set_node TARGET NAME VALUE
set_node() { iscsiadm -m node -T "$1" -o update -n "$2" -v "$3"; }

login() { iscsiadm -m node -T "$1" ${2:+-p "$2"} --login; }

logout() { iscsiadm -m node -T "$1" ${2:+-p "$2"} --logout; }

# turned_away TARGET: the target answers the login with a refusal that is final: not a time-out,
# not a lost connection. iscsiadm's exit status is ISCSI_ERR_FATAL_LOGIN or
# ISCSI_ERR_LOGIN_AUTH_FAILED.
turned_away() {
    local status=0
    login "$1" || status=$?
    [ "$status" = 19 ] || [ "$status" = 24 ]
}

# session_of TARGET: the session's directory under /sys.
session_of() {
    local directory
    for directory in /sys/class/iscsi_session/session*; do
        [ "$(cat "$directory/targetname" 2>/dev/null)" = "$1" ] && echo "$directory" && return
    done
    return 1
}

# disk_of TARGET: the device of the target's one disk.
disk_of() { disk_in "$(session_of "$1")"; }

# disk_in SESSION: the device of the one disk of a session's directory under /sys.
disk_in() {
    local found
    found=$(find "$1/device/" -path '*/block/sd*' -name 'sd*' -prune | head -n 1)
    [ -n "$found" ] && [ -b "/dev/${found##*/}" ] && echo "/dev/${found##*/}"
}

# blocks FILE FIRST COUNT: 512-byte blocks of a file or device.
blocks() {
    dd if="$1" bs=256k skip="$(($2 * 512))" count="$(($3 * 512))" \
        iflag=direct,skip_bytes,count_bytes status=none
}

# attach TARGET [PORTAL]: logs in and sets `disk`; ends the script if that fails.
attach() {
    check "log in to ${1##*:}" login "$@" || finish
    wait_for disk_of "$1" >/dev/null
    disk=$(disk_of "$1")
}

# fio_verify DEVICE ARGUMENT...: writes with checksums, then reads everything back.
fio_verify() {
    local device=$1
    shift
    fio --name=verify --filename="$device" --direct=1 --ioengine=libaio --verify=crc32c \
        --verify_fatal=1 --do_verify=1 --minimal --output=/tmp/fio.out "$@" || {
        local status=$?
        tail -n 5 /tmp/fio.out
        return $status
    }
}
