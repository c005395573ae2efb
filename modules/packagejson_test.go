package modules

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/everythingstays/es/modules/internal/dagpb"
	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/internal/treetest"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// derive parses a package.json with a name and a version and these fields.
func derive(t testing.TB, fields string, paths ...string) (records.Manifest, *PackageJSON, error) {
	t.Helper()
	p, err := ParsePackageJSON([]byte(`{"name":"@s/p","version":"1.0.0",` + fields + `}`))
	if err != nil {
		return records.Manifest{}, nil, err
	}
	m, err := p.Manifest(append(paths, npmjson.FileName))
	return m, p, err
}

func TestManifestsAreDerivedFromEveryFormOfPackageJSON(t *testing.T) {
	type deps = map[string]string
	long := strings.Repeat("word ", 100)
	for _, c := range []struct {
		fields string
		paths  []string
		want   records.Manifest
	}{
		{`"x":1`, nil, records.Manifest{}},
		{`"description":"  a\tb\u0000\u202e\n c "`, nil, records.Manifest{Description: "a b c"}},
		{`"description":"` + long + `"`, nil, records.Manifest{Description: records.CleanText(long, records.MaxText)}},
		{`"description":7`, nil, records.Manifest{}},
		{`"keywords":["a"," b ",3,"","a"]`, nil, records.Manifest{Keywords: []string{"a", "b"}}},
		{`"keywords":"x, y,z"`, nil, records.Manifest{Keywords: []string{"x", "y", "z"}}},
		{`"license":"(MIT OR Apache-2.0)"`, nil, records.Manifest{License: "(MIT OR Apache-2.0)"}},
		{`"license":{"type":"MIT","url":"u"}`, nil, records.Manifest{License: "MIT"}},
		{`"licenses":[{"type":"MIT"},{"type":"GPL-2.0"},"ISC"]`, nil, records.Manifest{License: "MIT OR GPL-2.0 OR ISC"}},
		{`"license":["MIT"]`, nil, records.Manifest{License: "MIT"}},
		{`"repository":"github:a/b","homepage":"https://h"`, nil, records.Manifest{Repository: "github:a/b", Homepage: "https://h"}},
		{`"repository":{"type":"git","url":"git+https://h/a.git","directory":"x"}`, nil, records.Manifest{Repository: "git+https://h/a.git"}},
		{`"homepage":"https://` + strings.Repeat("h", 300) + `"`, nil, records.Manifest{}},
		{`"engines":{"node":">=18","npm":8,"":"x"}`, nil, records.Manifest{Engines: deps{"node": ">=18"}}},
		{`"engines":["node >= 0.4"]`, nil, records.Manifest{}},
		{`"os":["!win32","linux"],"cpu":"x64","libc":["glibc"]`, nil, records.Manifest{OS: []string{"!win32", "linux"}, CPU: []string{"x64"}, Libc: []string{"glibc"}}},
		{`"dependencies":{"a":"^1.0.0","B":" >=1  <2 ","@x/y":"*"}`, nil, records.Manifest{Dependencies: deps{"a": "^1.0.0", "B": ">=1 <2", "@x/y": "*"}}},
		{`"dependencies":{"a":"1","b":"1"},"optionalDependencies":{"b":"2"}`, nil, records.Manifest{Dependencies: deps{"a": "1"}, OptionalDependencies: deps{"b": "2"}}},
		{`"dependencies":[],"optionalDependencies":false,"peerDependencies":""`, nil, records.Manifest{}},
		{`"peerDependencies":{"r":"*","q":"1"},"peerDependenciesMeta":{"r":{"optional":true},"q":{"optional":false},"z":{"optional":true}}`, nil,
			records.Manifest{PeerDependencies: deps{"r": "*", "q": "1"}, OptionalPeers: []string{"r", "z"}}},
		{`"bin":"./cli.js"`, []string{"cli.js"}, records.Manifest{Bin: deps{"p": "cli.js"}}},
		{`"bin":{"@s/x":"/bin/x.js","y":"bin\\y.js","z":"gone.js","w":3}`, []string{"bin/x.js", "bin/y.js"}, records.Manifest{Bin: deps{"x": "bin/x.js", "y": "bin/y.js"}}},
		{`"bin":["b/one","b/two"]`, []string{"b/one", "b/two"}, records.Manifest{Bin: deps{"one": "b/one", "two": "b/two"}}},
		{`"directories":{"bin":"./bin"}`, []string{"bin/a", "bin/c/d", "bin/.e", "bin/.f/g", "other"}, records.Manifest{Bin: deps{"a": "bin/a", "d": "bin/c/d"}}},
		{`"directories":{"bin":"./bin"},"bin":{"x":"other"}`, []string{"bin/a", "other"}, records.Manifest{Bin: deps{"x": "other"}}},
		{`"dependencies":{"a":"1","b":"1","c":"1"},"bundleDependencies":["b","a","a","x"]`, []string{"node_modules/a/i.js", "node_modules/b/i.js", "node_modules/c/i.js"},
			records.Manifest{Dependencies: deps{"a": "1", "b": "1", "c": "1"}, Bundled: []string{"a", "b"}}},
		{`"dependencies":{"a":"1","b":"1"},"bundledDependencies":true`, []string{"node_modules/a/i.js"}, records.Manifest{Dependencies: deps{"a": "1", "b": "1"}, Bundled: []string{"a"}}},
		{`"dependencies":{"a":"1"},"bundleDependencies":false,"bundledDependencies":true`, []string{"node_modules/a/i.js"}, records.Manifest{Dependencies: deps{"a": "1"}}},
		{`"scripts":{"postinstall":"x"}`, nil, records.Manifest{Scripts: true}},
		{`"scripts":{"install":"","test":"x","prepare":"x","postinstall":5}`, nil, records.Manifest{}},
		{`"x":1`, []string{"binding.gyp"}, records.Manifest{Scripts: true}},
		{`"gypfile":false`, []string{"binding.gyp"}, records.Manifest{}},
		{`"x":1`, []string{"sub/binding.gyp"}, records.Manifest{}},
		{`"x":1`, []string{"npm-shrinkwrap.json"}, records.Manifest{Shrinkwrap: true}},
		{`"dependencies":{"a":"1"},"optionalDependencies":{"b":"1"},"esDependencies":{"a":"^2","b":"3","c":"4"}`, nil,
			records.Manifest{Dependencies: deps{"a": "^2", "b": "3", "c": "4"}}},
		{`"__proto__":{"name":"x"},"constructor":{},"dependencies":{"constructor":"1","toString":"2"}`, nil,
			records.Manifest{Dependencies: deps{"constructor": "1", "toString": "2"}}},
	} {
		got, _, err := derive(t, c.fields, c.paths...)
		if err != nil {
			t.Errorf("%s: %v", c.fields, err)
			continue
		}
		want := c.want
		if len(got.Dependencies) == 0 {
			got.Dependencies = nil
		}
		if len(got.OptionalDependencies) == 0 {
			got.OptionalDependencies = nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.fields, got, want)
		}
		release := &records.Release{Name: "p", Version: "1.0.0", Module: emptyModule, Size: 1, Files: 1, Manifest: got}
		if _, err := records.Encode(&records.Record{Author: treetest.SomeAuthor(t), Time: 1, Body: release}); err != nil {
			t.Errorf("%s: no record can hold it: %v", c.fields, err)
		}
	}
}

