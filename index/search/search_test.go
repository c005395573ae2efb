package search_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/index/fsck"
	"github.com/everythingstays/es/index/search"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

// A world is an index with authors.
type world struct {
	*testing.T
	*index.Index
	keys map[string]*chained
}

func newWorld(t *testing.T, authors ...string) *world {
	t.Helper()
	x, err := index.Open(t.Context(), filepath.Join(t.TempDir(), "index"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fsck.Check(context.Background(), x); err != nil {
			t.Error(err)
		}
		_, err := fsck.Verify(context.Background(), x, func(int64, int64) {}, func(d fsck.Damage) { t.Errorf("%+v", d) })
		if err != nil {
			t.Error(err)
		}
		x.Close()
	})
	w := &world{t, x, map[string]*chained{}}
	for _, name := range authors {
		s, err := sign.NewSecretKey(name+" of the village", name+"@example.com", epoch.Add(-time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		w.keys[name] = &chained{SecretKey: s}
	}
	return w
}

// says stores what an author says.
func (w *world) says(author string, bodies ...records.Body) {
	w.Helper()
	w.add(author, false, bodies...)
}

func (w *world) add(author string, stranger bool, bodies ...records.Body) {
	w.Helper()
	c := w.keys[author]
	var items []index.Item
	for _, b := range bodies {
		v, err := sign.Sign(w.Context(), c.SecretKey, &records.Record{Author: c.Key().Fingerprint(), Seq: c.seq, Prev: c.prev, Time: epoch.Unix() + c.seq, Body: b})
		if err != nil {
			w.Fatal(err)
		}
		c.seq, c.prev = c.seq+1, []cid.Cid{v.ID()}
		items = append(items, index.Item{Verified: v, Key: c.Key(), Source: index.Source{At: epoch, Stranger: stranger}})
	}
	if _, err := w.AddAll(w.Context(), items); err != nil {
		w.Fatal(err)
	}
}

// view is that of somebody who believes the authors.
func (w *world) view(authors ...string) *trust.Evaluator {
	w.Helper()
	var file strings.Builder
	for _, a := range authors {
		fmt.Fprintf(&file, "key %s * label=%q\n", w.keys[a].Key().Fingerprint(), "my "+a)
	}
	parsed, err := trust.Parse([]byte(file.String()))
	if err != nil {
		w.Fatal(err)
	}
	return trust.Inputs{User: parsed, Now: epoch, Load: authorlog.New(w.Index).Facts}.Evaluator()
}

func (w *world) find(query string, o search.Options, v *trust.Evaluator) search.Found {
	w.Helper()
	if o.Limit == 0 {
		o.Limit = 100
	}
	found, err := search.New(w.Index).Search(w.Context(), query, o, v)
	if err != nil {
		w.Fatal(query, err)
	}
	return found
}

// expect asks for what is found by somebody who trusts nobody, or by view.
func (w *world) expect(v *trust.Evaluator, wanted map[string]string) {
	w.Helper()
	for query, want := range wanted {
		if got := joined(w.find(query, search.Options{}, v).Names); got != want {
			w.Errorf("%q: got  %s\nwant %s", query, got, want)
		}
	}
}

func joined(names []records.Name) string {
	var all []string
	for _, n := range names {
		all = append(all, string(n))
	}
	return strings.Join(all, " ")
}

// A change changes a release.
type change func(*records.Release)

func describing(text string, keywords ...string) change {
	return func(r *records.Release) { r.Manifest.Description, r.Manifest.Keywords = text, keywords }
}

func needing(names ...string) change {
	return func(r *records.Release) {
		r.Manifest.Dependencies = map[string]string{}
		for _, n := range names {
			r.Manifest.Dependencies[n] = "^1.0.0"
		}
	}
}

func licensed(license string) change {
	return func(r *records.Release) { r.Manifest.License = license }
}

func release(name records.Name, version records.Version, changes ...change) *records.Release {
	digest, _ := multihash.Sum([]byte(string(name)+string(version)), multihash.SHA2_256, -1)
	r := &records.Release{Name: name, Version: version, Module: cid.NewCidV1(cid.DagProtobuf, digest), Size: 1, Files: 1}
	for _, c := range changes {
		c(r)
	}
	return r
}

// TestX430SpelledOtherwise shows SPEC X430: marks, spaces, capitals and the scope do not matter, nor does
// one edit.
func TestX430SpelledOtherwise(t *testing.T) {
	w := newWorld(t, "ann")
	w.says("ann", release("left-pad", "1.0.0"), release("@acme/left-pad", "1.0.0"), release("string_decoder", "1.0.0"), release("@acme/tools", "1.0.0"), release("ms", "1.0.0"))
	w.expect(w.view(), map[string]string{
		"left-pad": "left-pad @acme/left-pad", "leftpad": "left-pad @acme/left-pad", "left_pad": "left-pad @acme/left-pad",
		"left pad": "left-pad @acme/left-pad", "Left.Pad": "left-pad @acme/left-pad", "@acme/leftpad": "@acme/left-pad", "string-decoder": "string_decoder",
		"tools": "@acme/tools",
		// A letter less, one more, another one, two swapped; the first and the last too.
		"lef-pad": "left-pad @acme/left-pad", "leeft-pad": "left-pad @acme/left-pad", "lefr-pad": "left-pad @acme/left-pad", "letf-pad": "left-pad @acme/left-pad",
		"eft-pad": "left-pad @acme/left-pad", "left-padd": "left-pad @acme/left-pad", "elft-pad": "left-pad @acme/left-pad", "left-pda": "left-pad @acme/left-pad",
		"@acme/tolos": "@acme/tools", "@acm/tools": "@acme/tools", "acme/tools": "@acme/tools", "mss": "ms", "sm": "ms",
		"lft-pda": "", "m": "ms", "x": "", "-": "", "@": "@acme/tools @acme/left-pad", "@ac": "@acme/tools @acme/left-pad",
	})
}

// TestX430Ranking: what many need comes first among what fits as well, whom the user
// believes before strangers, what is yanked or deprecated last. It does not matter in which
// order records come.
func TestX430Ranking(t *testing.T) {
	for _, usersFirst := range []bool{true, false} {
		w := newWorld(t, "ann", "bob")
		users := func() {
			for i := range 8 {
				w.says("ann", release(records.Name(fmt.Sprintf("user%d", i)), "1.0.0", needing("server-tools", "needed-first")))
			}
		}
		if usersFirst {
			users()
		}
		w.says("ann", release("server-a", "1.0.0", describing("answers calls")), release("server-tools", "1.0.0", describing("for many answers")), release("server-old", "1.0.0", describing("old answers")))
		w.says("bob", release("server-b", "1.0.0", describing("bob answers")))
		if !usersFirst {
			users()
		}
		w.expect(w.view(), map[string]string{
			"server":  "server-tools server-a server-b server-old",
			"answers": "server-tools server-a server-b server-old",
		})
		w.says("ann", &records.Notice{Name: "server-tools", NoticeOf: records.Deprecated, Range: "*", Text: "use another"})
		w.expect(w.view("ann"), map[string]string{"server": "server-a server-old server-tools", "server-tools": "server-tools"})
		// When they need it no more, it is as the others again.
		for i := range 8 {
			w.says("ann", release(records.Name(fmt.Sprintf("user%d", i)), "1.1.0"))
		}
		w.expect(w.view(), map[string]string{"answers": "server-a server-b server-old server-tools"})
	}
}

// TestX431Strangers shows SPEC X431: once the user believes somebody, names that only strangers sign are
// counted, and shown when asked for. What strangers say of a name that others sign too
// hides nothing.
func TestX431Strangers(t *testing.T) {
	w := newWorld(t, "ann", "bob")
	w.says("ann", release("left-pad", "1.0.0", describing("pads")))
	for i := range 60 {
		w.add("bob", true, release(records.Name(fmt.Sprintf("left-%03d", i)), "1.0.0", describing("pads too")))
	}
	w.add("bob", true, release("left-pad", "9.0.0", describing("evil")))
	if got := w.find("left", search.Options{Limit: 10}, w.view()); len(got.Names) != 10 || got.Hidden != 0 {
		t.Errorf("who trusts nobody sees %v", got)
	}
	for _, query := range []string{"left", "pads"} {
		if got := w.find(query, search.Options{Limit: 10}, w.view("ann")); joined(got.Names) != "left-pad" || got.Hidden < 30 {
			t.Errorf("%s: %v", query, got)
		}
		if got := w.find(query, search.Options{Limit: 10, All: true}, w.view("ann")); len(got.Names) != 10 || got.Names[0] != "left-pad" || got.Hidden != 0 {
			t.Errorf("%s, all: %v", query, got)
		}
	}
	if n, err := search.New(w.Index).Count(w.Context(), "left", w.view("ann")); n != 61 || err != nil {
		t.Errorf("%d names, %v", n, err)
	}
	if got := w.find("left-001", search.Options{}, w.view("ann")); joined(got.Names) != "left-001" {
		t.Errorf("a stranger's name: %v", got)
	}
	if err := w.Promote(t.Context(), w.keys["bob"].Key().Fingerprint()); err != nil {
		t.Fatal(err)
	}
	if got := w.find("pads", search.Options{Limit: 100}, w.view("ann", "bob")); len(got.Names) != 61 || got.Hidden != 0 {
		t.Errorf("once bob is believed: %v", got)
	}
}

// TestX432Filters shows SPEC X432: each narrows a search, and all together.
func TestX432Filters(t *testing.T) {
	w := newWorld(t, "ann", "bob")
	w.says("ann", release("http-server", "1.0.0", describing("serves", "static", "web server"), licensed("MIT"), needing("mime", "@acme/log")),
		release("@acme/http", "1.0.0", describing("serves"), licensed("(MIT OR Apache-2.0)")), release("mime", "1.0.0"))
	w.says("bob", release("http-proxy", "1.0.0", describing("passes on"), licensed("ISC"), needing("mime-db")))
	ann := w.keys["ann"].Key().Fingerprint()
	w.expect(w.view("ann", "bob"), map[string]string{
		"author:" + ann.String(): "mime @acme/http http-server", "http author:" + strings.ToLower(ann.String()[:12]): "@acme/http http-server",
		"author:bob@example.com": "http-proxy", "author:nobody": "", "keyword:static": "http-server", "keyword:web": "http-server", "keyword:serves": "",
		"scope:@acme": "@acme/http", "scope:acme": "@acme/http", "scope:ac": "", "license:mit": "@acme/http http-server", "license:apache-2.0": "@acme/http", "license:apache": "",
		"depends:mime": "http-server", "depends:@acme/log": "http-server", "depends:log": "", "http license:mit depends:mime": "http-server", "proxy license:mit": "",
		"license:": "", "other:http": "", `license:"`: "", "author:": "",
	})
	labelled, err := trust.Parse([]byte("key " + ann.String() + " * label=friend\n"))
	if err != nil {
		t.Fatal(err)
	}
	w.expect(trust.Inputs{User: labelled, Now: epoch, Load: authorlog.New(w.Index).Facts}.Evaluator(), map[string]string{"author:friend scope:acme": "@acme/http"})
}

// TestX430Suggestions: when nothing is found, names are suggested that may have been meant.
func TestX430Suggestions(t *testing.T) {
	w := newWorld(t, "ann")
	w.says("ann", release("express", "1.0.0"), release("left-pad", "1.0.0"))
	for query, want := range map[string]string{
		"expressjsx": "express", "expres of nothing": "express", "zzz": "", "lefxx": "left-pad", "express license:mit": "express",
	} {
		got := w.find(query, search.Options{}, w.view())
		if joined(got.Names) != "" || joined(got.Suggestions) != want {
			t.Errorf("%q: found %v, suggested %v, want %s", query, got.Names, got.Suggestions, want)
		}
	}
}

// TestX430Words: whole words in names, then anywhere, then words that go on, then words
// without their endings.
func TestX430Words(t *testing.T) {
	w := newWorld(t, "ann")
	w.says("ann", release("yaml", "1.0.0", describing("a parser")), release("parse-things", "1.0.0", describing("of yaml and others")), release("unrelated", "1.0.0"))
	w.expect(w.view(), map[string]string{"parse yaml": "parse-things yaml", "yaml parser": "yaml parse-things", "yaml parsers": "yaml parse-things", "things": "parse-things"})
	if got := w.find("parse yaml", search.Options{Limit: 1}, w.view()); !slices.Equal(got.Names, []records.Name{"parse-things"}) {
		t.Errorf("limited: %v", got)
	}
}
