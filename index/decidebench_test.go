package index_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/index/search"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

var benchHome = flag.String("home", "", "where BenchmarkDecide leaves a home with its index and trust file")

// BenchmarkDecide asks for names by trust files of many keys, each of which delegates
// over three levels, in an index of many records: 20 keys and 400 records, or up to
// 1,000 keys (4,000 with those that they delegate to) and 100,000 records with
// ES_FULL=1.
//
// "first" is all that a command does for one name once the index is open: it reads
// the trust file, makes an evaluator of it and resolves the name, over connections
// that were never used. "next" is another name after that, "again" the same; "300-names"
// is one command that asks for so many, "search" one that judges the hundred or
// more names that it finds.
func BenchmarkDecide(b *testing.B) {
	all, sizes := 20, []int{400}
	if os.Getenv("ES_FULL") != "" {
		all, sizes = 1000, []int{1000, 10_000, 100_000}
	}
	dir := *benchHome
	if dir == "" {
		dir = b.TempDir()
	}
	w := &decideWorld{path: filepath.Join(dir, "index.db"), scope: "team%d-*"}
	for _, size := range sizes {
		w.grow(b, all, size)
		for keys := min(10, all); keys <= all; keys *= 10 {
			for levels := range 4 {
				w.bench(b, fmt.Sprintf("records=%d/keys=%d/levels=%d", size, keys, levels), w.file(keys, levels, w.scope))
			}
		}
		w.bench(b, fmt.Sprintf("records=%d/keys=%d/levels=3/lines=all-names", size, all), w.file(all, 3, "*"))
	}
	if *benchHome != "" {
		if err := os.WriteFile(filepath.Join(dir, "trust"), []byte(w.file(all, 3, w.scope)), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	// Everybody decides about everything: what no design makes cheap.
	w = &decideWorld{path: filepath.Join(b.TempDir(), "index.db"), scope: "*"}
	w.grow(b, all, sizes[0])
	w.bench(b, fmt.Sprintf("records=%d/keys=%d/levels=3/lines=all-names,delegations=all-names", sizes[0], all), w.file(all, 3, "*"))
}

// A decideWorld is an index that grows: chains of a key and three levels of delegates,
// whose names have ten versions, by all of a chain in turn.
type decideWorld struct {
	path    string
	scope   string // of lines and delegations, with the number of the chain in it
	chains  [][]*author
	records int
}

func (w *decideWorld) file(keys, levels int, scope string) string {
	var file strings.Builder
	for i := range keys {
		fmt.Fprintf(&file, "key %s %s label=\"team %d\" depth=%d\n", w.chains[i][0].fpr(), scopeOf(scope, i), i, levels)
	}
	return file.String()
}

func scopeOf(pattern string, i int) string {
	return strings.ReplaceAll(pattern, "%d", fmt.Sprint(i))
}

func (w *decideWorld) grow(b *testing.B, keys, total int) {
	b.Helper()
	x, err := index.Open(b.Context(), w.path)
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	var batch []index.Item
	flush := func() {
		if _, err := x.AddAll(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		batch = nil
	}
	say := func(it index.Item) {
		if batch = append(batch, it); len(batch) == 500 {
			flush()
		}
	}
	until := start.AddDate(100, 0, 0).Unix()
	for i := len(w.chains); i < keys; i++ {
		chain := []*author{newAuthor(b, fmt.Sprint("k", i)), newAuthor(b, "a"), newAuthor(b, "b"), newAuthor(b, "c")}
		scope := records.Scope(scopeOf(w.scope, i))
		for level := range 3 {
			say(chain[level].says(&records.Delegate{To: chain[level+1].fpr(), Scopes: []records.Scope{scope}, Depth: int64(2 - level), Until: until}))
		}
		w.chains = append(w.chains, chain)
	}
	for ; w.records < total; w.records++ {
		team, n := w.records%keys, w.records/keys
		name, version := records.Name(fmt.Sprintf("team%d-module%d", team, n/10)), records.Version(fmt.Sprintf("1.%d.0", n%10))
		say(w.chains[team][n%4].says(release(name, version, fmt.Sprint(w.records))))
	}
	if len(batch) > 0 {
		flush()
	}
}

func (w *decideWorld) bench(b *testing.B, what, file string) {
	keys := strings.Count(file, "\n")
	name := func(i int) records.Name { return records.Name(fmt.Sprintf("team%d-module0", i%keys)) }
	first := func(b *testing.B, x *index.Index, i int) *trust.Evaluator {
		p, err := trust.Parse([]byte(file))
		if err != nil {
			b.Fatal(err)
		}
		evaluator := trust.Inputs{User: p, Now: start, Load: authorlog.New(x).Facts}.Evaluator()
		w.resolve(b, x, name(i), evaluator)
		return evaluator
	}
	b.Run(what+"/first", func(b *testing.B) {
		var used time.Duration
		for i := range b.N {
			b.StopTimer()
			x, err := index.Open(b.Context(), w.path)
			if err != nil {
				b.Fatal(err)
			}
			began := cpuTime()
			b.StartTimer()
			first(b, x, i)
			b.StopTimer()
			used += cpuTime() - began
			x.Close()
			b.StartTimer()
		}
		reportCPU(b, used)
	})
	x, err := index.Open(b.Context(), w.path)
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	run := func(kind string, prepare func(b *testing.B) *trust.Evaluator, op func(b *testing.B, evaluator *trust.Evaluator, i int)) {
		b.Run(what+"/"+kind, func(b *testing.B) {
			evaluator := prepare(b)
			began := cpuTime()
			b.ResetTimer()
			for i := range b.N {
				op(b, evaluator, i)
			}
			reportCPU(b, cpuTime()-began)
		})
	}
	none := func(*testing.B) *trust.Evaluator { return nil }
	begin := func(b *testing.B) *trust.Evaluator { return first(b, x, 0) }
	run("next", begin, func(b *testing.B, evaluator *trust.Evaluator, i int) { w.resolve(b, x, name(i+1), evaluator) })
	run("again", begin, func(b *testing.B, evaluator *trust.Evaluator, i int) { w.resolve(b, x, name(0), evaluator) })
	if keys == 10 || !strings.Contains(what, "levels=3") {
		return
	}
	run("300-names", none, func(b *testing.B, _ *trust.Evaluator, i int) {
		evaluator := first(b, x, 300*i)
		for n := 1; n < 300; n++ {
			w.resolve(b, x, name(300*i+n), evaluator)
		}
	})
	run("search", none, func(b *testing.B, _ *trust.Evaluator, i int) {
		view := first(b, x, i)
		found, err := search.New(x).Search(b.Context(), "team", search.Options{Limit: 20}, view)
		if err != nil || len(found.Names) != 20 {
			b.Fatal(len(found.Names), err)
		}
		for _, n := range found.Names {
			if _, err := search.New(x).Describe(b.Context(), n, view); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func (w *decideWorld) resolve(b *testing.B, x *index.Index, name records.Name, evaluator *trust.Evaluator) {
	if r, err := resolve.New(x).Resolve(context.Background(), name, "^1.0.0", evaluator); err != nil || r.Decision.State != trust.Trusted {
		b.Fatal(name, r.Version, err)
	}
}

func reportCPU(b *testing.B, used time.Duration) {
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-us/op")
}
