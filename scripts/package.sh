#!/bin/bash
# package.sh [DIRECTORY]: build a Debian package of bin/seikan in DIRECTORY (bin).
#
# Needs dpkg-deb and nothing else that is foreign: the program writes its own
# unit, manual pages and example. The same commit makes the same package.
# SEIKAN is the program to pack; COMPRESSION is dpkg-deb's (xz).
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-bin} seikan=${SEIKAN:-bin/seikan}

command -v dpkg-deb >/dev/null || {
  echo "package.sh: dpkg-deb is missing: apt-get install dpkg, on Debian or its kin" >&2
  exit 1
}
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
export SOURCE_DATE_EPOCH
version=0~$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d.%H%M%S)$(git log -1 --format=.g%h 2>/dev/null || true)
arch=$(dpkg --print-architecture)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
umask 022

"$seikan" gateway install --root "$tree" --vendor --binary /usr/bin/seikan >/dev/null
doc=$tree/usr/share/doc/seikan
mkdir -p "$doc/examples" "$tree/usr/share/bash-completion/completions" "$tree/DEBIAN"
"$seikan" gateway example >"$doc/examples/gateway.yaml"
"$seikan" gateway schema >"$doc/examples/gateway.schema.json"
"$seikan" lab example >"$doc/examples/lab.yaml"
"$seikan" completion bash >"$tree/usr/share/bash-completion/completions/seikan"
"$seikan" man-pages "$tree/usr/share/man/man1"
gzip -9n "$tree"/usr/share/man/man1/*.1

# Ours, then the licences of what is linked in.
{
  printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n'
  printf 'Upstream-Name: seikan\n\nFiles: *\nCopyright: The authors of Seikan\nLicense: Apache-2.0\n'
  printf ' The text is in /usr/share/common-licenses/Apache-2.0.\n'
  printf 'Comment: the program contains the Go modules below, under their own licences.\n'
  go list -deps -f '{{with .Module}}{{if .Version}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/seikan | sort -u |
    while read -r module at dir; do
      for file in "$dir"/LICEN[SC]E* "$dir"/NOTICE* "$dir"/COPYING*; do
        if [ -f "$file" ]; then
          printf '\n==== %s %s: %s\n\n' "$module" "$at" "${file##*/}"
          cat "$file"
        fi
      done
    done
} >"$doc/copyright"

cat >"$tree/DEBIAN/control" <<END
Package: seikan
Version: $version
Architecture: $arch
Maintainer: The Seikan authors
Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f1)
Recommends: nftables
Section: net
Priority: optional
Description: AWS Site-to-Site VPN at both ends
 A customer gateway for Site-to-Site VPN connections of AWS, which takes the
 files that AWS gives, and a lab that builds both ends, and the cloud behind
 them, in network namespaces.
END
cat >"$tree/DEBIAN/postinst" <<'END'
#!/bin/sh
# The user first, then what it may read. A gateway that runs goes on with the
# new program where it was.
set -e
if [ "$1" = configure ]; then
  if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers seikan.conf
    systemd-tmpfiles --create seikan.conf || true
  fi
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    if [ -n "$2" ]; then
      systemctl try-restart seikan-gateway.service || true
    fi
  fi
fi
END
cat >"$tree/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl disable --now seikan-gateway.service || true
fi
END
cat >"$tree/DEBIAN/postrm" <<'END'
#!/bin/sh
# /etc/seikan stays: it holds the administrator's keys.
set -e
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
fi
if [ "$1" = purge ]; then
  rm -rf /var/lib/seikan-gateway
fi
END
chmod 755 "$tree"/DEBIAN/{postinst,prerm,postrm}
mkdir -p "$out"
dpkg-deb --root-owner-group -Z"${COMPRESSION:-xz}" --build "$tree" "$out/seikan_${version}_$arch.deb"
