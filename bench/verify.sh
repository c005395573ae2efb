#!/usr/bin/env bash
# Times what a node does with each record that it hears of, verify and index,
# beside Ed25519 verification alone.
#
#   bench/verify.sh [COUNT]      3 runs of each unless told
set -euo pipefail
cd "$(dirname "$0")/.."

count=${1:-3}
out=$(mktemp)
trap 'rm -f "$out"' EXIT

go test -run '^$' -bench '^Benchmark(Ed25519Raw|Verify|VerifyAndAdd)$' -benchtime 2s -count "$count" ./index | tee "$out"
for name in Ed25519Raw Verify VerifyAndAdd; do
	grep -q "^Benchmark${name}[-/ 0-9]" "$out" || {
		echo "package index has no Benchmark$name" >&2
		exit 1
	}
done

printf '\n| what | per second, median of %d |\n| --- | --- |\n' "$count"
awk '/^Benchmark/ {
	rate = 1e9 / $3
	for (i = 5; i < NF; i += 2) if ($(i + 1) == "records/s") rate = $i
	print $1, rate
}' "$out" | sort -k 1,1 -k 2,2n | awk '
	function row() { if (n) printf "| %s | %.0f |\n", name, v[int((n + 1) / 2)] }
	$1 != name { row(); name = $1; n = 0 }
	{ v[++n] = $2 }
	END { row() }'
