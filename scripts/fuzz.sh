#!/bin/bash
# fuzz.sh [PACKAGES]: run every fuzz target of the packages for $FUZZTIME each.
#
# Go fuzzes one target of one package at a time, hence the loop. It stops at
# the first failure; the input that failed is then in the package's testdata.
#
# FUZZSHARD=I/N takes every Nth target only, from number I on (0 to N-1), so
# that N of these may run beside each other; FUZZWORKERS is how many processes
# each target gets, as many as there are processors unless it is given.
set -euo pipefail
: "${FUZZTIME:=60s}" "${FUZZSHARD:=0/1}" "${FUZZWORKERS:=$(nproc)}"
if [ $# -eq 0 ]; then
  set -- ./...
fi

# What is interesting is made smaller for as long as 20 runs take, not for the
# minute that is usual: inputs of 64 KiB would be all that is ever worked on.
#
# A run whose only complaint is that its time is up found nothing: the fuzzing
# engine says so when a worker is slow to stop (golang.org/issue/56238). It is
# run again; any other failure ends the script.
fuzz() {
  local out
  for _ in 1 2 3; do
    if out=$(go test -run '^$' -fuzz "^$2\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 20x -parallel "$FUZZWORKERS" "$1" </dev/null 2>&1); then
      tail -n 2 <<<"$out"
      return 0
    fi
    echo "$out"
    grep -q 'context deadline exceeded' <<<"$out" && ! grep -q 'Failing input' <<<"$out" || return 1
  done
  return 1
}

count=0 seen=0
while read -r dir package; do
  for target in $(cat "$dir"/*_test.go 2>/dev/null | sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' | sort -u); do
    seen=$((seen + 1))
    if [ $(((seen - 1) % ${FUZZSHARD#*/})) != "${FUZZSHARD%/*}" ]; then
      continue
    fi
    echo "== $package $target, $FUZZTIME"
    fuzz "$package" "$target"
    count=$((count + 1))
  done
done < <(go list -f '{{.Dir}} {{.ImportPath}}' "$@")
echo "== $count fuzz targets ran clean, $FUZZTIME each"
