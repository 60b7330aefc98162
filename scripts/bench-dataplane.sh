#!/bin/bash
# bench-dataplane.sh [FLAGS OF e2e/benchdata]: what our data plane carries,
# beside wireguard-go, OpenVPN, strongSwan and plain routing. Needs root.
# wireguard-go is built from the module that go.mod names.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"

cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/seikan/bench-dataplane
mkdir -p "$cache"
go build -trimpath -tags e2e -o "$cache/benchdata" ./e2e/benchdata
go build -trimpath -o "$cache/wireguard-go" golang.zx2c4.com/wireguard

# The same gateway with a copy in place of the cipher, if this tree has one.
null=()
if ! grep -rqsE '^//go:build nullcipher' internal/ipsec/esp; then
  echo "bench-dataplane.sh: no build with -tags nullcipher in this tree; its row is left out" >&2
elif go build -trimpath -tags nullcipher -o "$cache/seikan-null" ./cmd/seikan; then
  null=(-null "$cache/seikan-null")
else
  echo "bench-dataplane.sh: the build with -tags nullcipher fails; its row is left out" >&2
fi
exec "$cache/benchdata" -wireguard "$cache/wireguard-go" "${null[@]}" "$@"
