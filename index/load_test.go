package index_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// A loadWorld is an index in which a few authors say many things of one another, and
// of names.
type loadWorld struct {
	*rand.Rand
	authors []*author
	said    []index.Item
}

var (
	loadNames  = []records.Name{"left-pad", "left-pads", "left", "right", "@acme/left", "@acme/x"}
	loadScopes = []records.Scope{"*", "left*", "left-pad*", "left-pad", "@acme/*", "@acme/left", "right"}
)

func newLoadWorld(t *testing.T, seed, index uint64) *loadWorld {
	w := &loadWorld{Rand: rand.New(rand.NewPCG(seed, index))}
	for k := range 8 {
		w.authors = append(w.authors, newAuthor(t, fmt.Sprint("author", k)))
	}
	w.say(w.authors[0], release("left-pad", "1.0.0", "left-pad"))
	for range 150 {
		w.talk()
	}
	return w
}

func (w *loadWorld) author() *author { return w.authors[w.IntN(len(w.authors))] }

// others returns two authors.
func (w *loadWorld) others() (a, b *author) {
	for a, b = w.author(), w.author(); a == b; {
		b = w.author()
	}
	return a, b
}

func (w *loadWorld) say(a *author, body records.Body) { w.said = append(w.said, a.says(body)) }

// talk has the authors say one more thing.
func (w *loadWorld) talk() {
	a, b := w.others()
	name, version := loadNames[w.IntN(len(loadNames))], records.Version(fmt.Sprintf("1.%d.0", w.IntN(2)))
	module := fmt.Sprint(name, version, w.IntN(8)/7) // seldom another one
	switch w.IntN(14) {
	case 10:
		w.say(a, &records.Tag{Name: name, Tag: []string{"latest", "next"}[w.IntN(2)], Version: version})
	case 11:
		w.say(a, &records.Notice{Name: name, NoticeOf: []string{records.Yanked, records.Deprecated}[w.IntN(2)], Range: "<=" + string(version), Text: "old"})
	case 0, 1, 2:
		d := &records.Delegate{To: b.fpr(), Depth: int64(w.IntN(4)), Until: start.AddDate(0, 0, 1+w.IntN(12)).Unix()}
		if w.IntN(8) > 0 {
			d.Scopes = []records.Scope{loadScopes[w.IntN(len(loadScopes))]}
		} else {
			d.Depth, d.Until = 0, 0
		}
		w.say(a, d)
	case 3:
		w.say(a, &records.Successor{To: b.fpr()})
		if w.IntN(4) > 0 {
			w.say(b, &records.Successor{From: a.fpr()})
		}
	case 4:
		w.say(a, &records.Endorse{Name: name, Version: version, Module: release(name, version, module).Module, Claim: records.Reviewed})
	case 5: // takes something back
		if of := w.said[w.IntN(len(w.said))]; of.Verified.Record().Author == a.fpr() {
			w.say(a, &records.Notice{Name: name, NoticeOf: records.Yanked, Record: of.Verified.ID(), Text: "a mistake"})
		}
	default:
		w.say(a, release(name, version, module))
	}
}

