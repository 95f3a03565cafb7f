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
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
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
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/usr/share/doc/* \
	"$root"/usr/share/man/* "$root"/usr/share/locale/* "$root"/var/log/* "$root"/etc/resolv.conf "$root"/etc/hostname "$root"/dev/*
tar --numeric-owner --xattrs --xattrs-include='*' -C "$root" -cf "$out.new" .
mv "$out.new" "$out"
