package packagelock

import (
	"fmt"
	"strings"
	"testing"
)

const v3 = `{
  "name": "app", "version": "1.0.0", "lockfileVersion": 3, "requires": true,
  "packages": {
    "": {"name": "app", "workspaces": ["packages/*"], "dependencies": {"a": "^1"}},
    "node_modules/a": {"version": "1.0.0", "resolved": "https://r.example/a/-/a-1.0.0.tgz", "integrity": "sha512-x", "hasInstallScript": true,
      "bin": "cli.js", "dependencies": {"b": "1"}, "optionalDependencies": {"a": "1", "b": "1"}, "peerDependencies": {"c": "1"}, "os": ["linux", "!win32"], "cpu": "x64"},
    "node_modules/a/node_modules/@s/b": {"version": "2.0.0", "integrity": "sha512-y", "dev": true, "inBundle": true},
    "node_modules/alias": {"name": "real", "version": "3.0.0", "optional": true, "peer": true, "devOptional": true},
    "node_modules/w": {"resolved": "packages/w", "link": true},
    "packages/w": {"version": "0.0.1", "devDependencies": {"x": "*"}},
    "packages/w/node_modules/c": {"version": "4.0.0", "resolved": false},
    "node_modules/g": {"version": "1.0.0", "resolved": "git+ssh://git@h.example/g.git#abc"},
    "node_modules/l": {"version": "1.0.0", "resolved": "file:l.tgz"},
    "node_modules/t": {"version": "1.0.0", "resolved": "https://elsewhere.example/archive/master.tar.gz"}
  }
}`

