#!/usr/bin/env bash
# 30 hostile peers of six addresses, by IPv4 and IPv6, TCP and QUIC, against a node with
# many records that seeds for all, and honest ones beside them, in network namespaces: how
# long the honest ones take, at that node and at one that is left alone, in turns; the
# node's memory and disk, and whether it sent anything elsewhere. Needs root, 4 GiB of
# memory for the disks, and two cores, of which the attackers get the second.
#
#   bench/hostile.sh [RECORDS]      default 100000 (making the index takes minutes)
set -euo pipefail
cd "$(dirname "$0")/../interop"

out=$(mktemp)
trap 'rm -f "$out"' EXIT
ES_HOSTILE_RECORDS=${1:-100000} go test -run '^TestHostileCrowdOffLoopback$' -count=1 -v -timeout 90m . | tee "$out" || true
printf '\n| what | quiet, ms, median of 7 | attacked | slowest | times |\n| --- | --- | --- | --- | --- |\n'
sed -n 's/.*row: \(.*\)/| \1 |/p' "$out"
grep -q '^ok' "$out"
