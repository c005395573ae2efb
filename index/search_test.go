package index_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/fsck"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/index/search"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

func searched(t *testing.T, x *index.Index, query string, limit int, ev *trust.Evaluator) []string {
	t.Helper()
	var names []string
	for _, n := range must[search.Found](t)(search.New(x).Search(t.Context(), query, search.Options{Limit: limit, All: true}, ev)).Names {
		names = append(names, string(n))
	}
	return names
}

// hits describes all that a search finds.
func hits(t *testing.T, x *index.Index, query string, limit int, ev *trust.Evaluator) (all []search.Hit) {
	t.Helper()
	for _, n := range must[search.Found](t)(search.New(x).Search(t.Context(), query, search.Options{Limit: limit, All: true}, ev)).Names {
		all = append(all, must[search.Hit](t)(search.New(x).Describe(t.Context(), n, ev)))
	}
	return all
}

func TestSearchRanking(t *testing.T) {
	x, a, b := open(t), newAuthor(t, "ann"), newAuthor(t, "bob")
	for _, r := range []*records.Release{
		described("http", "1.0.0", "the protocol"),
		described("@acme/http", "1.0.0", "ours"),
		described("http-server", "1.0.0", "serves files over the web", "static"),
		described("httpie", "1.0.0", "a client"),
		described("@acme/http-tools", "1.0.0", "tools"),
		described("left-pad", "1.0.0", "pads strings on the left", "string", "pad"),
		described("wget", "1.0.0", "fetches http resources"),
	} {
		add(t, x, b.says(r))
	}
	add(t, x, a.says(described("curl", "1.0.0", "fetches with many protocols, http among them")))
	add(t, x, a.says(described("http2", "1.0.0", "the second protocol")))
	trusted := trusting(t, a)
	for _, c := range []struct {
		query string
		want  string
	}{
		{"http", "http @acme/http http2 httpie http-server @acme/http-tools curl wget"},
		{"  HTTP ", "http @acme/http http2 httpie http-server @acme/http-tools curl wget"},
		{"@acme/http", "@acme/http @acme/http-tools"},
		{"http-s", "http-server"},
		{"serv", "http-server"},
		{"server http", "http-server"},
		{"left pad", "left-pad"},
		{"pad string", "left-pad"},
		{"static", "http-server"},
		{"stat", "http-server"},
		{"st", ""}, // too short for a word's beginning, and no name's
		{"le", "left-pad"},
		{"fetches", "curl wget"},
		{"files tools", ""},
		{"none", ""},
	} {
		if got := strings.Join(searched(t, x, c.query, 100, trusted), " "); got != c.want {
			t.Errorf("%q: got  %s\nwant %s", c.query, got, c.want)
		}
	}
	if got := searched(t, x, "http", 3, trusted); !slices.Equal(got, []string{"http", "@acme/http", "http2"}) {
		t.Errorf("limited: %v", got)
	}
	if got := searched(t, x, "http", 0, trusted); got != nil {
		t.Errorf("limit 0: %v", got)
	}
}

