#!/bin/bash
# Runs staticcheck, pinned, from the module proxy. Where the proxy has it not, says so and goes on.
set -eu
tool=honnef.co/go/tools/cmd/staticcheck@v0.8.2
if ! go install "$tool" 2>/tmp/staticcheck.$$; then
	echo "check: staticcheck SKIPPED, $tool cannot be had: $(tail -n 1 /tmp/staticcheck.$$)"
	rm -f /tmp/staticcheck.$$
	exit 0
fi
rm -f /tmp/staticcheck.$$
# ST1005: docker's error texts begin with capitals, and clients compare them.
# SA1019: fields that are deprecated still go to old clients.
exec "$(go env GOPATH)/bin/staticcheck" -checks inherit,-ST1005,-SA1019 -tags "${1// /,}" ./...
