package index_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// BenchmarkDecideAll asks what a name is when a trust file has many keys, each of
// which delegates over three levels: 30 keys and 900 records, or 1,000 keys and
// 100,000 records with ES_FULL=1. "view" is what a command pays once, "resolve"
// what it pays for each name.
func BenchmarkDecideAll(b *testing.B) {
	sizes := [][2]int{{30, 900}}
	if os.Getenv("ES_FULL") != "" {
		sizes = [][2]int{{100, 10_000}, {1000, 10_000}, {1000, 100_000}}
	}
	for _, size := range sizes {
		b.Run(fmt.Sprintf("keys=%d/records=%d", size[0], size[1]), func(b *testing.B) { benchDecide(b, size[0], size[1]) })
	}
}

func benchDecide(b *testing.B, keys, total int) {
	ctx := b.Context()
	x := open(b)
	var file strings.Builder
	var batch []index.Item
	flush := func() {
		if _, err := x.AddAll(ctx, batch); err != nil {
			b.Fatal(err)
		}
		batch = nil
	}
	say := func(it index.Item) {
		if batch = append(batch, it); len(batch) == 500 {
			flush()
		}
	}
	until := start.AddDate(1, 0, 0).Unix()
	for i := range keys {
		// A chain of four keys: a line, and three delegations.
		chain := []*author{newAuthor(b, fmt.Sprintf("k%d", i)), newAuthor(b, "a"), newAuthor(b, "b"), newAuthor(b, "c")}
		scope := records.Scope(fmt.Sprintf("team%d-*", i))
		fmt.Fprintf(&file, "key %s %s depth=3\n", chain[0].fpr(), scope)
		for level := range 3 {
			say(chain[level].says(&records.Delegate{To: chain[level+1].fpr(), Scopes: []records.Scope{scope}, Depth: int64(2 - level), Until: until}))
		}
		for j := range total / keys {
			name := records.Name(fmt.Sprintf("team%d-module%d", i, j/10))
			say(chain[j%4].says(release(name, records.Version(fmt.Sprintf("1.%d.0", j%10)), fmt.Sprint(i, j))))
		}
	}
	flush()
	f, err := trust.Parse([]byte(file.String()))
	if err != nil {
		b.Fatal(err)
	}
	view := func() *trust.View { return trust.Basis{File: f, Now: start, Load: x.Facts}.View() }
	b.Run("view", func(b *testing.B) {
		for b.Loop() {
			view()
		}
	})
	v := view()
	b.Run("resolve", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			name := records.Name(fmt.Sprintf("team%d-module0", i%keys))
			if r, err := x.Resolve(ctx, name, "^1.0.0", v); err != nil || r.Version != "1.9.0" {
				b.Fatal(r.Version, err)
			}
		}
	})
}
