#!/usr/bin/env bash
# Publishing, receiving and installing beside another commit: what cold.sh, verify.sh,
# transfer.sh and app.sh measure, by both programs in turns, on the same inputs.
#
#   bench/beside.sh COMMIT [ROUNDS]     15 rounds unless told
#   NODE_MODULES=DIR                    packages that are installed already, beside their package.json;
#                                       else npm fetches those of bench/app
#   ONLY='cold verify'                  these parts of: cold verify app transfer
#   BUILT=DIR                           keep the programs there, or use those that are there
#
# It makes a worktree of COMMIT in a temporary directory and builds both. Then A B B A A B ...:
# the order alternates, so that a slow moment of the machine meets both. It prints, for each
# thing that is done, the processor time (user and system, all threads) of this commit and of
# COMMIT, medians in milliseconds, then the median of the rounds' ratios (above 1: this one
# costs more) with their quartiles, and the same for the clock. On a machine that does other
# work too, processor time is what counts.
set -euo pipefail
cd "$(dirname "$0")/.."

commit=${1:?usage: bench/beside.sh COMMIT [ROUNDS]}
rounds=${2:-15}
only=${ONLY:-cold verify app transfer}
work=$(mktemp -d)
running=()
cleanup() {
	[[ ! -f $work/publish.here && ! -f $work/verify.here && ! -f $work/publish-app.here ]] || table # what there is, when it is interrupted
	for p in "${running[@]}"; do kill "$p" 2>/dev/null || true; done
	wait
	git worktree remove --force "$work/there" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
git worktree add -q --detach "$work/there" "$commit"
has() { [[ " $only " = *" $1 "* ]]; }
built=$(realpath "${BUILT:-$work}")
for side in here there; do
	dir=$PWD
	[[ $side = here ]] || dir=$work/there
	[[ -x $built/es-$side ]] || go -C "$dir" build -o "$built/es-$side" ./cli/es
	! has verify || [[ -x $built/index-$side ]] || go -C "$dir" test -c -o "$built/index-$side" ./index
done
export ES_DHT=off ES_MDNS=off HOME=$work
TIMEFORMAT='%R %U %S'

es() { "$built/es-$side" --home "$work/home-$side" -q "$@"; }

# took WHAT MS-OF-THE-PROCESSOR MS: what one round of a side took. The first round of a part
# warms the caches and does not count.
took() { ((warming)) || echo "$2 $3" >>"$work/$1.$side"; }
warming=0

# timed WHAT COMMAND...: runs a command, whose children count too.
timed() {
	local what=$1
	shift
	{ time "$@" >"$work/out" 2>&1 || failed "$*"; } 2>"$work/time"
	took "$what" $(awk 'END {print 1000 * ($2 + $3), 1000 * $1}' "$work/time")
}
failed() {
	echo "failed, $side: $*" >&3
	cat "$work/out" >&3
	exit 1
}
exec 3>&2

# each FUNCTION N...: one round, in which both sides do what the function does.
each() {
	local order='here there'
	((++turn % 2)) || order='there here'
	for side in $order; do "$@"; done
}
turn=0

in_dir() { (cd "$1" && shift && "$@"); }

cold() { # ROUND
	rm -rf "$work/package" "$work/project"
	cp -R testdata/samples/greeting "$work/package"
	sed -i.orig "s/\"version\": \".*\"/\"version\": \"1.0.$1\"/" "$work/package/package.json"
	rm "$work/package/package.json.orig"
	mkdir "$work/project"
	echo '{"name":"project","version":"1.0.0","private":true}' >"$work/project/package.json"
	timed publish in_dir "$work/package" es --offline publish
	timed add in_dir "$work/project" es --offline add "@everythingstays/greeting@1.0.$1"
}

bench() { # WHAT PATTERN TIMES
	timed "$1" in_dir "$work" "$built/index-$side" -test.run '^$' -test.bench "$2" -test.benchtime "$3"
	grep -q '^Benchmark' "$work/out" || failed "$2"
}
verify() {
	bench verify '^BenchmarkVerify$' 10000x
	for n in 1 100 500; do bench "verify-add-$n" "^BenchmarkVerifyAndAdd\$/^batch=$n\$" 1000x; done
}

# published WHAT DIR: publishes it, and keeps the CID of the module.
published() {
	local unasked=
	"$built/es-$side" publish --help | grep -q -- --yes && unasked=--yes # whatever it finds
	timed "$1" es --offline publish --json --tag latest $unasked "$2"
	sed -n 's/^  "module": "\(.*\)",$/\1/p' "$work/out" >>"$work/modules-$1"
}

# What npm put in place is published package by package, and all at once as one tree.
prepare_app() {
	[[ ! -f $work/modules-publish-tree ]] || return 0
	local packages=${NODE_MODULES:-$work/npm/node_modules}
	if [[ -z ${NODE_MODULES:-} ]]; then
		mkdir "$work/npm"
		cp bench/app/package.json "$work/npm/"
		(cd "$work/npm" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
	fi
	packages=$(realpath "$packages")
	while read -r manifest; do
		each published publish-app "$(dirname "$manifest")"
	done < <(find "$packages" -name package.json | grep -E 'node_modules/(@[^/]+/)?[^/]+/package\.json$' | sort)
	mkdir "$work/tree"
	cp -r "$packages" "$work/tree/packages"
	find "$work/tree" -depth -name .bin -exec rm -r {} +
	find "$work/tree" -depth -name node_modules -execdir mv {} nested \;
	find "$work/tree" \( -name .npmignore -o -name .gitignore \) -delete
	echo '{"name":"tree","version":"1.0.0"}' >"$work/tree/package.json"
	each published publish-tree "$work/tree"
	read -ra wanted <<<"$(node -p 'Object.entries(require(process.argv[1]).dependencies).map(e => e.join("@")).join(" ")' "$packages/../package.json")"
}

app() {
	rm -rf "$work/app"
	mkdir "$work/app"
	echo '{"name":"app","version":"1.0.0","private":true}' >"$work/app/package.json"
	timed add-app in_dir "$work/app" es --offline add "${wanted[@]}"
	rm -rf "$work/app/node_modules"
	timed frozen in_dir "$work/app" es --offline install --frozen
	timed nothing in_dir "$work/app" es --offline install --frozen
}

start_node() { # HOME
	"$built/es-$side" --home "$1" node --listen /ip4/127.0.0.1/tcp/0 --dht off --mdns off >"$1.log" 2>&1 &
	running+=($!)
	until grep -q '^ready' "$1.log"; do sleep 0.05; done
}
api() { curl -sf --unix-socket "$work/b/node.sock" -H 'Es-Api: 1' "$@"; }
# busy: milliseconds of the processor that nodes have used.
busy() { for p in "$@"; do cat "/proc/$p/stat"; done | awk '{n += $14 + $15} END {print 10 * n}'; }
fetch() {
	api -d "{\"root\":\"$(head -n 1 "$work/modules-publish-tree")\",\"size\":-1,\"files\":-1}" http://es/v1/fetch | tail -n 1 | grep -q '"done":true'
}
# What stands in node_modules one by one, 16 at a time: as es install asks.
fetch_each() {
	sort -u "$work/modules-publish-app" >"$work/modules"
	xargs -P 16 -I{} curl -sf --unix-socket "$work/b/node.sock" -H 'Es-Api: 1' \
		-d '{"root":"{}","size":-1,"files":-1}' http://es/v1/fetch <"$work/modules" >"$work/each"
	(($(grep -c '"done":true' "$work/each") == $(wc -l <"$work/modules")))
}
# moved WHAT COMMAND: from the side's full node to an empty one. Both nodes count.
moved() {
	local start from
	rm -rf "$work/b"
	start_node "$work/b"
	local -n sender=sender_$side
	api -d "{\"addr\":\"$(sed -n 's/^listening //p' "$work/home-$side.log" | head -n 1)\"}" http://es/v1/connect >/dev/null
	from=$(busy "$sender" "${running[-1]}")
	start=${EPOCHREALTIME/[.,]/}
	"$2" || { cp "$work/b.log" "$work/out"; failed "$2"; }
	took "$1" $(($(busy "$sender" "${running[-1]}") - from)) $(((${EPOCHREALTIME/[.,]/} - start) / 1000))
	kill "${running[-1]}"
	wait "${running[-1]}" || true
	unset 'running[-1]'
}
start_sender() {
	start_node "$work/home-$side"
	declare -g "sender_$side=${running[-1]}"
}
transfer() {
	moved fetch-tree fetch
	moved fetch-each fetch_each
}

# quantiles: of the numbers that it reads.
quantiles() { sort -n | awk '{v[NR] = $1} END {printf "%.2f (%.2f to %.2f)", q(0.5), q(0.25), q(0.75)}
	function q(p,   at, i) { at = 1 + (NR - 1) * p; i = int(at); return v[i] + (at - i) * (v[i < NR ? i + 1 : i] - v[i]) }'; }
median() { sort -n | awk '{v[NR] = $1} END {printf "%.1f", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
row() { # NAME WHAT
	[[ -f $work/$1.here ]] || return 0
	printf '| %s | %d |' "$2" "$(wc -l <"$work/$1.here")"
	for field in 1 2; do
		printf ' %s | %s | %s |' "$(cut -d ' ' -f $field "$work/$1.here" | median)" "$(cut -d ' ' -f $field "$work/$1.there" | median)" \
			"$(paste -d ' ' "$work/$1.here" "$work/$1.there" | awk -v f=$field '$(f + 2) > 0 {print $f / $(f + 2)}' | quantiles)"
	done
	echo
}
table() {
	printf '%s beside %s, %s cores, %s before, %s after\n\n' "$(git describe --always --dirty)" "$(git rev-parse --short "$commit")" \
		"$(nproc)" "${load:-}" "$(uptime | sed 's/.*load/load/')"
	printf '| what | rounds | processor ms | there | ratio (quartiles) | clock ms | there | ratio (quartiles) |\n'
	printf '| --- | --- | --- | --- | --- | --- | --- | --- |\n'
	row publish '`es publish`, 10 files'
	row add '`es add` of that'
	row verify '10,000 records verified'
	row verify-add-1 '1,000 verified and indexed one by one, signing included'
	row verify-add-100 '... 100 in a transaction'
	row verify-add-500 '... 500 in a transaction'
	row publish-app '`es publish`, each of an application'"'"'s packages'
	row publish-tree '`es publish`, all their files as one module'
	row add-app '`es add` of what its package.json names'
	row frozen '`es install --frozen` of that'
	row nothing 'the same with nothing to do'
	row fetch-tree 'the one module to an empty node, both nodes'
	row fetch-each 'each package by itself to an empty node, both nodes'
}

mkdir "$work/home-here" "$work/home-there"
chmod 700 "$work"/home-*
for side in here there; do es key new --name Bench --email bench@example.org --no-passphrase >/dev/null; done
load=$(uptime | sed 's/.*load/load/')
for part in cold verify app transfer; do
	has "$part" || continue
	warming=0
	if [[ $part = app || $part = transfer ]]; then prepare_app; fi
	if [[ $part = transfer ]]; then for side in here there; do start_sender; done; fi
	for ((i = 0; i <= rounds; i++)); do
		warming=$((i == 0))
		each "$part" "$i"
	done
done