const v1 = `{"name": "app", "lockfileVersion": 1, "dependencies": {
  "a": {"version": "1.0.0", "resolved": "https://r.example/a/-/a-1.0.0.tgz", "integrity": "sha512-x", "requires": {"@s/b": "1"},
    "dependencies": {"@s/b": {"version": "2.0.0", "integrity": "sha512-y", "dev": true, "bundled": true}}},
  "alias": {"version": "npm:@real/x@3.0.0", "optional": true},
  "w": {"version": "file:packages/w"},
  "g": {"version": "git+ssh://git@h.example/g.git#abc", "from": "g@git+ssh://git@h.example/g.git"}
}}`

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"version 3", v3, []string{
			"node_modules/a a 1.0.0 sha512-x kind 0 scripts [linux !win32] [x64] requires [a b c] map[a:cli.js]",
			"node_modules/a/node_modules/@s/b @s/b 2.0.0 sha512-y dev kind 1",
			"node_modules/alias real 3.0.0  optional devOptional peer kind 0",
			"node_modules/g g 1.0.0  kind 4",
			"node_modules/l l 1.0.0  kind 3",
			"node_modules/t t 1.0.0  kind 5",
			"node_modules/w w   kind 2",
			"packages/w/node_modules/c c 4.0.0  kind 0",
		}},
		{"version 1", v1, []string{
			"node_modules/a a 1.0.0 sha512-x kind 0 requires [@s/b]",
			"node_modules/a/node_modules/@s/b @s/b 2.0.0 sha512-y dev kind 1",
			"node_modules/alias @real/x 3.0.0  optional kind 0",
			"node_modules/g g git+ssh://git@h.example/g.git#abc  kind 4",
			"node_modules/w w file:packages/w  kind 2",
		}},
	} {
		f, err := Parse([]byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.name == "version 3" {
			root, w := f.Roots[""], f.Roots["packages/w"]
			if fmt.Sprint(root.Requires(), w.Requires()) != "[a] [x]" {
				t.Errorf("the project requires %v, its workspace %v", root.Requires(), w.Requires())
			}
		}
		var got []string
		for _, e := range f.Entries {
			line := fmt.Sprintf("%s %s %s %s", e.Path, e.Name, e.Version, e.Integrity)
			for _, flag := range []struct {
				name string
				set  bool
			}{{"dev", e.Dev}, {"optional", e.Optional}, {"devOptional", e.DevOptional}, {"peer", e.Peer}} {
				if flag.set {
					line += " " + flag.name
				}
			}
			line += fmt.Sprintf(" kind %d", e.Kind())
			if e.Scripts {
				line += " scripts"
			}
			if e.OS != nil {
				line += fmt.Sprint(" ", e.OS, " ", e.CPU)
			}
			if e.Requires != nil {
				line += fmt.Sprint(" requires ", e.Requires)
			}
			if e.Bin != nil {
				line += fmt.Sprint(" ", e.Bin)
			}
			got = append(got, line)
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func TestParseRefuses(t *testing.T) {
	at := func(path, fields string) string {
		return fmt.Sprintf(`{"lockfileVersion": 3, "packages": {%q: {%s}}}`, path, fields)
	}
	nested := strings.Repeat(`{"a": {"version": "1.0.0", "dependencies": `, MaxDepth+2)
	for _, c := range []struct{ name, text, want string }{
		{"HTML", "<html>", "read package-lock.json"},
		{"version 4", `{"lockfileVersion": 4, "packages": {}}`, "lockfileVersion is 4"},
		{"no version", `{"packages": {}}`, "lockfileVersion is 0"},
		{"a conflict", "{\n<<<<<<< HEAD\n", "line 2: a conflict"},
		{"out of the project", at("node_modules/../../x", ""), "plain path"},
		{"out of node_modules", at("../node_modules/x", ""), "plain path"},
		{"absolute", at("/node_modules/x", ""), "plain path"},
		{"a drive", at("c:/node_modules/x", ""), "Windows"},
		{"a backslash", at(`node_modules/a\\..\\b`, ""), "Windows"},
		{"a bin", at("node_modules/.bin", ""), "directory of a package"},
		{"a file of a package", at("node_modules/a/lib", ""), "directory of a package"},
		{"a scope alone", at("node_modules/@a", ""), "directory of a package"},
		{"deep", at(strings.Repeat("node_modules/a/", MaxDepth)+"node_modules/a", ""), "within each other"},
		{"a link out", at("node_modules/a", `"link": true, "resolved": "../x"`), "links out"},
		{"a link to nothing", at("node_modules/a", `"link": true`), "links out"},
		{"twice", `{"lockfileVersion": 3, "packages": {"node_modules/a": {}, "node_modules/a": {}}}`, "duplicate"},
		{"a list", `{"lockfileVersion": 3, "packages": []}`, "not an object"},
		{"an alias without a version", `{"lockfileVersion": 1, "dependencies": {"a": {"version": "npm:@b/c"}}}`, "has no version"},
		{"out of the project in version 1", `{"lockfileVersion": 1, "dependencies": {"../a": {"version": "1.0.0"}}}`, "plain path"},
		{"deep in version 1", `{"lockfileVersion": 1, "dependencies": ` + nested + `{}` + strings.Repeat("}}", MaxDepth+2) + "}", "within each other"},
	} {
		_, err := Parse([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(v3))
	f.Add([]byte(v1))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := Parse(b)
		if err != nil {
			return
		}
		for i := range file.Entries {
			e := &file.Entries[i]
			e.Kind()
			if strings.Contains("/"+e.Path+"/", "/../") || strings.HasPrefix(e.Path, "/") || e.Name == "" {
				t.Errorf("takes %q", e.Path)
			}
		}
	})
}

func TestParseRoot(t *testing.T) {
	r, err := ParseRoot([]byte(`{"name": "x", "version": 7, "bin": true, "dependencies": {"b": "1", "c": 2}, "devDependencies": [], "optionalDependencies": {"a": "^1"}, "peerDependencies": {"b": "*"}}`))
	if err != nil || fmt.Sprint(r.Requires()) != "[a b]" || r.Dependencies["b"] != "1" {
		t.Errorf("%+v, %v", r, err)
	}
	for _, text := range []string{"", "[]", `{"name": `} {
		if _, err := ParseRoot([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// What would stand elsewhere than it shows, or write to the terminal that shows it.
func TestHostileEntries(t *testing.T) {
	for entries, want := range map[string]string{
		`"node_modules/x": {"link": true, "resolved": "src"}, "node_modules/x/node_modules/y": {}`: `"node_modules/x/node_modules/y": stands within "node_modules/x", which is a link`,
		"\"node_modules/a\\u001b[31m\": {}":                   "has a name with characters that are not shown",
		"\"node_modules/a\\u202eb\": {}":                      "has a name with characters that are not shown",
		`"node_modules/` + strings.Repeat("a", 256) + `": {}`: "or of more than 255 bytes",
		`"node_modules/node_modules": {}`:                     `"node_modules" is not the directory of a package`,
		`"node_modules/x": []`:                                `"node_modules/x": it is no JSON object`,
		`"node_modules/x": {"version": 1}`:                    `"node_modules/x": "/version" has a value of another type of JSON`,
	} {
		_, err := Parse([]byte(`{"lockfileVersion": 3, "packages": {` + entries + `}}`))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", entries, err)
		}
	}
	for _, whole := range []string{"[]", "", "<html>", `{"lockfileVersion": "3"}`} {
		if _, err := Parse([]byte(whole)); err == nil || strings.Contains(err.Error(), "Go") {
			t.Errorf("%q: %v", whole, err)
		}
	}
}

// TestThreat62NestedLockfile: packages within packages of version 1, all with the rest of the
// file in them, are refused before they are read sixty times.
func TestThreat62NestedLockfile(t *testing.T) {
	text := `{"version":"1.0.0","x":"` + strings.Repeat("x", 100_000) + `"}`
	for range MaxDepth {
		text = `{"version":"1.0.0","dependencies":{"a":` + text + `}}`
	}
	if _, err := Parse([]byte(`{"lockfileVersion":1,"dependencies":{"a":` + text + `}}`)); err == nil || !strings.Contains(err.Error(), "more than 8 deep") {
		t.Errorf("%v", err)
	}
}
