# What the lab's shell scripts share; sourced by them, not run.
# STIRRUP_LAB: where the lab keeps what it builds (default: target/lab of this tree).

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
STIRRUP_LAB=${STIRRUP_LAB:-$REPO/target/lab}
mkdir -p "$STIRRUP_LAB"
STIRRUP_LAB=$(cd "$STIRRUP_LAB" && pwd)

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

say() {
    echo "${0##*/}: $*" >&2
}

# usage: prints the calling script's header comment, without the marks.
usage() {
    sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"
}

# as_root COMMAND...: runs it as root, through sudo if need be.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "needs root for: $*"
    fi
}

# need_packages NAME...: installs those that are missing; costs some milliseconds when none is.
# Packages that must not meet in one apt transaction go into separate calls.
need_packages() {
    local name missing=()
    for name in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] ||
            missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing Debian packages: ${missing[*]}"
    # Package lists older than a day may name files that the mirror no longer has.
    if [ -z "$(find /var/lib/apt/lists -name '*_Packages*' -mtime -1 2>/dev/null)" ]; then
        as_root apt-get -q update >&2
    fi
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y --no-install-recommends install "${missing[@]}" >&2
}

# cache_key WORD|FILE...: a hash of the words and of the contents of the files.
cache_key() {
    local item
    for item in "$@"; do
        if [ -f "$item" ]; then cat "$item"; else echo "$item"; fi
    done | sha256sum | cut -c1-16
}

# debian_suite: the release that this machine runs (bookworm, trixie), the default for guests.
debian_suite() {
    # shellcheck source=/dev/null
    (. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME") || echo bookworm
}

# debian_mirror: the mirror that this machine itself uses.
debian_mirror() {
    local uri
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        grep -m1 -E '/debian/?$') || true
    echo "${STIRRUP_LAB_MIRROR:-${uri:-http://deb.debian.org/debian}}"
}

# build_tree OUT.tar SUITE PACKAGES SETUP [FILE:PATH...]: a minimal Debian with PACKAGES (comma
# separated) as a tar archive. The files are put into it and the script SETUP is run inside last.
# Works as root, or unprivileged where user namespaces are allowed.
build_tree() {
    local out=$1 suite=$2 packages=$3 setup=$4 item hooks=()
    shift 4
    for item in "$@"; do
        hooks+=(--customize-hook="upload ${item%%:*} ${item#*:}")
    done
    hooks+=(--customize-hook="upload $setup /lab-setup"
        --customize-hook='chroot "$1" sh /lab-setup && rm "$1/lab-setup"')
    # The kernel's and open-iscsi's maintainer scripts would each build an initramfs: the setup
    # script builds one, at the end, if it needs one.
    eatmydata mmdebstrap --quiet --variant=minbase --format=tar --include="$packages" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --dpkgopt=force-unsafe-io --dpkgopt=force-confold \
        --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
        --essential-hook='mkdir -p "$1/etc/initramfs-tools" && cd "$1/etc/initramfs-tools" &&
            echo update_initramfs=no >update-initramfs.conf' \
        "${hooks[@]}" "$suite" "$out" "$(debian_mirror)" >&2
}

# as_owner COMMAND...: runs it so that it can make files of any owner (fakeroot when not root).
as_owner() {
    if [ "$(id -u)" = 0 ]; then "$@"; else fakeroot -- "$@"; fi
}

# build_once PATH BUILDER: sets `built` to PATH, made by BUILDER unless it is there. BUILDER is a
# function; it is given an empty work directory and leaves its product there under the name "out".
# Builders wait for each other, so that two tests started together build once.
build_once() {
    built=$1
    [ ! -e "$built" ] || return 0
    local builder=$2 work status started=$SECONDS
    mkdir -p "$(dirname "$built")"
    exec 9>"$(dirname "$built")/.lock"
    flock 9
    if [ ! -e "$built" ]; then
        say "building ${built#"$PWD/"} (about a minute; its log is shown if it fails)"
        work=$(mktemp -d "$STIRRUP_LAB/build.XXXXXX")
        # Not in a condition: bash would ignore errexit inside.
        set +e
        (set -e; "$builder" "$work") >"$work/log" 2>&1
        status=$?
        set -e
        if [ "$status" = 0 ]; then
            mv "$work/out" "$built"
            say "built in $((SECONDS - started)) s: $(du -sh "$built" | cut -f1)"
        else
            cat "$work/log" >&2
        fi
        chmod -R u+rwX "$work" && rm -rf "$work"
        [ "$status" = 0 ] || die "the build of $built failed; its log is above"
    fi
    exec 9>&-
}
