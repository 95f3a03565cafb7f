#!/bin/bash
# Runs go test so that what failed stands at the end, in its own words and not in too many:
#
#	scripts/gotest.sh PACKAGES [GO-TEST-ARGUMENT...]
#
# A test that fails is run once more, if no more than three did. One that passes then is listed as
# flaky, and has to be mended all the same (docs/adr/0023-reruns.md). RERUN=0: none is.
# Without gotestsum (make puts it into bin/) it is plain go test.
set -u
cd "$(dirname "$0")/.."
packages=$1
shift
if [ ! -x bin/gotestsum ]; then
	echo "test: no bin/gotestsum, so failures are not collected at the end" >&2
	# shellcheck disable=SC2086
	exec go test "$@" $packages
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
args=(--format pkgname-and-test-fails --format-icons text --format-hide-empty-pkg --hide-summary skipped --no-color
	--jsonfile-timing-events "$tmp/events")
[ "${RERUN:-1}" = 0 ] || args+=(--rerun-fails=1 --rerun-fails-max-failures=3 --rerun-fails-report "$tmp/flaky")
# The end repeats what each failed test has printed; of long ones only the head and the tail.
bin/gotestsum "${args[@]}" --packages "$packages" -- "$@" 2>&1 | awk '
	function flush(  i) {
		for (i = 0; i < n; i++) {
			if (n > 40 && i == 15) { print "    … " n - 40 " lines, see further up …"; i = n - 25 }
			print held[i]
		}
		n = 0
	}
	/^=== Failed$/ { ends = 1 }
	!ends { print; fflush(); next }
	/^(=== |DONE )/ { flush(); print; next }
	{ held[n++] = $0 }
	END { flush() }'
code=${PIPESTATUS[0]}
if [ "$code" != 0 ]; then
	echo "test: FAILED"
	sed -n 's/.*"Action":"fail","Package":"\([^"]*\)","Test":"\([^"/]*\)".*/--- FAIL: \2 (\1)/p' "$tmp/events" | sort -u
elif [ -s "$tmp/flaky" ]; then
	echo "test: FLAKY, failed and then passed when run once more:"
	sed 's/^/test:   /' "$tmp/flaky"
fi
exit "$code"
