#!/usr/bin/env bash
# No benchmark: removes one check at a time from the code that verifies bytes of others,
# runs the vectors of testdata without it, and counts how many removals they notice. A
# removal is noticed when a vector has another outcome (refused or taken), whatever rule
# the error names. What is not noticed is printed, with the place.
#
#   bench/mutants.sh [-list] [PACKAGE...]   such as records or sign; all unless told
set -euo pipefail
cd "$(dirname "$0")/.."
exec nice go run ./bench/mutants "$@"
