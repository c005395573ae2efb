#!/usr/bin/env bash
# Moves a real application's dependencies, over 300 modules in one tree, from one
# node to an empty one over loopback: `ipfs pin add` between two kubo v0.43.0
# daemons beside a fetch between two es daemons. npm fetches the packages once.
#
#   bench/transfer.sh [ROUNDS]     5 rounds unless told
#   ES=PROGRAM IPFS=PROGRAM        use these instead of building them
#   NODE_MODULES=DIR               packages that are installed already
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-5}
work=$(mktemp -d)
running=()
trap 'for p in "${running[@]}"; do kill "$p" 2>/dev/null || true; done; wait; rm -rf "$work"' EXIT
es=${ES:-$work/es}
ipfs=${IPFS:-$work/ipfs}
[[ -n ${ES:-} ]] || go build -o "$es" ./cli/es
[[ -n ${IPFS:-} ]] || (cd interop/kubo && go build -o "$ipfs" github.com/ipfs/kubo/cmd/ipfs)
export IPFS_TELEMETRY=off

packages=${NODE_MODULES:-$work/npm/node_modules}
if [[ -z ${NODE_MODULES:-} ]]; then
	mkdir "$work/npm"
	cp bench/app/package.json "$work/npm/"
	(cd "$work/npm" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
fi

# kubo never sends the empty block that its own trees hold for empty files.
cp -r "$packages" "$work/tree"
find "$work/tree" \( -type l -o -type f -empty \) -delete

new_kubo() { # HOME
	IPFS_PATH=$1 "$ipfs" init --empty-repo --profile=test,autoconf-off >/dev/null
	for setting in 'AutoTLS.Enabled false' 'HTTPRetrieval.Enabled false' 'Routing.Type "none"'; do
		IPFS_PATH=$1 "$ipfs" config --json $setting
	done
}
start_kubo() { # HOME
	IPFS_PATH=$1 "$ipfs" daemon >"$1.log" 2>&1 &
	running+=($!)
	until grep -q 'Daemon is ready' "$1.log"; do sleep 0.05; done
}
start_es() { # HOME
	"$es" --home "$1" node --listen /ip4/127.0.0.1/tcp/0 --dht off --mdns off >"$1.log" 2>&1 &
	running+=($!)
	until grep -q '^ready' "$1.log"; do sleep 0.05; done
}
stop_last() {
	kill "${running[-1]}"
	wait "${running[-1]}" || true
	unset 'running[-1]'
}
# Both begin with the same blocks: the layouts are the same.
new_kubo "$work/k1"
start_kubo "$work/k1"
export IPFS_PATH=$work/k1
root=$("$ipfs" add -Q -r --hidden --cid-version=1 --chunker=size-1048576 "$work/tree")
"$ipfs" ls --size=false --resolve-type=false "$root" | awk '{print $1}' | sort -u >"$work/modules"
count=$(wc -l <"$work/modules")
kubo_addr=$("$ipfs" id --format='<addrs>')
unset IPFS_PATH
mkdir -p -m 700 "$work/a/blocks"
cp -r "$work"/k1/blocks/{SHARDING,??} "$work/a/blocks/"
start_es "$work/a"
es_addr=$(sed -n 's/^listening //p' "$work/a.log" | head -1)

# Prints how many milliseconds a command took, and how many of them, of any core,
# the daemons did.
ms() {
	local start=${EPOCHREALTIME/./} busy
	busy=$(cpu)
	"$@" >/dev/null
	echo $(((${EPOCHREALTIME/./} - start) / 1000)) $(($(cpu) - busy))
}
cpu() { for p in "${running[@]}"; do cat "/proc/$p/stat"; done | awk '{n += $14 + $15} END {print 10 * n}'; }
api() { curl -sf --unix-socket "$1/node.sock" -H 'Es-Api: 1' "${@:2}"; }
es_fetch() { api "$work/b" -d "{\"root\":\"$root\",\"size\":-1,\"files\":-1}" http://es/v1/fetch | tail -1 | grep -q '"done":true'; }
kubo_pin() { IPFS_PATH=$work/k2 "$ipfs" pin add --progress=false "$root"; }
# What stands in node_modules one by one, 16 at a time: as es install asks.
es_each() {
	xargs -P 16 -I{} curl -sf --unix-socket "$work/b/node.sock" -H 'Es-Api: 1' -d '{"root":"{}","size":-1,"files":-1}' \
		http://es/v1/fetch <"$work/modules" >"$work/each"
	(($(grep -c '"done":true' "$work/each") == count))
}
one_es() { # COMMAND
	rm -rf "$work/b"
	start_es "$work/b"
	api "$work/b" -d "{\"addr\":\"$es_addr\"}" http://es/v1/connect >/dev/null
	ms "$1"
	stop_last
}
one_kubo() {
	rm -rf "$work/k2" "$work/k2.log"
	new_kubo "$work/k2"
	start_kubo "$work/k2"
	IPFS_PATH=$work/k2 "$ipfs" swarm connect "$kubo_addr" >/dev/null
	ms kubo_pin
	stop_last
}

kubo=() es_tree=() es_modules=()
for ((i = 0; i < rounds; i++)); do
	one_kubo >"$work/t"; kubo+=("$(cat "$work/t")")
	one_es es_fetch >"$work/t"; es_tree+=("$(cat "$work/t")")
	one_es es_each >"$work/t"; es_modules+=("$(cat "$work/t")")
done

# The median of one field.
median() { # FIELD RUN...
	local field=$1
	shift
	printf '%s\n' "$@" | awk -v f="$field" '{print $f}' | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}
blocks=$(find "$work/k2/blocks" -name '*.data' | wc -l)
bytes=$(find "$work/k2/blocks" -name '*.data' -printf '%s\n' | awk '{n += $1} END {print n}')
k=$(median 1 "${kubo[@]}") kc=$(median 2 "${kubo[@]}")
printf '%s, kubo %s, %s cores: %s packages, %s files, %s blocks, %s bytes, %s rounds\n\n' "$("$es" version)" "$("$ipfs" version -n)" "$(nproc)" \
	"$(find "$work/tree" -name package.json | grep -cE 'tree/(@[^/]+/)?[^/]+/package\.json$|node_modules/(@[^/]+/)?[^/]+/package\.json$')" \
	"$(find "$work/tree" -type f | wc -l)" "$blocks" "$bytes" "$rounds"
printf '| from one node to an empty one, loopback | ms, median | of kubo | ms of both daemons on any core | of kubo | each round |\n'
printf '| --- | --- | --- | --- | --- | --- |\n'
row() { # WHAT RUN...
	local what=$1 t c
	shift
	t=$(median 1 "$@") c=$(median 2 "$@")
	printf '| %s | %d | %s | %d | %s | %s |\n' "$what" "$t" "$(awk "BEGIN {printf \"%.2f\", $t / $k}")" "$c" \
		"$(awk "BEGIN {printf \"%.2f\", $c / $kc}")" "$(printf '%s\n' "$@" | awk '{printf "%s%s", (NR > 1 ? ", " : ""), $1}')"
}
row '`ipfs pin add`, two kubo daemons, one tree' "${kubo[@]}"
row 'two es daemons, the same tree' "${es_tree[@]}"
row "two es daemons, each of $count entries of node_modules by itself, 16 at a time" "${es_modules[@]}"
