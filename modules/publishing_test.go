package modules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/everythingstays/es/modules/internal/npmjson"
)

// packaged is a FileSet of a package.json with more fields, and of files.
func packaged(t *testing.T, fields string, files ...string) *FileSet {
	t.Helper()
	tree := fstest.MapFS{npmjson.FileName: {Data: []byte(`{"name":"p","version":"1.0.0"` + fields + `}`)}}
	for _, f := range files {
		tree[f] = &fstest.MapFile{}
	}
	set, err := ScanFS(tree)
	must(t, err)
	return set
}

// TestLacks: fields that name what was not built.
func TestMissingTargets(t *testing.T) {
	files := []string{"index.js", "lib/a.js", "lib/b/index.js", "dist/x.mjs", "types/x.d.ts"}
	for _, c := range []struct{ fields, want string }{
		{``, ""},
		{`,"main":"./lib/a","module":"dist/x.mjs","types":"types/x","typings":"./types/x.d.ts","bin":"lib/a.js"`, ""},
		{`,"main":"lib/b/"`, ""}, {`,"main":"."`, ""}, {`,"main":""`, ""}, {`,"browser":{"a":"b"}`, ""},
		{`,"main":"dist/index.js"`, "main dist/index.js"},
		{`,"main":"build","module":"m.mjs","browser":"b.js","types":"t.d.ts","typings":"u"`, "main build|module m.mjs|browser b.js|types t.d.ts|typings u"},
		{`,"bin":{"a":"lib/a.js","b":"./cli.js"}`, "bin cli.js"},
		{`,"exports":"./lib/a.js"`, ""},
		{`,"exports":{".":{"import":"./dist/x.mjs","require":"./dist/x.cjs"},"./*":"./lib/*.js","./y/*":"./y/*.js","./no":null,"./lib/":"./lib/","./z/":"./z/"}`, "exports ./dist/x.cjs|exports ./y/*.js|exports ./z/"},
		{`,"exports":{".":["./none.js","./index.js"],"./b":["./no.js","./nor.js"]}`, "exports ./no.js|exports ./nor.js"},
		{`,"exports":"lib/a.js"`, ""}, // no target for node either
		{`,"files":["lib","build","!x"]`, ""},
		{`,"files":["/build/","./out/**/*.js"]`, "files /build/|files ./out/**/*.js"},
		{`,"files":["*.js"]`, ""}, {`,"files":["@x/y"]`, "files @x/y"},
	} {
		var got []string
		for _, l := range packaged(t, c.fields, files...).MissingTargets() {
			got = append(got, l.Field+" "+l.Value)
		}
		if g := strings.Join(got, "|"); g != c.want {
			t.Errorf("%s: lacks %q, want %q", c.fields, g, c.want)
		}
	}
	if got := packaged(t, `,"files":["lib","build"]`, files...).UnmatchedFiles(); !slices.Equal(got, []string{"build"}) {
		t.Errorf("unlisted %q", got)
	}
}

