#!/bin/sh
# Makes the root of a small Debian 12 as a tar for `import`, by debootstrap from the mirror that this
# machine's apt uses. Further packages lie in /repo of it, for an apt without a network.
#
#   scripts/debian-root.sh OUT.tar
set -eu

out=${1:?output file}
tree="locales,python3,iputils-ping,procps,libcap2-bin"
apart="sudo hello"

mirror=$(apt-get indextargets --format '$(SITE) $(CODENAME)' 2>/dev/null | awk '$2 == "bookworm" && $1 ~ /debian/ {print $1; exit}')
# In memory, for dpkg syncs all it writes, and in a mount namespace that takes everything along at the end.
if [ -z "${DEBIAN_ROOT_INSIDE:-}" ]; then
	DEBIAN_ROOT_INSIDE=yes exec unshare -m --propagation private "$0" "$out"
fi
work=$(mktemp -d)
trap 'cd /; umount -l "$work"; rmdir "$work"' EXIT
mount -t tmpfs -o size=2g,mode=700 debian-root "$work"
root=$work/root
debootstrap --variant=minbase --include="$tree" bookworm "$root" "${mirror:-http://deb.debian.org/debian}" >"$work/log" 2>&1 || {
	tail -n 5 "$work/log" >&2
	exit 1
}
mkdir "$root/repo"
chmod 755 "$root/repo"
# shellcheck disable=SC2086
chroot "$root" sh -ec "cd /repo; apt-get -qq -o APT::Sandbox::User=root download $apart" >"$work/log" 2>&1 || {
	tail -n 5 "$work/log" >&2
	exit 1
}
chroot "$root" localedef -i de_DE -f UTF-8 de_DE.UTF-8
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/usr/share/doc/* \
	"$root"/usr/share/man/* "$root"/usr/share/locale/* "$root"/var/log/* "$root"/etc/resolv.conf "$root"/etc/hostname "$root"/dev/*
tar --numeric-owner --xattrs --xattrs-include='*' -C "$root" -cf "$out.new" .
mv "$out.new" "$out"
