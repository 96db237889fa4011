# In the guest: who may log in, and that two disks never see each other's writes.
# Environment: PORTAL ONE TWO CHAP MUTUAL OTHER_IQN OTHER_ADDRESS OWN_IQN, USER SECRET
# MUTUAL_USER MUTUAL_SECRET, INITIATOR
# shellcheck shell=bash disable=SC2153

echo "InitiatorName=$INITIATOR" >/etc/iscsi/initiatorname.iscsi
iscsid
for target in "$ONE" "$TWO" "$CHAP" "$MUTUAL" "$OTHER_IQN" "$OTHER_ADDRESS" "$OWN_IQN"; do
    new_node "$target" "$PORTAL" >/dev/null
done

# set_auth TARGET USER SECRET [IN_USER IN_SECRET]
set_auth() {
    set_node "$1" node.session.auth.authmethod CHAP
    set_node "$1" node.session.auth.username "$2"
    set_node "$1" node.session.auth.password "$3"
    [ $# = 3 ] || set_node "$1" node.session.auth.username_in "$4"
    [ $# = 3 ] || set_node "$1" node.session.auth.password_in "$5"
}

refused "CHAP: no secret" login "$CHAP"
set_auth "$CHAP" "$USER" "not-the-secret" >/dev/null
refused "CHAP: a wrong secret" login "$CHAP"
set_auth "$CHAP" "nobody" "$SECRET" >/dev/null
refused "CHAP: a wrong name" login "$CHAP"
set_auth "$CHAP" "$USER" "$SECRET" >/dev/null
attach "$CHAP"
check "CHAP: read" dd if="$disk" of=/dev/null bs=1M count=1 iflag=direct
check "CHAP: log out" logout "$CHAP"

set_auth "$MUTUAL" "$USER" "$SECRET" "$MUTUAL_USER" "not-the-secret" >/dev/null
refused "mutual CHAP: the target's secret is another" login "$MUTUAL"
set_auth "$MUTUAL" "$USER" "$SECRET" "$MUTUAL_USER" "$MUTUAL_SECRET" >/dev/null
attach "$MUTUAL"
check "mutual CHAP: read" dd if="$disk" of=/dev/null bs=1M count=1 iflag=direct
check "mutual CHAP: log out" logout "$MUTUAL"

refused "access: another initiator's disk" login "$OTHER_IQN"
refused "access: from another network only" login "$OTHER_ADDRESS"
attach "$OWN_IQN"
check "access: log out" logout "$OWN_IQN"
refused "access: a target that does not exist" bash -c \
    'iscsiadm -m node -T "$1-not" -p "$2" -o new && iscsiadm -m node -T "$1-not" --login' - \
    "$OWN_IQN" "$PORTAL"

attach "$ONE"
one=$disk
attach "$TWO"
two=$disk
check "isolation: two devices" test "$one" != "$two"
wwid() { cat "/sys/block/${1##*/}/device/wwid"; }
check "isolation: two WWIDs" test "$(wwid "$one")" != "$(wwid "$two")"

# Both disks, the same blocks, at the same time, each with its own pattern.
both() {
    local ours=(--direct=1 --ioengine=libaio --bs=16k --iodepth=8 --size=16m --verify=pattern
        --verify_fatal=1 --minimal --output=/dev/null)
    fio "${ours[@]}" "$@" \
        --name=one --filename="$one" --verify_pattern=0x11223344 \
        --name=two --filename="$two" --verify_pattern=0x55667788
}
pattern() { dd if="$1" bs=1M count=16 iflag=direct status=none | od -An -v -tx1 -w4 | sort -u | tr -d ' \n'; }
check "isolation: write both at once" both --rw=randwrite --do_verify=0
check "isolation: the first holds its pattern only" test "$(pattern "$one")" = 11223344
check "isolation: the second holds its pattern only" test "$(pattern "$two")" = 55667788
check "isolation: log out" bash -c 'iscsiadm -m node --logoutall=all'
attach "$OWN_IQN"
check "isolation: a third disk holds none of it" says '^00000000$' pattern "$disk"
check "log out" logout "$OWN_IQN"
finish
