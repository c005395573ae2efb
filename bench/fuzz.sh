#!/usr/bin/env bash
# Fuzzes each target for a number of inputs, beginning with its seeds and with what
# was found before. It is not a part of .ci/run, which must give one answer for one
# commit: run it before an issue is called resolved. A finding is written to
# testdata/fuzz/TARGET of its package: commit it with the mend, so that every later
# run of the tests has it.
#
#   bench/fuzz.sh [COUNT [TARGET...]]    COUNT inputs each, 20,000 by default
set -euo pipefail
cd "$(dirname "$0")/.."

# By count: at the end of a time, go test may fail with "context deadline exceeded".
count=${1:-20000}
shift $(($# > 0))

# To list the targets of all packages, each would be built with its tests.
packages=$(grep -rl --include='*_test.go' --exclude-dir=interop '^func Fuzz' . | xargs -n1 dirname | sort -u)
list=$(go test -list '^Fuzz' $packages | awk '/^Fuzz/ {names[n++] = $1}
	/^ok/ {for (i = 0; i < n; i++) print $2, names[i]; n = 0}')
[[ -n $list ]] || { echo 'fuzz: found no target' >&2; exit 1; }
bad=0
while read -r package name; do
	if (($#)) && [[ " $* " != *" $name "* ]]; then continue; fi
	go test -run '^$' -fuzz "^$name\$" -fuzztime "${count}x" "$package" </dev/null || { bad=$((bad + 1)); echo "fuzz: $package $name fails"; }
done <<<"$list"
((bad == 0)) || { echo "fuzz: $bad targets fail" >&2; exit 1; }
