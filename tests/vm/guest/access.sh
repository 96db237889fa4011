# In the guest: who may log in, and that two disks never see each other's writes.
# Environment: PORTAL ONE TWO CHAP MUTUAL OTHER_IQN OTHER_ADDRESS OWN_IQN, USER SECRET
# MUTUAL_USER MUTUAL_SECRET, INITIATOR
# shellcheck shell=bash disable=SC2153

echo "InitiatorName=$INITIATOR" >/etc/iscsi/initiatorname.iscsi
start_iscsid
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

check "CHAP: no secret: turned away" turned_away "$CHAP"
set_auth "$CHAP" "$USER" "not-the-secret" >/dev/null
check "CHAP: a wrong secret: turned away" turned_away "$CHAP"
set_auth "$CHAP" "nobody" "$SECRET" >/dev/null
check "CHAP: a wrong name: turned away" turned_away "$CHAP"
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

check "access: another initiator's disk: turned away" turned_away "$OTHER_IQN"
check "access: from another network only: turned away" turned_away "$OTHER_ADDRESS"
attach "$OWN_IQN"
check "access: log out" logout "$OWN_IQN"
new_node "$OWN_IQN-not" "$PORTAL" >/dev/null
check "access: a target that does not exist: turned away" turned_away "$OWN_IQN-not"

attach "$ONE"
one=$disk
attach "$TWO"
two=$disk
check "isolation: two devices" test "$one" != "$two"
wwid() { tr -d '\0' <"/sys/block/${1##*/}/device/wwid"; }
check "isolation: two WWIDs" test "$(wwid "$one")" != "$(wwid "$two")"

# Both disks, the same blocks, at the same time, each with bytes of its own.
both() {
    fio --rw=randwrite --direct=1 --ioengine=libaio --bs=16k --iodepth=8 --size=8m \
        --minimal --output=/dev/null \
        --name=one --filename="$one" --buffer_pattern=0x11 \
        --name=two --filename="$two" --buffer_pattern=0x22
}
# full_of DEVICE OCTAL: the first 8 MiB are that byte and nothing else.
full_of() { cmp <(blocks "$1" 0 16384) <(head -c 8M /dev/zero | tr '\0' "\\$2"); }
check "isolation: write both at once" both
check "isolation: the first holds its bytes only" full_of "$one" 021
check "isolation: the second holds its bytes only" full_of "$two" 042
check "isolation: log out" bash -c 'iscsiadm -m node --logoutall=all'
attach "$OWN_IQN"
check "isolation: a third disk holds none of it" full_of "$disk" 000
check "log out" logout "$OWN_IQN"