func TestSearchShows(t *testing.T) {
	x, a, b := open(t), newAuthor(t, "ann"), newAuthor(t, "bob")
	add(t, x, early(a.says(described("left-pad", "1.0.0", "old"))), a.says(described("left-pad", "1.1.0", "good")),
		a.says(described("left-pad", "2.0.0-rc.1", "early")), b.says(described("left-pad", "99.0.0", "evil")))
	one := func(ev *trust.Evaluator) search.Hit {
		t.Helper()
		hits := hits(t, x, "left-pad", 10, ev)
		if len(hits) != 1 {
			t.Fatalf("hits %+v", hits)
		}
		return hits[0]
	}
	if h := one(trusting(t, a)); h.Release.Body.Version != "1.1.0" || h.Release.Body.Manifest.Description != "good" || h.Label != "ann" ||
		h.Decision.State != trust.Trusted || h.Keys != 2 {
		t.Errorf("trusted: %+v", h)
	}
	if h := one(evaluatorOf(t, "")); h.Release.Body.Version != "1.1.0" || h.Release.Author != a.fpr() || h.Decision.State != trust.Untrusted || h.Label != "" {
		t.Errorf("untrusted: %+v", h)
	}
	add(t, x, a.says(&records.Tag{Name: "left-pad", Tag: "latest", Version: "1.0.0"}))
	if h := one(trusting(t, a)); h.Release.Body.Version != "1.0.0" {
		t.Errorf("with a tag: %+v", h)
	}
	// The words of the newest release count, whatever came last.
	add(t, x, a.says(described("left-pad", "0.9.0", "ancient")))
	if got := searched(t, x, "ancient", 10, trusting(t, a)); len(got) != 0 {
		t.Errorf("found by an old release: %v", got)
	}
	if got := searched(t, x, "good", 10, trusting(t, a)); len(got) != 1 {
		t.Errorf("not found by the newest release: %v", got)
	}
	if _, _, err := x.AddKey(t.Context(), b.revoked(packet.KeyCompromised, b.now)); err != nil {
		t.Fatal(err)
	}
	if h := one(evaluatorOf(t, "")); h.Release.Author != a.fpr() || h.Keys != 1 {
		t.Errorf("with a revoked key: %+v", h)
	}
	if _, _, err := x.AddKey(t.Context(), a.revoked(packet.KeyCompromised, a.now)); err != nil {
		t.Fatal(err)
	}
	if got := searched(t, x, "left-pad", 10, trusting(t, a)); len(got) != 0 {
		t.Errorf("with revoked keys: %v", got)
	}
}

// TestSearchHostile: a query is text and nothing else.
func TestSearchHostile(t *testing.T) {
	x, a := open(t), newAuthor(t, "ann")
	add(t, x, a.says(described("left-pad", "1.0.0", "pads 100% of 'strings' AND more")), a.says(described("right-pad", "1.0.0", "pads")))
	before := must[index.Counts](t)(x.Counts(t.Context()))
	hostile := []string{
		"", " ", "\x00", "\xff\xfe", "\"", "\"\"", "'", "''", ";", "*", "**", "%", "_", "l%", "left_pad", "left-pad%", "\\", "(", ")", "()", "-", "--", "^", "^left", ":", "name:left",
		"{name description}: left", "left AND", "AND", "OR", "NOT", "left NOT pad", "NEAR(left pad)", "NEAR(", "left*", "\"left\"*", "left + pad", "\"left\" OR \"right\"",
		"'; DROP TABLE records; --", "x' OR '1'='1", "\u202eleft", "l\u200beft", "\U0001F4A9", "@", "@/", "@a", "/", "//", "../../etc/passwd", "?1", "$1", ":a",
		strings.Repeat("a", 100_000), strings.Repeat("\"", 10_000), strings.Repeat("a ", 10_000), strings.Repeat("(", 5000), strings.Repeat("é", 128), strings.Repeat("a", 255) + "é",
	}
	for _, q := range hostile {
		for _, q := range []string{q, "left" + q, q + "left", "left " + q + " pad"} {
			if _, err := search.New(x).Search(t.Context(), q, search.Options{Limit: 10, All: true}, trusting(t, a)); err != nil {
				t.Errorf("%.40q: %v", q, err)
			}
		}
	}
	for q, want := range map[string][]string{
		"left NOT pad":             nil, // asks for the word "not"
		"right OR left":            nil,
		"name:left":                nil,
		"strings AND more":         {"left-pad"},
		"%":                        nil,
		"left_pad":                 {"left-pad"},
		"\x00left-pad":             {"left-pad"},
		"'; DROP TABLE records;--": nil,
	} {
		if got := searched(t, x, q, 10, trusting(t, a)); !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", q, got, want)
		}
	}
	if after := must[index.Counts](t)(x.Counts(t.Context())); after != before {
		t.Errorf("counts changed: %+v, %+v", before, after)
	}
	if err := fsck.Check(t.Context(), x); err != nil {
		t.Error(err)
	}
}

