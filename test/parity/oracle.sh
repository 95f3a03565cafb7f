#!/bin/bash
# The oracle: Debian's dockerd 20.10 with roots of its own, for asking a real daemon a question.
#
#   test/parity/oracle.sh start [DIR]    default DIR is /tmp/oracle; does nothing when it runs
#   test/parity/oracle.sh stop [DIR]     stops it and removes DIR
#   export DOCKER_HOST=unix://DIR/docker.sock
#
# Without a bridge and without iptables: the only networks are none and host, and containers get
# `none`, as in an engine that has no network driver yet. A busybox image is loaded.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
verb=${1:?start or stop}
dir=${2:-/tmp/oracle}
sock=$dir/docker.sock
docker=/usr/bin/docker
[ -x "$docker" ] || docker=docker

alive() { [ -s "$dir/docker.pid" ] && kill -0 "$(cat "$dir/docker.pid")" 2>/dev/null; }

case $verb in
start)
	alive && exit 0
	mkdir -p "$dir"
	# Without forwarding dockerd warns at every create.
	cat /proc/sys/net/ipv4/ip_forward >"$dir/ip_forward"
	echo 1 >/proc/sys/net/ipv4/ip_forward
	# A pid file of a killed daemon, whose pid another process has now, keeps dockerd from starting.
	rm -f "$dir/docker.pid"
	setsid nohup dockerd -H "unix://$sock" --data-root "$dir/data" --exec-root "$dir/exec" \
		--pidfile "$dir/docker.pid" --bridge=none --iptables=false --ip6tables=false --ip-forward=false \
		--userland-proxy=false --cgroup-parent "/oracle${dir//\//-}" ${ORACLE_FLAGS:-} \
		>"$dir/log" 2>&1 </dev/null &
	for _ in $(seq 300); do
		DOCKER_HOST=unix://$sock "$docker" version >/dev/null 2>&1 && break
		sleep 0.1
	done
	if ! DOCKER_HOST=unix://$sock "$docker" version >/dev/null 2>&1; then
		tail -n 20 "$dir/log" >&2
		echo "oracle: dockerd did not come up" >&2
		exit 1
	fi
	"$here/scripts/busybox-image.sh" archive "$dir/busybox.tar"
	DOCKER_HOST=unix://$sock "$docker" load -q -i "$dir/busybox.tar" >/dev/null
	;;
stop)
	if alive; then
		pid=$(cat "$dir/docker.pid")
		DOCKER_HOST=unix://$sock "$docker" ps -aq 2>/dev/null |
			DOCKER_HOST=unix://$sock xargs -r "$docker" rm -f >/dev/null 2>&1 || true
		kill "$pid" 2>/dev/null || true
		for _ in $(seq 200); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
	fi
	awk -v d="$dir/" 'index($5, d) == 1 {print $5}' /proc/self/mountinfo | sort -r | xargs -r umount -l
	for c in /sys/fs/cgroup/*/"oracle${dir//\//-}" /sys/fs/cgroup/"oracle${dir//\//-}"; do
		[ -d "$c" ] && find "$c" -depth -type d -exec rmdir {} \; 2>/dev/null
	done || true
	[ ! -s "$dir/ip_forward" ] || cat "$dir/ip_forward" >/proc/sys/net/ipv4/ip_forward
	rm -rf "$dir"
	;;
*)
	echo "usage: $0 start|stop [DIR]" >&2
	exit 2
	;;
esac
