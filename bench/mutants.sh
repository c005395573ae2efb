#!/usr/bin/env bash
# No benchmark: removes one check at a time from the code that verifies bytes of others,
# runs the vectors of testdata without it, and counts how many removals they notice: when
# what a vector refuses is taken, or is refused by another rule; with -outcome only when it
# is taken. What is not noticed is printed, with the place.
#
#   bench/mutants.sh [-list] [-outcome] [PACKAGE...]   such as records or sign; all unless told
set -euo pipefail
cd "$(dirname "$0")/.."
exec nice go run ./bench/mutants "$@"