func FuzzSearch(f *testing.F) {
	for _, q := range []string{"left", "left-pad", "\"left\"*", "NEAR(a b)", "@acme/x", "é\x00"} {
		f.Add(q)
	}
	x, a := open(f), newAuthor(f, "ann")
	add(f, x, a.says(described("left-pad", "1.0.0", "pads strings", "pad")))
	ev := trusting(f, a)
	f.Fuzz(func(t *testing.T, q string) {
		if _, err := search.New(x).Search(t.Context(), q, search.Options{Limit: 10, All: true}, ev); err != nil {
			t.Fatal(err)
		}
	})
}

func TestInfo(t *testing.T) {
	x, a, b := open(t), newAuthor(t, "ann"), newAuthor(t, "bob")
	var none *resolve.NotFoundError
	if _, err := resolve.New(x).Info(t.Context(), "left-pad", "", trusting(t, a), false); !errors.As(err, &none) || none.Name != "left-pad" {
		t.Errorf("got %v", err)
	}
	for _, v := range []records.Version{"1.0.0", "10.0.0", "2.0.0", "11.0.0-rc.1"} {
		add(t, x, a.says(release("left-pad", v, string(v))))
	}
	add(t, x, b.says(release("left-pad", "2.0.0", "2.0.0")), b.says(release("left-pad", "3.0.0", "evil")))
	info := must[resolve.Info](t)(resolve.New(x).Info(t.Context(), "left-pad", "", trusting(t, a), false))
	var versions []string
	for _, v := range info.Versions {
		versions = append(versions, fmt.Sprint(v.Version, " ", v.Decision.State, " ", len(v.Releases)))
	}
	if want := []string{"10.0.0 trusted 1", "2.0.0 trusted 2", "1.0.0 trusted 1", "11.0.0-rc.1 trusted 1", "3.0.0 untrusted 1"}; !slices.Equal(versions, want) {
		t.Errorf("versions %q", versions)
	}
	if info.Latest != "10.0.0" {
		t.Errorf("latest %s", info.Latest)
	}
}