// file draws a trust file.
func (w *loadWorld) file(t *testing.T) *trust.Policy {
	var text strings.Builder
	for range 1 + w.IntN(5) {
		fmt.Fprintf(&text, "key %s %s depth=%d", w.author().fpr(), loadScopes[w.IntN(len(loadScopes))], w.IntN(4))
		if w.IntN(2) == 0 {
			text.WriteString(" follow=yes")
		}
		text.WriteString("\n")
	}
	for range w.IntN(4) {
		fmt.Fprintf(&text, "deny %s\n", w.author().fpr())
	}
	if w.IntN(3) == 0 {
		fmt.Fprintf(&text, "threshold 2 %s\n", loadScopes[w.IntN(len(loadScopes))])
	}
	if w.IntN(4) == 0 {
		name := loadNames[w.IntN(len(loadNames))]
		fmt.Fprintf(&text, "pin %s 1.0.0 %s\n", name, release(name, "1.0.0", fmt.Sprint(name, "1.0.0", 0)).Module)
	}
	p, err := trust.Parse([]byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// answers are all that an index says of the names.
func answers(ctx context.Context, x *index.Index, evaluator *trust.Evaluator, names []records.Name) (map[records.Name][]any, error) {
	all := map[records.Name][]any{}
	for _, name := range names {
		info, err := resolve.New(x).Info(ctx, name, "", evaluator, true)
		if err != nil && !errors.As(err, new(*resolve.NotFoundError)) {
			return nil, err
		}
		res, err := resolve.New(x).Resolve(ctx, name, "", evaluator)
		ruling, failed := evaluator.Ruling(ctx, name)
		if failed != nil {
			return nil, failed
		}
		all[name] = []any{info, res, fmt.Sprint(err), ruling.Deciders()}
	}
	return all, nil
}

// TestLoadedFactsOfIndex is that an index answers the same of every name, whether an
// evaluator reads what it needs or was given all that the index knows of any key: in 24
// trust files over 4 indexes (ES_FULL: 1,000 over 20), some keys revoked, names asked for in
// random order by three goroutines. When it cannot read it gives no answer.
func TestLoadedFactsOfIndex(t *testing.T) {
	indexes, files := 4, 6
	if full {
		indexes, files = 20, 50
	}
	states := map[trust.State]int{}
	for i := range indexes {
		w := newLoadWorld(t, 19, uint64(i))
		x := open(t)
		add(t, x, w.said...)
		if _, _, err := x.AddKey(t.Context(), w.authors[1].revoked(packet.KeyCompromised, start.Add(time.Hour))); err != nil {
			t.Fatal(err)
		}
		everybody := must[[]records.Fingerprint](t)(x.AllKeys(t.Context()))
		facts := must[trust.Facts](t)(authorlog.New(x).Facts(t.Context(), everybody))
		for range files {
			in := trust.Inputs{User: w.file(t), Now: start.AddDate(0, 0, 5), Facts: facts, Own: []records.Fingerprint{w.author().fpr()}}
			if w.IntN(2) == 0 {
				in.Own = nil
			}
			want := must[map[records.Name][]any](t)(answers(t.Context(), x, in.Evaluator(), loadNames))
			for _, a := range want {
				for _, v := range a[0].(resolve.Info).Versions {
					states[v.Decision.State]++
				}
			}
			w.compare(t, x, in, want)
		}
	}
	for _, s := range []trust.State{trust.Trusted, trust.Untrusted, trust.Denied, trust.Conflict, trust.Equivocation} {
		if states[s] == 0 {
			t.Errorf("nothing is %v: %v", s, states)
		}
	}
}

func (w *loadWorld) compare(t *testing.T, x *index.Index, in trust.Inputs, want map[records.Name][]any) {
	t.Helper()
	in.Facts = trust.Facts{}
	broken := errors.New("cannot read")
	in.Load = func(context.Context, []records.Fingerprint) (trust.Facts, error) { return trust.Facts{}, broken }
	for _, name := range loadNames {
		evaluator := in.Evaluator()
		info, err := resolve.New(x).Info(t.Context(), name, "", evaluator, true)
		if _, wanted := evaluator.Ruling(t.Context(), name); wanted != nil {
			if _, failed := resolve.New(x).Resolve(t.Context(), name, "", evaluator); !errors.Is(err, broken) || !errors.Is(failed, broken) {
				t.Fatalf("%s\n%s: %+v, %v, %v though facts cannot be read", in.User.Bytes(), name, info, err, failed)
			}
		} else if !reflect.DeepEqual(info, want[name][0]) { // no line speaks of it
			t.Fatalf("%s\n%s: %+v, %v, want %+v", in.User.Bytes(), name, info, err, want[name][0])
		}
	}
	in.Load = authorlog.New(x).Facts
	evaluator := in.Evaluator()
	var wg sync.WaitGroup
	for range 3 {
		names := slices.Clone(loadNames)
		w.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		wg.Go(func() {
			if got, err := answers(t.Context(), x, evaluator, names); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s\ngot  %+v, %v\nwant %+v", in.User.Bytes(), got, err, want)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// chosen is what a resolution says, besides what others add to a large name.
func chosen(r resolve.Resolution, err error) []any {
	// What others endorse is not read of a large name, nor shown as by whom a pin holds.
	outcome := func(d trust.Decision) trust.Decision {
		d.Claims = slices.DeleteFunc(slices.Clone(d.Claims), func(c trust.Verdict) bool {
			return c.Via == nil && (c.Effect != trust.Pinned || c.Endorse != "")
		})
		if d.Pin != 0 {
			d.By = slices.DeleteFunc(slices.Clone(d.By), func(key records.Fingerprint) bool {
				return !slices.ContainsFunc(d.Claims, func(c trust.Verdict) bool { return c.Author == key && c.Effect == trust.Pinned })
			})
		}
		d.Agree, d.Differ = 0, 0
		return d
	}
	all := []any{r.Version, r.Release, outcome(r.Decision), r.Notices.Yanked, r.Notices.Deprecated, err}
	for _, s := range r.Skipped {
		all = append(all, s.Version, outcome(s.Decision), s.Yanked)
	}
	return all
}

// TestLargeName is that a name resolves the same when only what deciders say is read, in
// 16 trust files over 4 indexes (ES_FULL: 1,000 over 20), by all kinds of
// constraints, refusals included.
func TestLargeName(t *testing.T) {
	indexes, files := 4, 4
	if full {
		indexes, files = 20, 50
	}
	outcomes := map[string]int{}
	for i := range indexes {
		w := newLoadWorld(t, 23, uint64(i))
		x := open(t)
		add(t, x, w.said...)
		for range files {
			evaluator := trust.Inputs{User: w.file(t), Now: start.AddDate(0, 0, 5), Load: authorlog.New(x).Facts}.Evaluator()
			for _, name := range loadNames {
				for _, constraint := range []string{"", "next", "^1.0.0", "1.0.0", "1.1.0", "2.0.0"} {
					r := resolve.New(x)
					r.LargeName = 1_000_000
					want := chosen(r.Resolve(t.Context(), name, constraint, evaluator))
					r.LargeName = 0
					if got := chosen(r.Resolve(t.Context(), name, constraint, evaluator)); !reflect.DeepEqual(got, want) {
						t.Fatalf("%s@%s\ngot  %+v\nwant %+v", name, constraint, got, want)
					}
					outcomes[fmt.Sprintf("%T, %d skipped", want[5], (len(want)-6)/3)]++
				}
			}
		}
	}
	for _, o := range []string{"<nil>, 0 skipped", "<nil>, 1 skipped", "*resolve.UntrustedError, 0 skipped", "*resolve.ConflictError, 0 skipped"} {
		if outcomes[o] == 0 {
			t.Errorf("never %s: %v", o, outcomes)
		}
	}
}

// TestLargeNameReleases is that a version which only a stranger released is still in
// conflict when those who decide endorse different modules of it.
func TestLargeNameReleases(t *testing.T) {
	x := open(t)
	a, b, stranger := newAuthor(t, "ann"), newAuthor(t, "bob"), newAuthor(t, "stranger")
	one, other := release("left-pad", "1.1.0", "one"), release("left-pad", "1.1.0", "other")
	add(t, x, a.says(release("left-pad", "1.0.0", "old")), stranger.says(one))
	for by, r := range map[*author]*records.Release{a: one, b: other} {
		add(t, x, by.says(&records.Endorse{Name: "left-pad", Version: "1.1.0", Module: r.Module, Claim: records.Reviewed}))
	}
	for _, largeName := range []int{0, 1000} {
		resolver := resolve.New(x)
		resolver.LargeName = largeName
		r, err := resolver.Resolve(t.Context(), "left-pad", "", trusting(t, a, b))
		if err != nil || r.Version != "1.0.0" || len(r.Skipped) != 1 || r.Skipped[0].Decision.State != trust.Conflict {
			t.Errorf("large from %d: %v %+v, %v", largeName, r.Version, r.Skipped, err)
		}
	}
}

// BenchmarkLargeName resolves a name that 2,000 claims by strangers are about, or 100,000
// with ES_FULL=1, half of them about the version that is chosen: with and without
// reading them.
func BenchmarkLargeName(b *testing.B) {
	total := 2000
	if full {
		total = 100_000
	}
	x := open(b)
	ann := newAuthor(b, "ann")
	items := []index.Item{ann.says(release("left-pad", "1.0.0", "ann's"))}
	for i := range total / 100 {
		stranger := newAuthor(b, fmt.Sprint("stranger", i))
		for n := range 100 {
			version := records.Version("1.0.0")
			if n >= 50 {
				version = records.Version(fmt.Sprintf("2.%d.0", n))
			}
			items = append(items, stranger.says(release("left-pad", version, fmt.Sprint(i, n))))
		}
		if _, err := x.AddAll(b.Context(), items); err != nil {
			b.Fatal(err)
		}
		items = nil
	}
	ev := trusting(b, ann)
	for _, c := range []struct {
		what       string
		largeName  int
		constraint string
	}{{"resolve", 1000, ""}, {"resolve-exact", 1000, "1.0.0"}, {"reading-all", 1 << 30, ""}} {
		b.Run(fmt.Sprintf("claims=%d/%s", total, c.what), func(b *testing.B) {
			resolver := resolve.New(x)
			resolver.LargeName = c.largeName
			for b.Loop() {
				if r, err := resolver.Resolve(b.Context(), "left-pad", c.constraint, ev); err != nil || r.Version != "1.0.0" {
					b.Fatal(r.Version, err)
				}
			}
		})
	}
}
