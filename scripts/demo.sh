#!/bin/bash
# A first look at engine, for a person who has just cloned it: builds it, starts a daemon of its own in
# a temporary folder, runs a few containers, and removes every trace, also when something fails.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:/usr/local/go/bin

bold= dim= plain=
[ ! -t 1 ] || { bold=$'\033[1m' dim=$'\033[36m' plain=$'\033[0m'; }

# say a sentence; show a command as a person would type it, run it, indent what it prints.
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() {
	local word line=
	for word in "$@"; do
		word=${word//$dir/DIR}
		[ "$word" != "$engine" ] || word=engine
		case $word in
		*\'*) word=\"$word\" ;;
		*[\ \"\{\$]*) word=\'$word\' ;;
		esac
		line+="$word "
	done
	printf '  %s$ %s%s\n' "$dim" "$line" "$plain"
	"$@" 2>&1 | sed 's/^/    /'
}

[ "$(id -u)" = 0 ] || { echo "demo: please run it as root: containers need that"; exit 1; }

dir= daemon= engine=
finish() {
	code=$?
	trap - EXIT
	set +e
	if [ -n "$daemon" ]; then
		say "Cleaning up: the containers, their network, the daemon, its supervisor and its folder go."
		ids=$(timeout 20 "$engine" ps -aq 2>/dev/null)
		[ -z "$ids" ] || timeout 60 "$engine" rm -f $ids >/dev/null 2>&1
		timeout 20 "$engine" network prune -f >/dev/null 2>&1
		kill "$daemon" 2>/dev/null
		for _ in $(seq 100); do kill -0 "$daemon" 2>/dev/null || break; sleep 0.1; done
		kill -9 "$daemon" 2>/dev/null
		wait "$daemon" 2>/dev/null
	fi
	if [ -n "$dir" ]; then
		[ $code = 0 ] || { echo "The last lines of the daemon's log:"; tail -n 15 "$dir/log" 2>/dev/null | sed 's/^/    /'; }
		# What should not be there any more, after a failure.
		for p in $(grep -alF -- "$dir/" /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3); do
			[ "$p" = $$ ] || kill -9 "$p" 2>/dev/null
		done
		awk -v d="$dir/" 'index($5, d) == 1 { print $5 }' /proc/self/mountinfo | sort -r | xargs -r umount -l
		instance=engine-$(printf %s "$dir/exec" | sha256sum | cut -c1-8)
		for alias in $(grep -lsx "bridge of $instance" /sys/class/net/*/ifalias); do
			ip link delete "$(basename "$(dirname "$alias")")"
		done
		nft delete table inet "$instance" 2>/dev/null
		find /sys/fs/cgroup -depth -type d -path "*$cgroup*" -exec rmdir {} \; 2>/dev/null
		rm -rf "$dir"
	fi
	if [ $code = 0 ]; then
		say "Done. Nothing is left of the demo but bin/engine. Try: bin/engine --help"
	else
		say "The demo FAILED (exit code $code)."
	fi
	exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM

say "1. Building bin/engine: one static binary, both daemon and client."
# Make lends its job server to its children only when they are called as \$(MAKE).
MAKEFLAGS= make --no-print-directory build | sed 's/^/    /'
engine=$PWD/bin/engine

dir=$(mktemp -d /tmp/engine-demo-XXXXXX)
cgroup=/$(basename "$dir")
# Nothing of the host is changed for good: no default network, which would stay, and no forwarding of packets.
flags=(-d -H "unix://$dir/engine.sock" --data-root "$dir/data" --exec-root "$dir/exec" -p "$dir/pid" --cgroup-parent "$cgroup" --bridge none --ip-forward=false)
export ENGINE_HOST=unix://$dir/engine.sock
unset DOCKER_HOST

say "2. Starting a private daemon. All it knows lies in $dir."
setsid "$engine" "${flags[@]}" >"$dir/log" 2>&1 </dev/null &
daemon=$!
for _ in $(seq 200); do
	"$engine" version >/dev/null 2>&1 && break
	kill -0 "$daemon" 2>/dev/null || { echo "The daemon did not start."; exit 1; }
	sleep 0.05
done
show "$engine" version --format 'engine {{.Server.Version}} answers, API {{.Server.APIVersion}}'

say "3. Making an image of busybox: the root filesystem comes in as a tar, no registry is needed."
scripts/busybox-image.sh rootfs "$dir/rootfs.tar"
show "$engine" import -c 'CMD ["sh"]' -c 'ENV PATH=/bin:/sbin:/usr/bin:/usr/sbin' "$dir/rootfs.tar" busybox:demo
show "$engine" images

say "4. Running a container that says who it is, and is removed when it ends."
show "$engine" run --rm --hostname demo busybox:demo sh -c 'echo "I am process $$ of $(hostname), user $(id -un), and see $(ls -d /proc/[0-9]* | wc -l) processes."'
begin=$(date +%s%N)
"$engine" run --rm --network none busybox:demo true
echo "  A whole 'engine run --rm' takes $((($(date +%s%N) - begin) / 1000000)) ms here."

say "5. Serving a page from a container on a network of its own, which keeps running in the background."
port=
for p in $(seq 18080 18180); do
	(: >"/dev/tcp/127.0.0.1/$p") 2>/dev/null || { port=$p; break; }
done
show "$engine" network create demo
show "$engine" run -d --name web --network demo -p "127.0.0.1:$port:80" busybox:demo sh -c \
	"echo '<h1>Hello from a container</h1>' >/var/www/index.html; echo serving; exec httpd -f -p 80 -h /var/www"
for _ in $(seq 100); do
	page=$(busybox wget -q -O - "http://127.0.0.1:$port/" 2>/dev/null) && break
	sleep 0.05
done
echo "  From the host, http://127.0.0.1:$port/ answers:"
echo "    ${page:?the page did not come}"
show "$engine" ps --format 'table {{.Names}}\t{{.Image}}\t{{.Status}}\t{{.Ports}}'
show "$engine" logs web

say "6. Looking into it with exec, and changing the page from there."
show "$engine" exec web ps -o pid,user,args
show "$engine" exec web sh -c "echo '<h1>Changed by exec</h1>' >/var/www/index.html"
echo "    $(busybox wget -q -O - "http://127.0.0.1:$port/")"

say "7. Killing the daemon with SIGKILL, and starting it again: the container does not notice."
before=$("$engine" inspect -f '{{.State.Pid}}' web)
{ kill -9 "$daemon"; wait "$daemon"; } 2>/dev/null || true
echo "    While no daemon runs: $(busybox wget -q -O - "http://127.0.0.1:$port/")"
setsid "$engine" "${flags[@]}" >>"$dir/log" 2>&1 </dev/null &
daemon=$!
for _ in $(seq 200); do
	"$engine" version >/dev/null 2>&1 && break
	sleep 0.05
done
after=$("$engine" inspect -f '{{.State.Pid}}' web)
[ "$before" = "$after" ] || { echo "The container's process changed from $before to $after."; exit 1; }
echo "    The new daemon found it again, still process $after:"
show "$engine" ps --format '{{.Names}}: {{.Status}}'

say "8. Stopping and removing it."
show "$engine" stop -t 1 web
show "$engine" rm web
show "$engine" network rm demo
