#!/usr/bin/env bash
# 20 whole nodes in one process, on loopback, publish 50 records a second between
# them: what is lost, how long a record takes, and whether anything grows.
#
#   bench/steady.sh [TIME]      default 10m
set -euo pipefail
cd "$(dirname "$0")/.."
ES_STEADY=${1:-10m} go test ./node -run '^TestSteady$' -count=1 -v -timeout 60m
