#!/usr/bin/env bash
# Reconciles two nodes' indexes over TCP on loopback: 10 records missing of 10^4,
# 10^5 and 10^6, then nothing missing, and 100,000 records from nothing.
#
#   bench/reconcile.sh [SIZES]      default 10000,100000,1000000 (signing the last takes minutes)
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(mktemp)
trap 'rm -f "$out"' EXIT
go test ./bench -run '^TestReconcile$' -count=1 -v -timeout 180m -args -sizes "${1:-10000,100000,1000000}" -nothing 100000 | tee "$out"
grep -q '^ok' "$out"
printf '\n| what | requests | bytes | time |\n| --- | --- | --- | --- |\n'
sed -n 's/.*row: \(.*\)/| \1 |/p' "$out"
