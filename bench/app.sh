#!/usr/bin/env bash
# Installs a real application's dependencies: 18 direct ones, over 300 packages.
# npm fetches them once; each is then published by es, as it stands in
# node_modules, and both install the same set from what is on this machine.
#
#   bench/app.sh [PAIRS]     5 pairs unless told; ES=PROGRAM uses that es
set -euo pipefail
cd "$(dirname "$0")/.."

pairs=${1:-5}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
es=${ES:-$work/es}
[[ -n ${ES:-} ]] || go build -o "$es" ./cli/es
export ES_HOME=$work/home ES_DHT=off ES_MDNS=off

mkdir "$work/npm" "$work/project"
cp bench/app/package.json "$work/npm/"
(cd "$work/npm" && npm install --omit-lockfile-registry-resolved=false --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)

"$es" -q key new --name Bench --no-passphrase >/dev/null
count=0
while read -r manifest; do
	"$es" -q --offline publish "$(dirname "$manifest")" >/dev/null
	count=$((count + 1))
done < <(cd "$work/npm" && find "$PWD/node_modules" -name package.json | grep -E 'node_modules/(@[^/]+/)?[^/]+/package\.json$')
((count > 300)) || { echo "only $count packages" >&2; exit 1; }

cd "$work/project"
echo '{"name":"app","version":"1.0.0"}' >package.json
mapfile -t wanted < <(node -p 'Object.entries(require("../npm/package.json").dependencies).map(e => e.join("@")).join("\n")')

# Prints how many milliseconds a command took.
ms() {
	local start=${EPOCHREALTIME/./}
	"$@" >/dev/null 2>&1 || { echo "failed: $*" >&2; exit 1; }
	echo $(((${EPOCHREALTIME/./} - start) / 1000))
}

median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

npm_ci() { (cd "$work/npm" && npm ci --offline --ignore-scripts --no-audit --no-fund); }
es_add() { "$es" --offline add "${wanted[@]}"; }
es_frozen() { "$es" --offline install --frozen; }

add=() frozen=() noop=() npm=()
for ((i = 0; i <= pairs; i++)); do
	rm -rf node_modules es-lock.json
	echo '{"name":"app","version":"1.0.0"}' >package.json
	a=$(ms es_add)
	rm -rf node_modules
	f=$(ms es_frozen)
	n=$(ms es_frozen)
	rm -rf "$work/npm/node_modules"
	c=$(ms npm_ci)
	((i == 0)) || { add+=("$a") frozen+=("$f") noop+=("$n") npm+=("$c"); } # the first warms up
done

node -e 'for (const d of Object.keys(require("../npm/package.json").dependencies)) require(d)'
for program in eslint tsc mocha prettier; do node_modules/.bin/$program --version >/dev/null; done
"$es" -q verify

n=$(printf '%s\n' "${npm[@]}" | median)
printf '%s, %s, node %s, %s cores, %s packages, %s files, %s pairs\n\n' "$("$es" version)" "npm $(npm --version)" "$(node --version)" "$(nproc)" \
	"$count" "$(find node_modules -type f | wc -l)" "$pairs"
printf '| what, with everything on this machine and an empty node_modules | ms | of npm ci |\n| --- | --- | --- |\n'
printf '| `npm ci --offline` | %d | 1 |\n' "$n"
row() { printf '| %s | %d | %s |\n' "$1" "$2" "$(awk "BEGIN {printf \"%.2f\", $2 / $n}")"; }
row '`es add` of all 18, resolving' "$(printf '%s\n' "${add[@]}" | median)"
row '`es install --frozen`' "$(printf '%s\n' "${frozen[@]}" | median)"
row 'the same with nothing to do' "$(printf '%s\n' "${noop[@]}" | median)"
