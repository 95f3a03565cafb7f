#!/bin/sh
# Installs by apt what this repository needs on a fresh Debian 12.
#
#   scripts/deps.sh build   to compile the engine and run the demo
#   scripts/deps.sh test    everything: the oracle (Debian's dockerd), its CLI, runc and tools
#   scripts/deps.sh debian  debootstrap, for the tests with a Debian root
#   scripts/deps.sh firewalls  firewalld and podman, for `make test-firewalls` (21 MB and 40 packages)
#   scripts/deps.sh v2      what `make test-v2` needs besides: an emulator and a maker of root trees (350 MB)
#
# Says nothing and takes a moment when all is there. Never starts a daemon: while apt runs, a
# policy-rc.d of ours forbids it, and the one that was there before is put back afterwards.
set -eu

build="libseccomp-dev busybox-static"
tests="$build docker.io docker-compose runc skopeo xfsprogs btrfs-progs iproute2 nftables iptables ufw procps util-linux curl docker-registry apache2-utils openssl"
debian="debootstrap"
firewalls="$tests firewalld dbus podman containernetworking-plugins"
v2="$build qemu-system-x86 mmdebstrap e2fsprogs cpio zstd"

case "${1:-test}" in
build) want=$build ;;
test) want=$tests ;;
debian) want=$debian ;;
firewalls) want=$firewalls ;;
v2) want=$v2 ;;
*) echo "usage: $0 build|test|debian|firewalls|v2" >&2; exit 2 ;;
esac

missing=
for p in $want; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)
	[ "$state" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "deps: missing$missing; run as root, or: apt-get install$missing" >&2
	exit 1
fi

policy=/usr/sbin/policy-rc.d
kept=
if [ -e "$policy" ] || [ -L "$policy" ]; then
	kept=$(mktemp "$policy.engine-XXXXXX")
	mv -f "$policy" "$kept"
fi
log=$(mktemp)
restore() {
	rm -f "$policy" "$log"
	[ -z "$kept" ] || mv -f "$kept" "$policy"
}
trap restore EXIT
trap 'exit 130' INT TERM HUP
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -qq -y --no-install-recommends $missing >"$log" 2>&1 </dev/null; }
if ! install; then
	# The package lists may be absent or old on a fresh machine.
	apt-get update -qq >>"$log" 2>&1 || true
	if ! install; then
		tail -n 20 "$log" >&2
		echo "deps: apt could not install$missing" >&2
		exit 1
	fi
fi
