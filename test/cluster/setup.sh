#!/bin/sh
# Installs the Debian packages that the cluster suite runs on. Safe to run again: does nothing when all are there.
set -eu

packages="ca-certificates containerd containernetworking-plugins conntrack debootstrap iproute2 iptables nftables maven openjdk-17-jdk-headless python3-pip python3-venv runc util-linux"

missing=""
for package in $packages; do
  dpkg-query --show --showformat='${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet --quiet
# shellcheck disable=SC2086 # One word a package.
exec apt-get install --yes --quiet --quiet --no-install-recommends $missing
