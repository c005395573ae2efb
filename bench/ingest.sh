#!/usr/bin/env bash
# Records a second through the one way in, as gossip brings them, 1 to 64 in a batch.
#
#   bench/ingest.sh [COUNT]      3 runs of each unless told
set -euo pipefail
cd "$(dirname "$0")/.."
go test -run '^$' -bench '^BenchmarkBatch$' -benchtime 4000x -count "${1:-3}" ./ingest
