#!/usr/bin/env bash
# Runs the tests that take minutes at full size: the numbers that SPEC.md's threats
# promise and .ci/run only samples. About half an hour on two quiet cores.
#
#   bench/full.sh [GO TEST ARGS...]
set -euo pipefail
cd "$(dirname "$0")/.."
source bench/long.sh
ES_FULL=1 go test -count=1 -timeout 3h -v -run "$long" "$@" ./trust ./index ./install ./node ./cli/... | grep -E '^(---|ok|FAIL|panic)|_test.go:'
