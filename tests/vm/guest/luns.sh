# In the guest: a target gets another LUN while it is in use, and Linux sees it by the target's
# asynchronous message alone (RFC 7143 11.9, event 0): iscsid scans the host when it comes.
# Environment: LUNS (a target) LUNS_PORTAL REQUESTS
# shellcheck shell=bash disable=SC2153

start_iscsid
new_node "$LUNS" "$LUNS_PORTAL" >/dev/null
# The target tells only initiators that have pinged it.
set_node "$LUNS" 'node.conn[0].timeo.noop_out_interval' 1
luns() { find "$(session_of "$LUNS")/device/" -path '*/block/sd*' -name 'sd*' -prune | wc -l; }
lun_2() {
    local found
    found=$(find "$(session_of "$LUNS")/device/" -path '*:2/block/sd*' -name 'sd*' -prune)
    [ -n "$found" ] && [ -b "/dev/${found##*/}" ] && echo "/dev/${found##*/}"
}
attach "$LUNS" "$LUNS_PORTAL"
check "luns: one disk to begin with" test "$(luns)" = 1
# stats: how many commands the session has sent, and how many bytes in all.
stats() {
    iscsiadm -m session -r "$(session_of "$LUNS" | grep -o '[0-9]*$')" -s |
        awk '/scsicmd_pdus/ { commands = $NF } /txdata_octets/ { bytes = $NF } END { print commands, bytes }'
}
# It has sent two headers, and no command: pings, of which the first was answered.
before=$(stats)
has_pinged() {
    local now
    now=$(stats)
    [ "${now% *}" = "${before% *}" ] || { before=$now; return 1; }
    [ $((${now#* } - ${before#* })) -ge 96 ]
}
check "luns: the initiator has pinged" wait_for has_pinged
check "luns: the target gets another" ask luns 1 2
# No command is sent that would find the unit attention: the disk is idle, and udev does not run.
since=$EPOCHREALTIME
check "luns: Linux finds it by itself" wait_for lun_2
echo "     Linux saw it $(_since "$since")"
check "luns: it can be written and read" eval 'printf "another disk" | dd of=$(lun_2) bs=512 conv=sync oflag=direct && says "another disk" blocks $(lun_2) 0 1'
check "luns: the first one, too" blocks "$disk" 0 8
check "luns: log out" logout "$LUNS"
