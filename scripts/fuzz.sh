#!/bin/bash
# fuzz.sh [PACKAGES]: run every fuzz target of the packages for $FUZZTIME each.
#
# Go fuzzes one target of one package at a time, hence the loop. It stops at
# the first failure; the input that failed is then in the package's testdata.
set -euo pipefail
: "${FUZZTIME:=60s}"
if [ $# -eq 0 ]; then
  set -- ./...
fi
count=0
while read -r dir package; do
  for target in $(cat "$dir"/*_test.go 2>/dev/null | sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' | sort -u); do
    echo "== $package $target, $FUZZTIME"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" "$package" </dev/null
    count=$((count + 1))
  done
done < <(go list -f '{{.Dir}} {{.ImportPath}}' "$@")
echo "== $count fuzz targets ran clean, $FUZZTIME each"
