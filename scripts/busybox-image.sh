#!/bin/sh
# Makes a busybox image from Debian's busybox-static, without any engine: a docker-archive for
# `load`, or the bare root filesystem for `import`. The same bytes, hence the same ids, every time.
#
#   scripts/busybox-image.sh archive OUT.tar [NAME:TAG]
#   scripts/busybox-image.sh rootfs OUT.tar
set -eu

kind=${1:?archive or rootfs}
out=${2:?output file}
tag=${3:-busybox:latest}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

umask 022
mkdir -p "$root/bin" "$root/dev" "$root/etc" "$root/home/alice" "$root/proc" "$root/root" "$root/sys" "$root/tmp" "$root/var/www"
ln -s bin "$root/sbin"
mkdir "$root/usr"
ln -s ../bin "$root/usr/bin"
ln -s ../bin "$root/usr/sbin"
chmod 1777 "$root/tmp"
chmod 700 "$root/root"
cp "$(command -v busybox)" "$root/bin/busybox"
chmod 755 "$root/bin/busybox"
for applet in $("$root/bin/busybox" --list); do
	[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'daemon:x:1:1:daemon:/usr/sbin:/bin/false' \
	'alice:x:1000:1000:Alice:/home/alice:/bin/sh' 'nobody:x:65534:65534:nobody:/:/bin/false' >"$root/etc/passwd"
printf '%s\n' 'root:x:0:' 'daemon:x:1:' 'audio:x:29:alice' 'users:x:100:alice' 'alice:x:1000:' 'nogroup:x:65534:' >"$root/etc/group"

pack() { tar --sort=name --mtime=@0 --numeric-owner --owner=0 --group=0 --format=gnu -C "$1" -cf "$2" "$3"; }

tar --sort=name --mtime=@0 --numeric-owner --owner=0 --group=0 --format=gnu -C "$root" -cf "$work/layer.tar" --exclude=./home/alice .
tar --sort=name --mtime=@0 --numeric-owner --owner=1000 --group=1000 --format=gnu -C "$root" -rf "$work/layer.tar" ./home/alice

if [ "$kind" = rootfs ]; then
	mv "$work/layer.tar" "$out"
	exit 0
fi

diff=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
case $(uname -m) in
x86_64) arch=amd64 ;;
aarch64) arch=arm64 ;;
*) arch=$(uname -m) ;;
esac
printf '{"architecture":"%s","os":"linux","created":"2024-01-02T03:04:05Z","config":{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Cmd":["sh"]},"history":[{"created":"2024-01-02T03:04:05Z","created_by":"/bin/sh -c #(nop) ADD busybox-static in /"},{"created":"2024-01-02T03:04:05Z","created_by":"/bin/sh -c #(nop)  CMD [\\"sh\\"]","empty_layer":true}],"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
	"$arch" "$diff" >"$work/config.json"
id=$(sha256sum "$work/config.json" | cut -d' ' -f1)
mkdir "$work/image" "$work/image/$diff"
mv "$work/layer.tar" "$work/image/$diff/layer.tar"
mv "$work/config.json" "$work/image/$id.json"
printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["%s/layer.tar"]}]\n' "$id" "$tag" "$diff" >"$work/image/manifest.json"
pack "$work/image" "$out" .
