package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/everythingstays/es/npm/idealtree"
	npmmanifest "github.com/everythingstays/es/npm/manifest"
	"github.com/everythingstays/es/records"
)

// treeRegistry serves the releases of cases (a file of JSON) on loopback, and has
// treeWorker make the trees. A case that npm does not get done with, as there are some,
// is left, and the next begun.
const treeRegistry = `
const http = require('http'), fs = require('fs'), path = require('path'), os = require('os')
const { Worker } = require('worker_threads')
const [npm, file, code] = process.argv.slice(1)
const cases = JSON.parse(fs.readFileSync(file)), results = [], dir = fs.mkdtempSync(path.join(os.tmpdir(), 'es-oracle-'))
let base
const server = http.createServer((req, res) => {
  const [, i, name] = decodeURIComponent(req.url).match(/^\/(\d+)\/(.*)$/)
  const versions = cases[i].releases[name]
  res.setHeader('content-type', 'application/json')
  if (!versions) return res.writeHead(404).end('{"error":"not found"}')
  const doc = { name, 'dist-tags': cases[i].tags[name], versions: {} }
  for (const [v, m] of Object.entries(versions)) {
    const integrity = 'sha512-' + Buffer.from((name + '@' + v).padEnd(64)).toString('base64')
    doc.versions[v] = { ...m, name, version: v, dist: { tarball: base + i + '/' + name + '/-/' + v + '.tgz', integrity } }
  }
  res.end(JSON.stringify(doc))
})
const done = () => { fs.rmSync(dir, { recursive: true, force: true }); console.log(JSON.stringify(results)); process.exit(0) }
const begin = () => {
  if (results.length === cases.length) return done()
  const worker = new Worker(code, { eval: true, resourceLimits: { maxOldGenerationSizeMb: 512 }, workerData: { npm, base, dir, cases, from: results.length } })
  const next = () => { clearTimeout(timer); worker.removeAllListeners(); worker.terminate().then(begin) }
  const lost = () => { results.push({ error: 'ENDLESS' }); next() }
  let timer = setTimeout(lost, 20000)
  worker.on('error', lost)
  worker.on('message', r => {
    clearTimeout(timer)
    results.push(r)
    if (results.length === cases.length) return next()
    timer = setTimeout(lost, 20000)
  })
}
server.listen(0, '127.0.0.1', () => { base = 'http://127.0.0.1:' + server.address().port + '/'; begin() })`

// treeWorker says what npm's own library makes of each case: where which version stands,
// or the error's code.
const treeWorker = `
const { parentPort, workerData: { npm, base, dir, cases, from } } = require('worker_threads')
const fs = require('fs'), path = require('path'), Arborist = require(npm + '/npm/node_modules/@npmcli/arborist')
const one = async (c, i) => {
  const at = path.join(dir, String(i))
  for (const [d, m] of Object.entries(c.project)) {
    fs.mkdirSync(path.join(at, d), { recursive: true })
    fs.writeFileSync(path.join(at, d, 'package.json'), JSON.stringify(m))
  }
  const options = { path: at, registry: base + i + '/', cache: path.join(dir, 'cache'), save: true, fetchRetries: 0, npmVersion: '11.0.0', nodeVersion: '22.0.0', workspaces: [] }
  const tree = await new Arborist(options).buildIdealTree({ complete: true, save: true })
  const places = {}
  for (const n of tree.inventory.values()) {
    if (!n.isProjectRoot && !(n.inert && !n.package.version)) places[n.location] = n.isLink ? '-> ' + (n.target.location || '.') : n.version
  }
  return { places }
}
(async () => {
  for (let i = from; i < cases.length; i++) parentPort.postMessage(await one(cases[i], i).catch(e => ({ error: e.code || e.message })))
})()`

type madeUp map[string]any

// A treeCase is a small registry and a project.
type treeCase struct {
	Releases map[string]map[string]madeUp `json:"releases"`
	Tags     map[string]map[string]string `json:"tags"`
	Project  map[string]madeUp            `json:"project"`
	Then     *treeCase                    `json:"then,omitempty"`
}