var emptyModule = dagpb.CID(cid.DagProtobuf, (&dagpb.Node{Data: []byte{8, 1}}).Encode())

func TestPinsAreTheCIDsAmongEsDependencies(t *testing.T) {
	v0 := cid.NewCidV0(emptyModule.Hash())
	m, p, err := derive(t, fmt.Sprintf(`"dependencies":{"a":"^1"},"esDependencies":{"a":%q,"b":%q,"@s/c":"/ipfs/%s","d":"ipfs://%s","e":"^1","f":"latest","g":"beta"}`,
		v0, emptyModule, emptyModule, v0))
	if err != nil {
		t.Fatal(err)
	}
	want := map[records.Name]cid.Cid{"a": emptyModule, "b": emptyModule, "@s/c": emptyModule, "d": emptyModule}
	if !maps.Equal(p.Pins, want) {
		t.Errorf("pins are %v", p.Pins)
	}
	if deps := (map[string]string{"a": "^1", "e": "^1", "f": "latest", "g": "beta"}); !maps.Equal(m.Dependencies, deps) {
		t.Errorf("dependencies are %v", m.Dependencies)
	}
	for _, pin := range []string{unixfs.EmptyRaw.String(), "bafkqabdlobzgs", "bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"} {
		if _, _, err := derive(t, fmt.Sprintf(`"esDependencies":{"a":%q}`, pin)); treetest.RuleOf(err) != "M48" {
			t.Errorf("pinned to %s: %v", pin, err)
		}
	}
	if _, _, err := derive(t, fmt.Sprintf(`"esDependencies":{"Upper":%q}`, emptyModule)); treetest.RuleOf(err) != "M48" {
		t.Errorf("a pin for a name that no record can have: %v", err)
	}
}