// TestForeign: dependencies that no release can be.
func TestUnsupportedDependencies(t *testing.T) {
	for spec, want := range map[string]string{
		"^1.0.0": "", "": "", "latest": "", "1 || 2": "", "npm:b@^1": "", ">=1 <2": "", " * ": "", "1.x": "",
		"/ipfs/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG": "", "ipfs://QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG": "",
		"git+https://h.example/a.git": "git", "git://h.example/a": "git", "git+ssh://git@h.example/a.git#v1": "git", "git@h.example:a/b.git": "git",
		"user/repo": "git", "user/repo#semver:^1": "git", "github:user/repo": "git", "gist:1234": "git", "https://h.example/a/b.git#main": "git", "GitHub:u/r": "git",
		"https://h.example/a-1.0.0.tgz": "address", "http://h.example/a": "address",
		"file:../a": "machine", "link:../a": "machine", "portal:../a": "machine", "../a": "machine", "./a.tgz": "machine", "/a/b": "machine", "~/a": "machine", `C:\a`: "machine", "a-1.tgz": "machine", "..": "machine",
		"workspace:*": "replaced", "workspace:^": "replaced", "catalog:": "replaced", "catalog:react": "replaced", "not a range": "neither", "npm:b@not a range": "neither", "npm:@a/b": "", "npm:@a/b@^1": "", "npm:b": "", "2.x.7": "neither", "^1.0.0 ||": "", "=v1.0.0": "", "next": "", "patch:a@1#b": "replaced", "jsr:@a/b@1": "kind",
	} {
		set := packaged(t, fmt.Sprintf(`,"esDependencies":{"d":%q}`, spec))
		got := ""
		if all := set.UnsupportedDependencies(); len(all) == 1 {
			got = all[0].Kind
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q is %q, want %q", spec, got, want)
		}
	}
	set := packaged(t, `,"dependencies":{"b":"file:b","c":"file:c"},"optionalDependencies":{"o":"u/r"},"peerDependencies":{"p":"workspace:*"},"devDependencies":{"x":"u/r"},"bundleDependencies":["b"]`, "node_modules/b/package.json")
	var names []string
	for _, f := range set.UnsupportedDependencies() {
		names = append(names, f.Field+" "+f.Name)
	}
	if !slices.Equal(names, []string{"dependencies c", "optionalDependencies o", "peerDependencies p"}) {
		t.Errorf("foreign %q", names)
	}
}

// TestPublishConfig: what the author set about publishing.
func TestPublishConfig(t *testing.T) {
	p := packaged(t, `,"private":"yes","publishConfig":{"tag":"next","access":"restricted","registry":"https://r.example","@a:registry":"https://s.example","directory":"dist"},"scripts":{"prepare":"x","prepack":"","prepublishOnly":"y"}`).Package
	c := p.PublishConfig()
	if !p.Private || c.Tag != "next" || c.Access != "restricted" || c.Directory != "dist" || len(c.Registry) != 2 {
		t.Errorf("private %v, %+v", p.Private, c)
	}
	for fields, want := range map[string]int{`,"publishConfig":null`: 0, `,"publishConfig":{"tag":null,"provenance":true}`: 0, `,"publishConfig":["next"]`: 1, `,"publishConfig":"next"`: 1, `,"publishConfig":{"tag":7,"access":["restricted"],"@a:registry":{},"directory":true}`: 4} {
		if got := packaged(t, fields).Package.PublishConfig(); len(got.Invalid) != want {
			t.Errorf("%s: unread %q", fields, got.Invalid)
		}
	}
	for fields, want := range map[string]string{
		`,"publishConfig":{"main":"dist/x.js","exports":{".":"./a.js"},"tag":"next"}`:                           "exports,main",
		`,"main":"a.js","exports":{".":"./a.js"},"publishConfig":{"main":"a.js","exports":{".":"./a.js"}}`:      "",
		`,"exports":{".":"./src/a.ts"},"publishConfig":{"exports":{".":"./a.js"},"access":"public","name":"b"}`: "exports",
	} {
		got := packaged(t, fields).Package.PublishConfig().Fields
		slices.Sort(got)
		if strings.Join(got, ",") != want {
			t.Errorf("%s: replaces %q, want %s", fields, got, want)
		}
	}
	if got := p.BuildScripts(); !slices.Equal(got, []string{"prepublishOnly", "prepare"}) {
		t.Errorf("scripts %q", got)
	}
	for fields, want := range map[string]bool{`,"private":false`: false, `,"private":0`: false, `,"private":""`: false, `,"private":null`: false, `,"private":1`: true, `,"private":{}`: true, `,"private":[]`: true, `,"private":"false"`: true} {
		if got := packaged(t, fields).Package.Private; got != want {
			t.Errorf("%s: private %v", fields, got)
		}
	}
}