type treeResult struct {
	Places map[string]string
	Error  string
}

func (c *treeCase) Versions(_ context.Context, name string) (*idealtree.Versions, error) {
	if c.Releases[name] == nil {
		return nil, fmt.Errorf("no package %q", name)
	}
	v := &idealtree.Versions{Tags: map[string]records.Version{}}
	for version := range c.Releases[name] {
		v.All = append(v.All, records.Version(version))
	}
	for tag, version := range c.Tags[name] {
		v.Tags[tag] = records.Version(version)
	}
	return v, nil
}

func (c *treeCase) Manifest(_ context.Context, name string, v records.Version) (*npmmanifest.Manifest, error) {
	b, err := json.Marshal(c.Releases[name][string(v)])
	if err != nil {
		return nil, err
	}
	return npmmanifest.Parse(b)
}

func (c *treeCase) resolve(t *testing.T) *treeResult {
	t.Helper()
	files := fstest.MapFS{}
	for dir, m := range c.Project {
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(dir+"/package.json", "/")] = &fstest.MapFile{Data: b}
	}
	p, err := npmmanifest.Read(files)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := idealtree.Resolve(t.Context(), p, c, idealtree.Options{Node: "22.0.0", NPM: "11.0.0"})
	if err != nil {
		return &treeResult{Error: err.Error()}
	}
	return &treeResult{Places: placesOf(tree)}
}

func placesOf(tree *idealtree.Tree) map[string]string {
	places := make(map[string]string)
	for _, p := range tree.Places {
		if places[p.Path] = string(p.Version); p.Link != "" {
			places[p.Path] = "-> " + p.Link
		}
	}
	return places
}

// treesDiffer says where two results differ; that both fail is the same.
func treesDiffer(npm, es *treeResult) []string {
	if npm.Error != "" || es.Error != "" {
		if (npm.Error == "") != (es.Error == "") {
			return []string{fmt.Sprintf("npm says %q, es %q; npm's tree is %q, es's %q", npm.Error, es.Error, npm.Places, es.Places)}
		}
		return nil
	}
	var differ []string
	all := maps.Clone(npm.Places)
	maps.Copy(all, es.Places)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		n, inNPM := npm.Places[path]
		e, inES := es.Places[path]
		if n != e || inNPM != inES {
			differ = append(differ, fmt.Sprintf("%s: npm %q, es %q", path, n, e))
		}
	}
	return differ
}

func askNPM(t *testing.T, cases []*treeCase) []treeResult {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "npm", "root", "-g").Output()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "cases.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "-e", treeRegistry, strings.TrimSpace(string(root)), file, treeWorker)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var results []treeResult
	if err := json.Unmarshal(out, &results); err != nil || len(results) != len(cases) {
		t.Fatalf("%d cases, %d results, %v", len(cases), len(results), err)
	}
	return results
}

var treeRanges = []string{"*", "^1.0.0", "1", "2", "^2.0.0", ">=1", "1 || 2", ">=1.1.0", "1 - 2", "latest"}