// hostilePackages are package.json files that must be refused.
func hostilePackages() []string {
	list := []string{
		"", " ", "null", "true", "1", `"x"`, "[]", "{", "}", "{}", "{}}", `{"name"}`, `{"name":}`, `{"name":"p"}`, `{"version":"1.0.0"}`, `{"name":"p","version":"1.0.0"`,
		`{"name":"p","version":"1.0.0"}}`, `{"name":"p","version":"1.0.0"} {}`, `{"name":"p","version":"1.0.0",}`, `{'name':'p','version':'1.0.0'}`,
		`{"name":"p","version":"1.0.0"}//`, `/* */{"name":"p","version":"1.0.0"}`, `{name:"p",version:"1.0.0"}`, `{"name":"p","version":"1.0.0","x":NaN}`,
		`{"name":"p","version":"1.0.0","x":01}`, `{"name":"p","version":"1.0.0","x":+1}`, `{"name":"p","version":"1.0.0","x":.5}`, "{\"name\":\"p\",\"version\":\"1.0.0\",\"x\":\"\n\"}",
		`{"name":"p","version":"1.0.0","x":"\x41"}`, `{"name":"p","version":"1.0.0","x":"\u12"}`, "\x00" + treetest.MinimalPackage, treetest.MinimalPackage + "\x00",
		`{"name":"p","name":"q","version":"1.0.0"}`, `{"name":"p","version":"1.0.0","version":"2.0.0"}`, `{"name":"p","version":"1.0.0","\u006eame":"q"}`,
		`{"name":"p","version":"1.0.0","dependencies":{"a":"1","a":"2"}}`, `{"name":"p","version":"1.0.0","x":[{"a":{"b":1,"b":2}}]}`,
		`{"name":"p","version":"1.0.0","__proto__":1,"__proto__":2}`,
		`{"name":["p"],"version":"1.0.0"}`, `{"name":{"toString":"p"},"version":"1.0.0"}`, `{"name":"p","version":1}`, `{"name":"p","version":["1.0.0"]}`, `{"name":null,"version":"1.0.0"}`,
		`{"__proto__":{"name":"p","version":"1.0.0"}}`, `{"Name":"p","Version":"1.0.0"}`, `{"NAME":"p","version":"1.0.0"}`,
		strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000), `{"name":"p","version":"1.0.0","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}",
		`{"name":"p","version":"1.0.0","x":` + strings.Repeat(`{"a":`, 32) + "1" + strings.Repeat("}", 33),
		`{"name":"p","version":"1.0.0","x":"` + strings.Repeat("x", MaxPackageJSON) + `"}`, treetest.MinimalPackage + strings.Repeat(" ", MaxPackageJSON), strings.Repeat(" ", MaxPackageJSON+1) + treetest.MinimalPackage,
	}
	for _, name := range []string{
		"", " ", "P", "p ", " p", ".p", "_p", "-p", "p/q", "@p", "@/p", "@s/", "@s/p/q", "@S/p", "../p", "@../p", "@s/..", "p\x00", "p\u202e", "pü", "p%20", "p~", "node_modules", "favicon.ico", "@s/node_modules",
		"con", "nul.js", "@con/p", "p.", "..", ".", "p:q", `p\q`, "p?x", "p#x", "http://p", strings.Repeat("p", 129), "p\n", "p'", "p!", "p*", "p(", "__proto__", "@s/__proto__", "hаsown",
	} {
		list = append(list, pkgWith(name, "1.0.0", ""))
	}
	for _, version := range []string{
		"", " ", "1", "1.0", "v1.0.0", "=1.0.0", " 1.0.0", "1.0.0 ", "1.0.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0-a..b", "1.0.0+build", "1.0.0-a+b", "1.x", "*", "latest", "^1.0.0", "1.0.0\n", "-1.0.0",
		"1.0.0-ü", "9007199254740992.0.0", "1.0.0/../x", strings.Repeat("1", 200), "1.0.0-" + strings.Repeat("a", 200), "１.0.0", "1,0,0", "1.0.0-\x00",
	} {
		list = append(list, pkgWith("p", version, ""))
	}
	for _, field := range []string{"dependencies", "optionalDependencies", "peerDependencies", "esDependencies"} {
		for _, value := range []string{
			`"x"`, `["x"]`, `1`, `true`, `{"a":1}`, `{"a":null}`, `{"a":{}}`, `{"a":["1"]}`, `{"":"1"}`, `{"..":"1"}`, `{"../x":"1"}`, `{"a/b":"1"}`, `{"@a":"1"}`, `{".x":"1"}`, `{"node_modules":"1"}`,
			`{"a\u0000":"1"}`, `{"a b":"1"}`, `{"ü":"1"}`, `{"a":"` + strings.Repeat("1 || ", 300) + `1"}`, `{"` + strings.Repeat("a", 215) + `":"1"}`,
		} {
			list = append(list, pkgWith("p", "1.0.0", fmt.Sprintf(",%q:%s", field, value)))
		}
	}
	many := make(map[string]string)
	for i := range 513 {
		many[fmt.Sprintf("d%d", i)] = "1"
	}
	data, _ := json.Marshal(many)
	return append(list, pkgWith("p", "1.0.0", `,"dependencies":`+string(data)))
}

func pkgWith(name, version, more string) string {
	n, _ := json.Marshal(name)
	v, _ := json.Marshal(version)
	return fmt.Sprintf(`{"name":%s,"version":%s%s}`, n, v, more)
}

func TestThreat43PackageJSON(t *testing.T) {
	list := hostilePackages()
	if len(list) < 200 {
		t.Fatalf("only %d hostile files", len(list))
	}
	for _, data := range list {
		start := treetest.CPUTime()
		p, err := ParsePackageJSON([]byte(data))
		if err == nil {
			_, err = p.Manifest([]string{npmjson.FileName})
		}
		if rule := treetest.RuleOf(err); rule == "" {
			t.Errorf("%.200s: %v", data, err)
		}
		if took := treetest.CPUTime() - start; took > time.Second/2 {
			t.Errorf("%.200s: took %v", data, took)
		}
	}
	if _, err := ParsePackageJSON([]byte("\xEF\xBB\xBF" + treetest.MinimalPackage)); err != nil {
		t.Errorf("a byte order mark, which npm takes: %v", err)
	}
}

func TestThreat41BinsOfManifests(t *testing.T) {
	paths := []string{"ok.js", "bin/ok.js", "etc/passwd", "bin/sh"}
	good := []string{
		// Commands that would stand for something else.
		`{"":"ok.js"}`, `{".":"ok.js"}`, `{"..":"ok.js"}`, `{"../..":"ok.js"}`, `{"a/..":"ok.js"}`, `{"a b":"ok.js"}`, `{"a;rm":"ok.js"}`, `{"$(x)":"ok.js"}`, `{"a\u0000":"ok.js"}`, `{"a\n":"ok.js"}`,
		`{"ü":"ok.js"}`, `{"con":"ok.js"}`, `{"NUL":"ok.js"}`, `{"com1.cmd":"ok.js"}`, `{"-x":"ok.js"}`, `{".x":"ok.js"}`, `{"x.":"ok.js"}`, `{"%PATH%":"ok.js"}`, `{"a\u202eb":"ok.js"}`, `{"\u001b[2J":"ok.js"}`,
		`{"` + strings.Repeat("x", 300) + `":"ok.js"}`, `{"a|b":"ok.js"}`, `{"a&b":"ok.js"}`, "{\"a`b\":\"ok.js\"}", `{"a'b":"ok.js"}`, `{"a\"b":"ok.js"}`, `{"a*":"ok.js"}`, `{"~":"ok.js"}`, `{"a=b":"ok.js"}`,
		`{"node":"ok.js"}`, `{"npm":"ok.js"}`, `{"npx":"ok.js"}`, `{"es":"ok.js"}`, `{"../node":"ok.js"}`, `{"x/npm":"ok.js"}`, `{"Node":"ok.js"}`, `{"NPM":"ok.js"}`, `{"Npx":"ok.js"}`, `{"ES":"ok.js"}`, `{"node.exe":"ok.js"}`, `{"NPM.Cmd":"ok.js"}`, `{"npx.ps1":"ok.js"}`, `{"..\\es":"ok.js"}`, `{"/usr/bin/node":"ok.js"}`, `{"C:node":"ok.js"}`,
		// Programs that are not in the module.
		`{"x":"../ok.js"}`, `{"x":"../../etc/passwd"}`, `{"x":"a/../../ok.js"}`, `{"x":"..\\..\\etc\\passwd"}`, `{"x":"./../p/ok.js"}`, `{"x":"/../etc/passwd"}`, `{"x":"C:\\windows\\x"}`, `{"x":"c:ok.js"}`, `{"x":"ok.js:ads"}`,
		`{"x":"gone.js"}`, `{"x":""}`, `{"x":"."}`, `{"x":"/"}`, `{"x":"bin"}`, `{"x":"bin/"}`, `{"x":"con"}`, `{"x":"bin/nul.js"}`, `{"x":"ok.js\u0000"}`, `{"x":"\u202eok.js"}`, `{"x":"` + strings.Repeat("x/", 200) + `"}`,
		`{"x":"OK.JS"}`, `{"x":"ok.js "}`, `{"x":["ok.js"]}`, `{"x":{"y":"ok.js"}}`, `{"x":1}`, `{"x":null}`, `{"x":true}`, `"../ok.js"`, `["../ok.js"]`, `1`, `true`, `[1]`, `[["ok.js"]]`, `".."`,
	}
	if len(good) < 60 {
		t.Fatalf("only %d hostile bins", len(good))
	}
	for _, bin := range good {
		m, _, err := derive(t, `"bin":`+bin, paths...)
		if err == nil && len(m.Bin) > 0 {
			t.Errorf("%s gives %v", bin, m.Bin)
		}
		if err != nil && treetest.RuleOf(err) != "M47" {
			t.Errorf("%s: %v", bin, err)
		}
	}
	for _, dir := range []string{"..", "../..", "bin/../..", `..\\..`, "/.."} {
		m, _, err := derive(t, `"directories":{"bin":"`+dir+`"}`, paths...)
		if err == nil && len(m.Bin) > 0 {
			t.Errorf("directories.bin %q gives %v", dir, m.Bin)
		}
	}
	for name, bin := range map[string]string{"npm": "npx", "node": "node", "npx": "npx", "es": "es"} {
		p, err := ParsePackageJSON([]byte(pkgWith(name, "1.0.0", fmt.Sprintf(`,"bin":{%q:"ok.js"}`, bin))))
		if err != nil {
			t.Fatal(err)
		}
		if m, err := p.Manifest(paths); err != nil || m.Bin[bin] != "ok.js" {
			t.Errorf("the module %s may have the command %s: %v, %v", name, bin, m.Bin, err)
		}
	}
}

// TestBinErrorsNameTheEntry: of a hundred entries a user must find the one.
func TestBinErrorsNameTheEntry(t *testing.T) {
	for bin, want := range map[string]string{
		`{"a":"ok.js","z":"../ok.js"}`: `bin: "z": "../ok.js" leads out of the module`,
		`{"a":"ok.js","z":"con"}`:      `bin: "z": path "con"`,
		`{"a":"ok.js","nul":"ok.js"}`:  `bin: command "nul"`,
	} {
		if _, _, err := derive(t, `"bin":`+bin, "ok.js"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", bin, err, want)
		}
	}
	_, p, err := derive(t, `"bin":{"a":"ok.js","z":"./"}`, "ok.js")
	if err != nil {
		t.Fatal(err)
	}
	_, warnings, err := p.manifest([]string{"ok.js"})
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].Reason, `"z": "./" names no program`) {
		t.Errorf("a program that npm leaves out: %v, %v", warnings, err)
	}
}

// TestABrokenPackageJSONOfABundleIsNamed: the root's is not to blame.
func TestABrokenPackageJSONOfABundleIsNamed(t *testing.T) {
	for name, contents := range map[string]string{"not JSON": "{", "files": `{"name":"b","files":7}`} {
		dir := t.TempDir()
		for path, text := range map[string]string{
			npmjson.FileName:                 `{"name":"a","version":"1.0.0","dependencies":{"@s/b":"1"},"bundleDependencies":["@s/b"]}`,
			"node_modules/@s/b/package.json": contents,
		} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Scan(dir); err == nil || !strings.Contains(err.Error(), `"node_modules/@s/b/package.json": `) {
			t.Errorf("%s: %v does not name the file", name, err)
		}
	}
}
