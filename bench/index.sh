#!/usr/bin/env bash
# Times what reconciliation asks of the index: sums, splits and elements of sets of
# 10^4, 10^5 and 10^6 elements, and writing 500 more. Then merges a revocation into
# the key of an author with 20,000 records, and floods a node with strangers'
# records while a trusted author publishes.
#
#   bench/index.sh [RECORDS]     a flood of 200,000 records unless told
set -euo pipefail
cd "$(dirname "$0")/.."

ES_FULL=1 go test -run '^$' -bench '^BenchmarkSet$' -benchtime 1s -timeout 60m ./index
go test -run '^$' -bench '^BenchmarkKeyChange$' -benchtime 3x -timeout 60m ./index
go test -run '^TestThreat27StrangersFlood$' -v -timeout 120m ./index -flood "${1:-200000}"