// randomCase makes up a registry of packages that need each other in every way.
func randomCase(rng *rand.Rand) *treeCase {
	c := &treeCase{Releases: map[string]map[string]madeUp{}, Tags: map[string]map[string]string{}, Project: map[string]madeUp{}}
	names := strings.Split("a b c d e f g h @s/i J", " ")[:3+rng.IntN(8)]
	spec := func() string { return treeRanges[rng.IntN(len(treeRanges))] }
	deps := func(most int) map[string]string {
		d := map[string]string{}
		for range rng.IntN(most + 1) {
			name := names[rng.IntN(len(names))]
			if rng.IntN(30) == 0 {
				d[name] = "npm:" + names[rng.IntN(len(names))] + "@" + spec()
			} else {
				d[name] = spec()
			}
		}
		return d
	}
	peers := rng.IntN(3)
	for _, name := range names {
		c.Releases[name] = map[string]madeUp{}
		all := []string{"1.0.0", "1.1.0", "2.0.0", "3.0.0-rc.1", "3.0.0"}
		for i, v := range all {
			if i != 0 && i != 2 && rng.IntN(3) == 0 {
				continue
			}
			c.Releases[name][v] = randomManifest(rng, names, deps, peers)
		}
		versions := slices.Sorted(maps.Keys(c.Releases[name]))
		c.Tags[name] = map[string]string{"latest": versions[len(versions)-1-rng.IntN(min(2, len(versions)))]}
	}
	root := madeUp{"dependencies": deps(3), "devDependencies": deps(1)}
	if rng.IntN(6) == 0 {
		root["peerDependencies"] = deps(1)
	}
	if rng.IntN(3) == 0 {
		root["overrides"] = randomOverrides(rng, names, spec)
	}
	c.Project[""] = root
	if rng.IntN(4) == 0 {
		root["workspaces"] = []string{"w/*"}
		c.Project["w/one"] = madeUp{"name": "one", "version": "1.0.0", "dependencies": deps(3), "peerDependencies": deps(peers)}
		c.Project["w/two"] = madeUp{"name": "two", "version": "1.0.0", "dependencies": deps(3), "devDependencies": map[string]string{"one": "*"}}
	}
	return c
}

func randomManifest(rng *rand.Rand, names []string, deps func(int) map[string]string, peers int) madeUp {
	m := madeUp{}
	if d := deps(3); len(d) > 0 {
		m["dependencies"] = d
	}
	if d := deps(peers); len(d) > 0 {
		m["peerDependencies"] = d
		meta := map[string]any{}
		for name := range d {
			if rng.IntN(4) == 0 {
				meta[name] = map[string]bool{"optional": true}
			}
		}
		m["peerDependenciesMeta"] = meta
	}
	if rng.IntN(8) == 0 {
		m["optionalDependencies"] = map[string]string{names[rng.IntN(len(names))]: "1", "none": "1"}
	}
	if rng.IntN(12) == 0 {
		m["deprecated"] = "yes"
	}
	if rng.IntN(12) == 0 {
		m["engines"] = map[string]string{"node": ">=30"}
	}
	return m
}

func randomOverrides(rng *rand.Rand, names []string, spec func() string) madeUp {
	o := madeUp{}
	for range 1 + rng.IntN(2) {
		key := names[rng.IntN(len(names))]
		if rng.IntN(4) == 0 {
			key += "@" + []string{"1", "2", ">=2"}[rng.IntN(3)]
		}
		if rng.IntN(2) == 0 {
			o[key] = spec()
		} else {
			o[key] = madeUp{names[rng.IntN(len(names))]: spec()}
		}
	}
	return o
}

// TestTreesOfMadeUpRegistries: es makes the tree that npm makes, of registries whose
// packages need each other in every way (SPEC Q100).
func TestTreesOfMadeUpRegistries(t *testing.T) {
	seed, count := uint64(1), 100
	if s := os.Getenv("ES_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	if n, err := strconv.Atoi(os.Getenv("ES_TREES")); err == nil {
		count = n
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	cases := make([]*treeCase, count)
	for i := range cases {
		cases[i] = randomCase(rng)
	}
	failed, broken, wrong := 0, 0, 0
	for i, npm := range askNPM(t, cases) {
		es := cases[i].resolve(t)
		if npm.Error == "ENDLESS" || strings.HasPrefix(npm.Error, "Cannot read properties of null") {
			broken++ // npm's own fault; es is only to get done
			continue
		}
		if npm.Error != "" {
			failed++
		}
		if differ := treesDiffer(&npm, es); len(differ) > 0 {
			if wrong++; wrong <= 5 {
				b, _ := json.Marshal(cases[i])
				t.Errorf("case %d:\n%s\n%s", i, strings.Join(differ, "\n"), b)
			}
		}
	}
	if failed+broken > count/2 {
		t.Errorf("npm makes a tree of only %d of %d cases", count-failed-broken, count)
	}
	t.Logf("%d cases, of which npm refuses %d and breaks or never ends with %d; %d differ", count, failed, broken, wrong)
}