// TestX6Resolve shows SPEC X6.
func TestX6Resolve(t *testing.T) {
	x, a, b, c := open(t), newAuthor(t, "ann"), newAuthor(t, "bob"), newAuthor(t, "cat")
	say := func(who *author, name records.Name, versions ...records.Version) {
		for _, v := range versions {
			add(t, x, who.says(release(name, v, string(name)+string(v))))
		}
	}
	tag := func(who *author, name records.Name, tag string, v records.Version) {
		add(t, x, who.says(&records.Tag{Name: name, Tag: tag, Version: v}))
	}
	say(a, "plain", "1.0.0", "1.2.0", "1.10.0", "2.0.0-rc.1", "0.9.0")
	say(b, "plain", "9.0.0", "1.11.0")
	say(a, "tagged", "1.0.0", "1.1.0", "2.0.0", "3.0.0-beta.1")
	tag(a, "tagged", "latest", "1.1.0")
	tag(a, "tagged", "next", "3.0.0-beta.1")
	tag(a, "tagged", "gone", "7.0.0")
	tag(b, "tagged", "latest", "2.0.0") // a stranger's
	tag(b, "tagged", "evil", "1.0.0")
	say(a, "early", "1.0.0-alpha.1", "1.0.0-alpha.2")
	say(b, "theirs", "1.0.0", "1.1.0")
	tag(b, "theirs", "beta", "1.0.0")
	say(a, "torn", "1.0.0", "1.1.0")
	add(t, x, c.says(release("torn", "1.1.0", "other")))
	say(a, "frozen", "1.0.0", "1.1.0")
	add(t, x, a.says(release("frozen", "1.1.0", "other")))
	say(a, "behind", "1.0.0", "3.0.0")
	tag(a, "behind", "latest", "2.0.0") // which has not arrived
	trusted := trusting(t, a, c)
	for _, k := range []struct {
		name       records.Name
		constraint string
		want       string // version, or the error's type
	}{
		{"plain", "", "1.10.0"}, {"plain", "latest", "1.10.0"}, {"plain", "*", "1.10.0"}, {"plain", "x", "1.10.0"},
		{"plain", "1.2.0", "1.2.0"}, {"plain", "=1.2.0", "1.2.0"}, {"plain", "v1.2.0", "1.2.0"}, {"plain", " 1.2.0 ", "1.2.0"},
		{"plain", "^1.0.0", "1.10.0"}, {"plain", "~1.2", "1.2.0"}, {"plain", "<1", "0.9.0"}, {"plain", "1 - 1.5", "1.2.0"},
		{"plain", ">=0.9 <1.2 || 1.2.0", "1.2.0"}, {"plain", "^2.0.0-rc.0", "2.0.0-rc.1"}, {"plain", "2.0.0-rc.1", "2.0.0-rc.1"},
		{"plain", ">=2", "untrusted"}, {"plain", "9.0.0", "untrusted"}, {"plain", "^3", "not found"}, {"plain", "1.0.1", "not found"},
		{"plain", "next", "not found"}, {"nothing", "", "not found"}, {"nothing", "^1", "not found"},
		{"plain", "not a range", "constraint"}, {"plain", "git+https://example.com/x", "constraint"}, {"plain", strings.Repeat("1 ", 1000), "constraint"},
		{"tagged", "", "1.1.0"}, {"tagged", "latest", "1.1.0"}, {"tagged", "next", "3.0.0-beta.1"}, {"tagged", "*", "1.1.0"}, {"tagged", ">=1.0.0", "1.1.0"},
		{"tagged", "^2", "2.0.0"}, {"tagged", "gone", "not found"}, {"tagged", "evil", "not found"},
		{"early", "", "1.0.0-alpha.2"}, {"early", "*", "1.0.0-alpha.2"}, {"early", ">=0", "not found"},
		{"theirs", "", "untrusted"}, {"theirs", "1.0.0", "untrusted"}, {"theirs", "beta", "untrusted"}, {"theirs", "^2", "not found"},
		{"torn", "", "1.0.0 skipped 1.1.0"}, {"torn", "^1", "1.0.0 skipped 1.1.0"}, {"torn", "1.1.0", "conflict"}, {"torn", ">1.0.0", "conflict"},
		{"frozen", "", "1.0.0 skipped 1.1.0"}, {"frozen", "1.1.0", "equivocation"},
		{"behind", "", "1.0.0"}, {"behind", ">1", "3.0.0"},
	} {
		r, err := resolve.New(x).Resolve(t.Context(), k.name, k.constraint, trusted)
		got := string(r.Version)
		for _, s := range r.Skipped {
			got += " skipped " + string(s.Version)
		}
		var (
			none       *resolve.NotFoundError
			stranger   *resolve.UntrustedError
			conflict   *resolve.ConflictError
			eq         *resolve.EquivocationError
			constraint *resolve.ConstraintError
		)
		switch {
		case err == nil:
			if r.Release.Body.Version != r.Version || r.Release.Body.Name != k.name || r.Decision.State != trust.Trusted || r.Decision.Module != r.Release.Body.Module {
				t.Errorf("%s@%s: resolution %+v", k.name, k.constraint, r)
			}
		case errors.As(err, &none):
			got = "not found"
		case errors.As(err, &stranger):
			got = "untrusted"
			if len(stranger.Signers) != 1 || stranger.Signers[0].Key != b.fpr() || stranger.Signers[0].UserID == "" {
				t.Errorf("%s@%s: signers %+v", k.name, k.constraint, stranger.Signers)
			}
		case errors.As(err, &conflict):
			got = "conflict"
		case errors.As(err, &eq):
			got = "equivocation"
			if eq.Author != a.fpr() {
				t.Errorf("frozen by %s", eq.Author)
			}
		case errors.As(err, &constraint):
			got = "constraint"
		default:
			t.Errorf("%s@%s: %v", k.name, k.constraint, err)
		}
		if got != k.want {
			t.Errorf("%s@%.40s: got %q, want %q (%v)", k.name, k.constraint, got, k.want, err)
		}
	}
	if _, err := resolve.New(x).Resolve(t.Context(), "plain", "^3", trusted); err == nil || err.Error() != `no version of plain matches "^3"; the newest is 1.10.0` {
		t.Errorf("message: %v", err)
	}
}

