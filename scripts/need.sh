#!/bin/bash
# need.sh PART...: make sure that the programs a part needs are here.
#
# As root on a machine with apt-get it installs what is missing; otherwise it
# prints one line that names the missing packages and fails. Parts: build,
# test, race, demo, e2e, bench-ike, bench-dataplane, bench-scale,
# soak, all.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

# program:package, as Debian 12 names them; /file:package, =library:package
lab="nft:nftables nsenter:util-linux"
tests="ip:iproute2 ping:iputils-ping sysctl:procps dpkg-deb:dpkg"
c="gcc:gcc /usr/include/stdlib.h:libc6-dev"
peers="swanctl:strongswan-swanctl charon-systemd:charon-systemd pki:strongswan-pki
  /usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so:libcharon-extra-plugins
  /usr/lib/ipsec/plugins/libstrongswan-openssl.so:libstrongswan-standard-plugins
  /usr/lib/ipsec/plugins/libstrongswan-curve25519.so:libstrongswan-extra-plugins
  iperf3:iperf3 tcpdump:tcpdump conntrack:conntrack curl:curl openssl:openssl
  ike-scan:ike-scan /usr/lib/python3/dist-packages/scapy/__init__.py:python3-scapy
  /usr/lib/frr/bgpd:frr vtysh:frr bird:bird2 gobgpd:gobgpd gobgp:gobgpd bgpctl:openbgpd exabgp:exabgp iked:openiked certutil:libnss3-tools =libldns3:libldns3 =libunbound8:libunbound8
  =libevent-core-2.1-7:libevent-core-2.1-7 =libevent-pthreads-2.1-7:libevent-pthreads-2.1-7
  =libcurl3-nss:libcurl3-nss =libcap-ng0:libcap-ng0 =libldap-2.5-0:libldap-2.5-0"

# what strongSwan's load-tester is built with
load="make:make bzip2:bzip2 /usr/include/openssl/evp.h:libssl-dev =libgmp-dev:libgmp-dev"

# whom the data plane is measured with
rivals="ip:iproute2 ping:iputils-ping sysctl:procps ethtool:ethtool nft:nftables iperf3:iperf3 openvpn:openvpn
  swanctl:strongswan-swanctl charon-systemd:charon-systemd
  /usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so:libcharon-extra-plugins
  /usr/lib/ipsec/plugins/libstrongswan-openssl.so:libstrongswan-standard-plugins"

# libreswan's package conflicts with strongSwan's, so it is unpacked beside it:
# where e2e/libreswan looks for it.
libreswan=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/seikan/libreswan

wanted=""
for part in "$@"; do
  case $part in
  build) ;;
  demo) wanted="$wanted $lab" ;;
  test) wanted="$wanted $lab $tests" ;;
  race) wanted="$wanted $lab $tests $c" ;;
  e2e) wanted="$wanted $lab $tests $c $peers $libreswan/root/usr/libexec/ipsec/pluto:libreswan" ;;
  bench-ike) wanted="$wanted $c $load ip:iproute2 unshare:util-linux" ;;
  bench-dataplane) wanted="$wanted $rivals" ;;
  soak) wanted="$wanted ip:iproute2" ;;
  bench-scale) wanted="$wanted ip:iproute2 sysctl:procps" ;;
  all) wanted="$wanted $lab $tests $c $peers $rivals $libreswan/root/usr/libexec/ipsec/pluto:libreswan" ;;
  *)
    echo "need.sh: unknown part '$part'; one of build test race demo e2e bench-ike bench-dataplane bench-scale soak all" >&2
    exit 2
    ;;
  esac
done

missing() {
  local pair
  for pair in $wanted; do
    case ${pair%%:*} in
    /*) test -e "${pair%%:*}" ;;
    =*) dpkg-query -W -f '${db:Status-Status}' "${pair##*:}" 2>/dev/null | grep -qx installed ;;
    *) command -v "${pair%%:*}" >/dev/null ;;
    esac || echo "${pair##*:}"
  done | sort -u | tr '\n' ' '
}

if ! command -v go >/dev/null; then
  echo "need.sh: go is missing: install Go 1.26 or later from https://go.dev/dl" >&2
  exit 1
fi
packages=$(missing)
if [ -z "$packages" ]; then
  exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "missing for $*: ${packages% }; as root: apt-get install -y --no-install-recommends ${packages% }" >&2
  exit 1
fi
echo "installing $packages"
export DEBIAN_FRONTEND=noninteractive
# Daemons that come with a package are not to be started: we run our own.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod +x $policy
  trap 'rm -f $policy' EXIT
fi
read -ra list <<<"$packages"
# unpack puts libreswan beside what is installed. The new folder takes its place
# in one step, since two may do this at once.
unpack() {
  local new
  new=$(mktemp -d "${libreswan%/*}/new.XXXXXX")
  chmod 755 "$new"
  (cd "$new" && apt-get download -qq libreswan && dpkg-deb -x libreswan_*.deb root) || return
  rm -rf "$libreswan"
  mv -T "$new" "$libreswan"
}
install() {
  local package rest=()
  for package in "${list[@]}"; do
    [ "$package" = libreswan ] || rest+=("$package")
  done
  [ ${#rest[@]} = 0 ] || apt-get install -y -qq --no-install-recommends "${rest[@]}" </dev/null || return
  if [ ${#rest[@]} != ${#list[@]} ]; then
    mkdir -p "${libreswan%/*}"
    unpack </dev/null
  fi
}
# The machine's list of packages may be old, so that the first try fails.
install >/dev/null 2>&1 || {
  apt-get update -qq </dev/null
  install >/dev/null
}
packages=$(missing)
if [ -n "$packages" ]; then
  echo "need.sh: installed, yet still not found: $packages" >&2
  exit 1
fi
