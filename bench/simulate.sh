#!/usr/bin/env bash
# Simulates networks in virtual time at the sizes of the issue and prints what
# each simulation measured. One after the other: the largest takes 10 GB of
# memory, and all of them an hour or more on two cores that do nothing else.
#
#   bench/simulate.sh            all
#   bench/simulate.sh PATTERN    those whose names have PATTERN in them
#
# ES_SEED=N (1 unless told) chooses topology, publishing and lost packets.
set -euo pipefail
cd "$(dirname "$0")/.."

pattern=${1:-}
ran=0
run() {
	package=$1
	shift
	for name; do
		[[ $name == *"$pattern"* ]] || continue
		ran=$((ran + 1))
		printf '%s\n' "$name"
		# The name of a test and, behind a slash, that of a part of it.
		ES_FULL=1 nice go test "$package" -run "^${name/\//\$/^}\$" -v -count 1 -timeout 3h |
			sed -n 's/^ *[a-z]*_test\.go:[0-9]*: /    /p; s/^ *--- /    /p'
	done
}
run ./simulation TestPublishReachesAll TestThreat31SingleVictim \
	TestThreat31Attacks/{cold_boot,covert_flash,spam,censorship,eclipse}
run ./gossip TestThreat26InvalidSpam TestThreat28Replay TestThreat29TopicFlood TestThreat30Control
run ./node TestThreat12EquivocationAcrossPartitions TestThreat24Clocks TestChurnAndPartitions
[ "$ran" -gt 0 ] || {
	echo "no simulation has $pattern in its name" >&2
	exit 1
}