// TestX3RemovedTag shows SPEC X3 and X6: a tag that was taken away, or whose version is
// not here, is missing; no key was revoked by that.
func TestX3RemovedTag(t *testing.T) {
	x, a, b := open(t), newAuthor(t, "ann"), newAuthor(t, "bob")
	say := func(who *author, body records.Body) { add(t, x, who.says(body)) }
	say(a, release("lib", "1.0.0", "X"))
	say(b, release("lib", "1.1.0", "Y"))
	for _, tag := range []string{"next", "latest", "both"} {
		say(a, &records.Tag{Name: "lib", Tag: tag, Version: "1.0.0"})
		say(a, &records.Tag{Name: "lib", Tag: tag})
	}
	say(a, &records.Tag{Name: "lib", Tag: "soon", Version: "2.0.0"})
	say(b, &records.Tag{Name: "lib", Tag: "both"})
	say(b, &records.Tag{Name: "lib", Tag: "theirs"})
	say(b, &records.Tag{Name: "lib", Tag: "soon", Version: "1.1.0"})
	say(b, &records.Tag{Name: "lib", Tag: "unborn", Version: "9.0.0"})
	for _, c := range []struct{ tag, want string }{
		{"next", "lib has no tag next; its newest version is 1.0.0"},
		{"both", "lib has no tag both; its newest version is 1.0.0"},
		{"theirs", "lib has no tag theirs; its newest version is 1.0.0"},
		{"never", "lib has no tag never; its newest version is 1.0.0"},
		{"unborn", "lib has no tag unborn; its newest version is 1.0.0"},
		{"soon", "tag soon of lib is version 2.0.0, which has not come here yet"},
		{" next ", "lib has no tag next; its newest version is 1.0.0"},
	} {
		_, err := resolve.New(x).Resolve(t.Context(), "lib", c.tag, trusting(t, a))
		var none *resolve.NotFoundError
		if !errors.As(err, &none) || none.Invalid != nil || err.Error() != c.want {
			t.Errorf("%q: %v", c.tag, err)
		}
	}
	if r, err := resolve.New(x).Resolve(t.Context(), "lib", "latest", trusting(t, a)); err != nil || r.Version != "1.0.0" {
		t.Errorf("without latest: %s, %v", r.Version, err)
	}
}

// TestX6ResolveByOrder: the answer does not depend on the order of arrival.
func TestX6ResolveByOrder(t *testing.T) {
	a, b := newAuthor(t, "ann"), newAuthor(t, "bob")
	items := []index.Item{
		a.says(release("left-pad", "1.0.0", "X")), a.says(release("left-pad", "1.1.0", "Y")), a.says(&records.Tag{Name: "left-pad", Tag: "latest", Version: "1.0.0"}),
		b.says(release("left-pad", "1.1.0", "Z")), b.says(release("left-pad", "1.0.0", "X")),
	}
	var want []any
	n := 0
	orders(len(items), func(p []int) {
		if n++; n%7 != 1 { // a slice of the 120
			return
		}
		x := open(t)
		for _, i := range p {
			add(t, x, items[i])
		}
		var got []any
		for _, ev := range []*trust.Evaluator{trusting(t, a), trusting(t, b), trusting(t, a, b), evaluatorOf(t, "")} {
			for _, c := range []string{"", "^1.0.0", "1.1.0"} {
				r, err := resolve.New(x).Resolve(t.Context(), "left-pad", c, ev)
				r.Release.Order = 0
				got = append(got, r, fmt.Sprint(err))
			}
		}
		if want == nil {
			want = got
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%v:\ngot  %+v\nwant %+v", p, got, want)
		}
	})
}
