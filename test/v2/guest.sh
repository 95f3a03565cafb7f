#!/bin/sh
# Runs in the guest, as its one service, in the folder that came on the second disk: runs the tests, says
# what came of it on the second serial port, and turns the machine off.
exec >/dev/ttyS1 2>&1
stty -F /dev/ttyS1 -opost 2>/dev/null
install -m 755 engine /usr/local/bin/engine
cp engine.service engine.socket engine.slice /etc/systemd/system/
systemctl daemon-reload
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin ENGINE_BIN=/usr/local/bin/engine
echo "guest: Linux $(uname -r), systemd $(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p'), $(stat -fc %T /sys/fs/cgroup) on /sys/fs/cgroup, $(nproc) cpus, $(crun --version | head -n 1), $(runc --version | head -n 1)"
failed=0
# run says how each top-level test went as it goes along, and all of the output if one failed.
run() {
	name=$1
	shift
	{
		timeout 1500 "$@" 2>&1
		echo $? >/tmp/code
	} | tee /tmp/out | grep --line-buffered -a -e '^--- ' -e '^ *--- FAIL'
	if [ "$(cat /tmp/code)" = 0 ]; then
		echo "guest: ok   $name: $(grep -c '^ *--- PASS' /tmp/out) passed, $(grep -c '^ *--- SKIP' /tmp/out) skipped"
	else
		echo "guest: FAIL $name"
		grep -v '^=== ' /tmp/out | tail -n 200
		failed=1
	fi
}
parts=$(cat parts)
for part in $parts; do
	case $part in
	guest)
		run macvlan ./macvlan.test -test.v -test.timeout 10m
		run guest ./guest.test -test.v -test.timeout 20m $(cat arguments)
		;;
	conformance)
		TMPDIR=/var/tmp run overlay2 ./overlay2.test -test.v -test.timeout 20m
		EXECTEST_SLICE=enginetest.slice run "native, systemd" ./native.test -test.v -test.timeout 20m -test.run Conformance
		run "native, cgroupfs" ./native.test -test.v -test.timeout 20m
		run "oci with runc, cgroupfs" ./oci.test -test.v -test.timeout 20m
		EXECTEST_SLICE=enginetest.slice run "oci with runc, systemd" ./oci.test -test.v -test.timeout 20m -test.run Conformance
		OCI_RUNTIME=crun run "oci with crun, cgroupfs" ./oci.test -test.v -test.timeout 20m -test.run Conformance
		run cgroupdir ./cgroupdir.test -test.v
		;;
	supervisor) run supervisor ./supervisor.test -test.v -test.timeout 20m ;;
	system) run system ./system.test -test.v -test.timeout 25m ;;
	esac
done
[ $failed = 0 ] && echo "v2-result: PASS" || echo "v2-result: FAIL"
sync
systemctl poweroff --force
