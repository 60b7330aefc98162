#!/bin/bash
# bench-ike.sh [FLAGS OF e2e/benchike]: setups a second and processor time a
# setup, ours and strongSwan's, and ten thousand tunnels in one gateway. Needs
# root and Debian, whose strongSwan has no load-tester: it is built from
# Debian's source package, into the cache, once.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"

version=5.9.8
sha256=d3303a43c0bd7b75a12b64855e8edcb53696f06190364f26d1533bde1f2e453c
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/seikan/strongswan-$version-loadtester

build() {
  local work=$cache/work tar=strongswan_$version.orig.tar.bz2
  rm -rf "$work" && mkdir -p "$work/lists/partial"
  # The same mirrors as for packages, in a private list.
  apt-get indextargets --format 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sort -u >"$work/list"
  local apt=(apt-get -q -o Dir::Etc::sourcelist="$work/list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$work/lists" -o APT::Get::List-Cleanup=false)
  "${apt[@]}" update
  # Debian's patches of a superseded package may be gone from the mirror; what
  # upstream released is what we want.
  (cd "$work" && "${apt[@]}" source --download-only strongswan) || true
  if ! (cd "$work" && echo "$sha256  $tar" | sha256sum --check --quiet); then
    echo "bench-ike.sh: the source of strongSwan $version cannot be had from Debian, or is another one" >&2
    exit 1
  fi
  tar -xjf "$work/$tar" -C "$work"
  (
    cd "$work/strongswan-$version"
    ./configure --quiet --prefix="$cache/root" --disable-defaults --enable-charon --enable-ikev2 --enable-nonce --enable-random \
      --enable-openssl --enable-gmp --enable-hmac --enable-kdf --enable-load-tester --enable-vici --enable-socket-default --enable-kernel-netlink
    make -s -j"$(nproc)" && make -s install
  ) >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
  rm -rf "$work"
}

if [ ! -x "$cache/root/libexec/ipsec/charon" ]; then
  echo "bench-ike.sh: building strongSwan $version with its load-tester; this takes a minute" >&2
  build
fi
mkdir -p "$cache"
go build -trimpath -tags e2e -o "$cache/benchike" ./e2e/benchike
exec "$cache/benchike" -strongswan "$cache/root" "$@"
