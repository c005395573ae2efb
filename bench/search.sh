#!/usr/bin/env bash
# Searches an index of real names: how long queries take with 10^4, 10^5, all of FILE's
# and, by repeating names with suffixes, 10^6 releases, 20 trusted keys; and how many of the
# 1,000 most downloaded come first for what people type, and of the searches in words in
# bench/search. Downloads judge, and are no input. Misses are printed.
#
#   NAMES=FILE bench/search.sh [COUNT...]     FILE: name, version, downloads, summary; tabs, a header, gzip
#
# KEEP=DIR keeps the indexes between runs; HELD_OUT=1 asks what is in held-out.tsv too.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${NAMES:?NAMES=FILE is needed: name, version, downloads, summary}"
names=$(realpath "$NAMES") keep=${KEEP:-$(mktemp -d)}
[[ -n ${KEEP:-} ]] || trap 'rm -rf "$keep"' EXIT
[[ $# -gt 0 ]] || set -- 10000 100000 226974 1000000
uptime
for n; do
	go test -count 1 -timeout 60m -run '^TestNames$' -v ./index/search -names "$names" -count-names "$n" -keep "$(realpath "$keep")" ${HELD_OUT:+-held-out}
done
