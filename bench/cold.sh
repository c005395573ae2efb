#!/usr/bin/env bash
# Times cold processes on one small package: `es publish` beside `npm pack`, and
# `es add` beside `npm install` of the same package as a tarball, both offline.
#
#   bench/cold.sh [PAIRS]      21 pairs unless told; ES=program uses that es
#
# Each pair runs es and npm one after the other, in turns first and second, so
# that a slow moment of the machine meets both. Prints medians in milliseconds.
set -euo pipefail
cd "$(dirname "$0")/.."

pairs=${1:-21}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
es=${ES:-}
if [[ -z $es ]]; then
	es=$work/es
	go build -o "$es" ./cli/es
fi
es=$(realpath "$es")
npm=$(command -v npm)

export ES_HOME=$work/home HOME=$work ES_DHT=off ES_MDNS=off
export npm_config_cache=$work/npm npm_config_update_notifier=false
"$es" key new --name Bench --email bench@example.org --no-passphrase >/dev/null

# milliseconds FILE DIR COMMAND...: runs the command in DIR and adds the time it
# took to FILE.
milliseconds() {
	local file=$1 dir=$2 start end
	shift 2
	start=${EPOCHREALTIME/[.,]/}
	(cd "$dir" && exec "$@") >"$work/out" 2>&1 || {
		printf '%s failed:\n' "$*" >&2
		cat "$work/out" >&2
		exit 1
	}
	end=${EPOCHREALTIME/[.,]/}
	printf '%d.%03d\n' $(((end - start) / 1000)) $(((end - start) % 1000)) >>"$file"
}

# prepare N makes version 1.0.N of the package and two empty projects.
prepare() {
	rm -rf "$work/package" "$work/es-project" "$work/npm-project"
	cp -R testdata/samples/greeting "$work/package"
	sed -i.orig "s/\"version\": \".*\"/\"version\": \"1.0.$1\"/" "$work/package/package.json"
	rm "$work/package/package.json.orig"
	mkdir "$work/es-project" "$work/npm-project"
	printf '{"name":"project","version":"1.0.0","private":true}\n' |
		tee "$work/es-project/package.json" >"$work/npm-project/package.json"
}

publish() { milliseconds "$work/publish-es" "$work/package" "$es" --offline publish; }
pack() {
	milliseconds "$work/publish-npm" "$work/package" "$npm" pack --silent --pack-destination "$work"
}
add() {
	milliseconds "$work/add-es" "$work/es-project" "$es" --offline add "@everythingstays/greeting@1.0.$1"
	[[ -f $work/es-project/node_modules/@everythingstays/greeting/package.json ]]
}
install() {
	milliseconds "$work/add-npm" "$work/npm-project" "$npm" install --silent --offline --no-audit \
		--no-fund --ignore-scripts "$work/everythingstays-greeting-1.0.$1.tgz"
	[[ -f $work/npm-project/node_modules/@everythingstays/greeting/package.json ]]
}

# The first pair warms the disk cache and is not counted.
for ((i = 0; i <= pairs; i++)); do
	prepare "$i"
	if ((i % 2)); then order=(publish pack add install); else order=(pack publish install add); fi
	for what in "${order[@]}"; do "$what" "$i"; done
	((i)) || rm "$work"/{publish,add}-{es,npm}
done

median() { sort -n "$1" | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
ratio() { paste "$1" "$2" | awk '{print $1 / $2}' >"$work/ratios" && median "$work/ratios"; }
row() {
	printf '| %s | %.0f | %.0f | %.2f |\n' "$1" "$(median "$work/$2-es")" "$(median "$work/$2-npm")" \
		"$(ratio "$work/$2-es" "$work/$2-npm")"
}

printf '%s, npm %s, node %s, %s cores, %d pairs\n\n' \
	"$("$es" version | head -n 1)" "$("$npm" --version)" "$(node --version)" "$(nproc)" "$pairs"
printf '| cold process, one small package | es ms | npm ms | median of es/npm |\n| --- | --- | --- | --- |\n'
row '`es publish` / `npm pack`' publish
row '`es add` / `npm install`' add
