#!/usr/bin/env bash
# Installs the lockfile of a real application (bench/app: 18 direct dependencies, over
# 300 packages) from what is on this machine: es ci beside npm ci, pnpm and bun, each
# warm, in a fresh directory and where node_modules was just removed. cp -rl of the same
# tree is a limit: it only makes directories and links.
#
#   bench/ci.sh [ROUNDS]     5 rounds unless told; ES=PROGRAM uses that es
#
# bun and pnpm come from npm's registry by name. Commands take turns within a round, so
# that what else the machine does meets all of them.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
es=${ES:-$work/bin/es}
[[ -n ${ES:-} ]] || CGO_ENABLED=0 go build -o "$es" ./cli/es
export ES_HOME=$work/home ES_DHT=off ES_MDNS=off
export BUN_INSTALL_CACHE_DIR=$work/bun-cache

registry=$(npm config get registry)
mkdir "$work/tools" "$work/lock"
(cd "$work/tools" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error bun@1.4.5 pnpm@12.21.0 >/dev/null)
bun=$(find "$work/tools/node_modules" -path '*/bin/bun' -type f -perm -u+x | grep linux-x64 | grep -v -e baseline -e musl | head -n 1)
pnpm=$(find "$work/tools/node_modules" -name pnpm -type f -perm -u+x | head -n 1)
[[ -n $pnpm ]] || pnpm=$work/tools/node_modules/.bin/pnpm

cp bench/app/package.json "$work/lock/"
cd "$work/lock"
npm install --package-lock-only --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null

run_es() { "$es" --offline ci; }
run_npm() { npm ci --offline --ignore-scripts --no-audit --no-fund; }
run_bun() { "$bun" install --frozen-lockfile --ignore-scripts --registry "$registry"; }
run_pnpm() { "$pnpm" install --frozen-lockfile --offline --ignore-scripts --store-dir "$work/pnpm-store"; }
run_cp() { cp -rl "$work/limit/node_modules" node_modules; }

# Each has its own lockfile and a warm cache.
for who in es npm bun pnpm cp; do mkdir "$work/$who"; cp "$work/lock/package.json" "$work/$who/"; done
cp "$work/lock/package-lock.json" "$work/es/"
cp "$work/lock/package-lock.json" "$work/npm/"
(cd "$work/es" && "$es" ci >/dev/null)
(cd "$work/npm" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
(cd "$work/bun" && "$bun" install --ignore-scripts --registry "$registry" >/dev/null 2>&1)
have_pnpm=1
(cd "$work/pnpm" && "$pnpm" install --ignore-scripts --store-dir "$work/pnpm-store" >/dev/null 2>&1) || have_pnpm=0
cp -rl "$work/npm" "$work/limit"

ms() {
	local start=${EPOCHREALTIME/./}
	"$@" >"$work/log" 2>&1 || { echo "failed: $*" >&2; cat "$work/log" >&2; exit 1; }
	echo $(((${EPOCHREALTIME/./} - start) / 1000))
}
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

who=(cp bun es npm)
((have_pnpm)) && who+=(pnpm)
declare -A fresh removed
for ((i = 0; i <= rounds; i++)); do
	for w in "${who[@]}"; do
		dir=$work/fresh-$w-$i
		mkdir "$dir"
		find "$work/$w" -maxdepth 1 -type f -exec cp {} "$dir/" \;
		a=$(cd "$dir" && ms "run_$w")
		rm -rf "$dir/node_modules"
		b=$(cd "$dir" && ms "run_$w")
		((i == 0)) || { fresh[$w]+="$a "; removed[$w]+="$b "; } # the first warms up
	done
done

files() { find "$1" -type f | wc -l; }
printf '%s, npm %s, bun %s, node %s, %s cores, %s files, %s rounds, load %s\n\n' "$("$es" version | head -n 1)" "$(npm --version)" "$("$bun" --version)" \
	"$(node --version)" "$(nproc)" "$(files "$work/es/node_modules")" "$rounds" "$(cut -d ' ' -f 1 /proc/loadavg)"
declare -A name=([cp]='`cp -rl` of the tree (the limit)' [bun]='bun, hoisted' [es]='`es ci`' [npm]='`npm ci`' [pnpm]='pnpm')
base=$(tr ' ' '\n' <<<"${fresh[bun]}" | grep . | median)
printf '| warm, offline, no scripts | fresh directory, ms | of bun | after a removal, ms |\n| --- | --- | --- | --- |\n'
for w in "${who[@]}"; do
	a=$(tr ' ' '\n' <<<"${fresh[$w]}" | grep . | median)
	b=$(tr ' ' '\n' <<<"${removed[$w]}" | grep . | median)
	printf '| %s | %d | %s | %d |\n' "${name[$w]}" "$a" "$(awk "BEGIN {printf \"%.2f\", $a / $base}")" "$b"
done
