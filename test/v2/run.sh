#!/bin/bash
# Boots Debian 12's own kernel with systemd in qemu and runs tests of this repository in there.
#
#   test/v2/run.sh [MODE...]     v2 (the default), hybrid, v1: the cgroup hierarchies of the guest
#
# V2_RUN='-test.run X'   which tests of the guest's own ones (test/v2/guest_test.go)
# V2_PARTS='guest …'     guest, conformance, supervisor, system; the default is all but system
# V2_FRESH=1             makes the image again; V2_ACCEL=tcg does without KVM; V2_MINUTES=40
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
cache=$top/test/v2/.cache
minutes=${V2_MINUTES:-40}
parts=${V2_PARTS:-guest conformance supervisor}
modes=${*:-v2}
packages=linux-image-amd64,initramfs-tools,systemd,systemd-sysv,udev,kmod,busybox-static,iproute2,procps,runc,crun,zstd,apparmor
suite=bookworm
arch=$(dpkg --print-architecture)
[ "$arch" = amd64 ] || { echo "v2: only for amd64, this is $arch"; exit 1; }

work=$(mktemp -d "${TMPDIR:-/tmp}/engine-v2-XXXXXX")
qemu=
cleanup() {
	[ -z "$qemu" ] || kill -9 "$qemu" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

image() {
	stamp="1 $suite $packages" # count up what is changed below
	if [ -z "${V2_FRESH:-}" ] && [ "$(cat "$cache/stamp" 2>/dev/null)" = "$stamp" ]; then
		return
	fi
	echo "v2: making the guest's root with mmdebstrap (some minutes, once)"
	rm -rf "$cache"
	mkdir -p "$cache"
	mmdebstrap --quiet --variant=minbase --include="$packages" "$suite" "$work/root" >"$work/mmdebstrap.log" 2>&1 || {
		tail -n 20 "$work/mmdebstrap.log"
		exit 1
	}
	root=$work/root
	cp "$root"/boot/vmlinuz-* "$cache/vmlinuz"
	cp "$root"/boot/initrd.img-* "$cache/initrd"
	rm -rf "$root"/boot/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
	echo "v2-guest" >"$root/etc/hostname"
	printf '/dev/vda / ext4 defaults 0 1\n' >"$root/etc/fstab"
	cat >"$root/etc/systemd/system/guest.service" <<-UNIT
		[Unit]
		Description=the tests
		After=basic.target
		[Service]
		Type=oneshot
		ExecStart=/bin/sh -c 'mkdir -p /opt/v2 && cd /opt/v2 && tar xf /dev/vdb && exec sh ./guest.sh'
		TimeoutStartSec=infinity
		LimitNOFILE=524288
	UNIT
	mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
	ln -s ../guest.service "$root/etc/systemd/system/multi-user.target.wants/"
	for unit in getty@tty1.service serial-getty@ttyS0.service serial-getty@ttyS1.service apt-daily.timer \
		apt-daily-upgrade.timer e2scrub_all.timer dpkg-db-backup.timer fstrim.timer systemd-timesyncd.service; do
		ln -sf /dev/null "$root/etc/systemd/system/$unit"
	done
	truncate -s 6G "$cache/root.img"
	mke2fs -q -t ext4 -E lazy_itable_init=1 -d "$root" "$cache/root.img"
	rm -rf "$root"
	echo "$stamp" >"$cache/stamp"
}

payload() {
	cd "$top"
	bin=$work/payload
	mkdir -p "$bin/scripts"
	cp scripts/busybox-image.sh "$bin/scripts/"
	cp "${ENGINE_BIN:-bin/engine}" "$bin/engine"
	cp go.mod test/v2/guest.sh scripts/engine.service scripts/engine.socket scripts/engine.slice "$bin/"
	static() { CGO_ENABLED=1 go test -c -tags "$1" -ldflags '-s -w -extldflags -static' -o "$bin/$2" "$3"; }
	for part in $parts; do
		case $part in
		guest)
			static 'v2 netgo osusergo' guest.test ./test/v2
			static 'netgo osusergo' macvlan.test ./networkdriver/macvlan
			;;
		conformance)
			static 'seccomp netgo osusergo' native.test ./execdriver/native
			static 'seccomp netgo osusergo' oci.test ./execdriver/oci
			static 'netgo osusergo' cgroupdir.test ./internal/cgroupdir
			static 'netgo osusergo' overlay2.test ./graphdriver/overlay2
			;;
		supervisor) static 'seccomp netgo osusergo' supervisor.test ./supervisor/client ;;
		system) static 'system seccomp netgo osusergo' system.test ./test ;;
		*) echo "v2: no part $part"; exit 2 ;;
		esac
	done
	echo "$parts" >"$bin/parts"
	echo "${V2_RUN:-}" >"$bin/arguments"
	tar -C "$bin" -cf "$work/payload.tar" .
}

# accelerate chooses how the guest's code runs. A /dev/kvm that opens and cannot run a kernel is no
# rarity in virtual machines: it has to show that it can.
accelerate() {
	accel="-accel tcg,thread=multi -cpu max"
	kvm="-accel kvm -cpu host,-arch-capabilities"
	[ "${V2_ACCEL:-kvm}" = kvm ] && [ -w /dev/kvm ] || return 0
	timeout 20 qemu-system-x86_64 $kvm -M q35 -m 512 -display none -nodefaults -no-reboot -kernel "$cache/vmlinuz" -initrd "$cache/initrd" \
		-append "console=ttyS0 panic=-1" -serial "file:$work/probe" >/dev/null 2>&1 || true
	if grep -aq 'Run /init' "$work/probe"; then
		accel=$kvm
	else
		echo "v2: there is /dev/kvm, and it does not boot a kernel: emulating, which is slow"
	fi
}

# boot runs the guest to its end; its result is the last line of the second serial port.
boot() {
	mode=$1
	case $mode in
	v2) args= ;;
	hybrid) args="systemd.unified_cgroup_hierarchy=0" ;;
	v1) args="systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1" ;;
	*) echo "v2: no mode $mode"; exit 2 ;;
	esac
	console=$work/console-$mode result=$work/result-$mode
	: >"$console" >"$result"
	started=$SECONDS
	echo "v2: booting with cgroup $mode ($accel)"
	timeout -k 5 $((minutes * 60)) qemu-system-x86_64 $accel -M q35 -smp 2 -m 2048 -display none -nodefaults -no-reboot -nic none \
		-kernel "$cache/vmlinuz" -initrd "$cache/initrd" \
		-append "root=/dev/vda rw console=ttyS0 panic=-1 quiet systemd.show_status=no systemd.journald.forward_to_console=no $args" \
		-drive "file=$cache/root.img,format=raw,if=virtio,snapshot=on" \
		-drive "file=$work/payload.tar,format=raw,if=virtio,readonly=on" \
		-device virtio-rng-pci -serial "file:$console" -serial "file:$result" >"$work/qemu.log" 2>&1 &
	qemu=$!
	code=0
	tail --pid=$qemu -n +1 -f "$result" &
	wait $qemu || code=$?
	qemu=
	wait
	if [ $code != 0 ] || [ "$(tr -d '\r' <"$result" | tail -n 1)" != "v2-result: PASS" ]; then
		echo "v2: $mode: FAILED (qemu: $code) after $((SECONDS - started)) s; the end of the console:"
		tail -n 30 "$console" "$work/qemu.log"
		return 1
	fi
	echo "v2: $mode: passed after $((SECONDS - started)) s"
}

image
payload
accelerate
failed=0
for mode in $modes; do
	boot "$mode" || failed=1
done
exit $failed
