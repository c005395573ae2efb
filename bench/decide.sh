#!/usr/bin/env bash
# What deciding costs: trust files of 10, 100 and 1,000 keys, each of which delegates
# over up to three levels, in an index of 1,000, 10,000 and 100,000 records. Then
# whole processes of `es why` and `es search` on a home with the largest of them.
#
#   bench/decide.sh [TIMES]     each 20 times unless told; ES=PROGRAM uses that es
set -euo pipefail
cd "$(dirname "$0")/.."

times=${1:-20}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
es=${ES:-$work/es}
[[ -n ${ES:-} ]] || go build -o "$es" ./cli/es
mkdir -m 700 "$work/home"

ES_FULL=1 go test ./index -run '^$' -bench '^BenchmarkDecide$' -benchtime "${times}x" -timeout 60m -home "$work/home" | tee "$work/out"

printf '\nMilliseconds by the clock, and in parentheses of processor time:\n\n| records, keys, levels | first | next | again | 300 names | search |\n| --- | --- | --- | --- | --- | --- |\n'
awk '$1 ~ /^BenchmarkDecide/ {
	n = split($1, part, "/")
	row = substr($1, 17, length($1) - 17 - length(part[n]))
	sub(/-[0-9]+$/, "", part[n])
	if (!(row in seen)) rows[++count] = row
	seen[row] = 1
	ms[row, part[n]] = sprintf("%.2f (%.2f)", $3 / 1e6, $5 / 1e3)
} END {
	for (i = 1; i <= count; i++) {
		row = rows[i]
		printf "| %s | %s | %s | %s | %s | %s |\n", row, ms[row, "first"], ms[row, "next"], ms[row, "again"], ms[row, "300-names"], ms[row, "search"]
	}
}' "$work/out"

export ES_HOME=$work/home ES_DHT=off ES_MDNS=off

# median COMMAND... prints how many ms of processor time and how many ms it takes.
median() {
	local TIMEFORMAT='%U %S %R'
	for ((i = 0; i < 21; i++)); do
		{ time "$@" >"$work/said" 2>&1 || { cat "$work/said"; exit 1; } >&2; } 2>&1
	done | awk '{print ($1 + $2) * 1000, $3 * 1000}' | sort -n | sed -n 11p
}
printf '\n| whole process, median of 21 | ms of processor time | ms |\n| --- | --- | --- |\n'
for command in version "why team7-module1" "why team8-module1@1.0.0" "info team9-module1" "search team"; do
	# shellcheck disable=SC2086
	printf '| `es %s` | %s | %s |\n' "$command" $(median "$es" $command)
done
