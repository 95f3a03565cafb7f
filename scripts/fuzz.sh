#!/bin/bash
# Runs every fuzz target of the repository for a bounded time.
#
#   scripts/fuzz.sh 'TAGS' TIME
set -eu
tags=$1 time=$2 go=${GO:-go} failed=0 n=0
while IFS=: read -r file line; do
	name=$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' <<<"$line")
	pkg=./$(dirname "$file")
	echo "fuzz: $pkg $name for $time"
	"$go" test -tags "$tags" -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$pkg" </dev/null || failed=$((failed + 1))
	n=$((n + 1))
done < <(git ls-files -co --exclude-standard '*_test.go' | xargs grep -H '^func Fuzz' || true)
echo "fuzz: $n targets, $failed failed"
[ "$failed" = 0 ]
