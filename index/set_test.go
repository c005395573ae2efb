package index_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

var full = os.Getenv("ES_FULL") != ""

// madeUp returns the i-th of endless elements: of a few authors of both versions,
// some of whom have nearly everything.
func madeUp(i int) records.Element {
	h := sha256.Sum256(fmt.Append(nil, "element ", i))
	author := h[0] % 7
	if author > 3 {
		author = 1
	}
	size := 20
	if author == 2 {
		size = 32
	}
	f, err := records.FingerprintFromBytes(bytes.Repeat([]byte{author}, size))
	if err != nil {
		panic(err)
	}
	return records.RecordElement(f, module(fmt.Sprint("element ", i)))
}

// A model is the set as a sorted list.
type model []records.Element

func (m model) in(r records.Range) model {
	var in model
	for _, e := range m {
		if r.Contains(e) {
			in = append(in, e)
		}
	}
	return in
}

func (m model) sum() (s records.Sum) {
	for _, e := range m {
		s.Add(e)
	}
	return s
}

// randomRange has bounds at elements, near them, between authors, and nowhere.
func randomRange(rnd *rand.Rand, n int) records.Range {
	bound := func() string {
		e := madeUp(rnd.IntN(n))
		switch rnd.IntN(6) {
		case 0:
			return ""
		case 1:
			return string(e)
		case 2:
			return string(e[:1+rnd.IntN(len(e)-1)])
		case 3:
			return string(e) + "\x00"
		case 4:
			return records.AuthorRange(e.Author()).From
		}
		return records.AuthorRange(e.Author()).To
	}
	return records.Range{From: bound(), To: bound()}
}

// compare asks the index about some ranges and the model, too.
func compare(t *testing.T, x *index.Index, m model, rnd *rand.Rand, n, questions int) {
	t.Helper()
	ctx := t.Context()
	slices.Sort(m)
	ranges := []records.Range{{}, {From: "\xff"}, {To: "\x04"}, {From: "\x06"}}
	for range questions {
		ranges = append(ranges, randomRange(rnd, n))
	}
	for _, r := range ranges {
		in := m.in(r)
		if got := must[records.Sum](t)(x.Sum(ctx, r)); got != in.sum() {
			t.Fatalf("sum of %x: %d elements, want %d", r, got.Count, len(in))
		}
		limit := 1 + rnd.IntN(300)
		if got := must[[]records.Element](t)(x.Elements(ctx, r, limit)); !slices.Equal(got, in[:min(limit, len(in))]) {
			t.Fatalf("elements of %x differ", r)
		}
		checkSplit(t, x, r, in, 1+rnd.IntN(40))
	}
	if err := x.CheckSums(ctx); err != nil {
		t.Fatal(err)
	}
}

func checkSplit(t *testing.T, x *index.Index, r records.Range, in model, n int) {
	t.Helper()
	parts := must[[]records.RangeSum](t)(x.Split(t.Context(), r, n))
	if len(parts) == 0 || len(parts) > n || parts[0].From != r.From || parts[len(parts)-1].To != r.To {
		t.Fatalf("split of %x into %d: %d parts, not the whole range", r, n, len(parts))
	}
	even := max(1, len(in)/n)
	if len(in) > 0 && len(parts) < min(n, len(in)) {
		t.Fatalf("split of %d elements into %d: %d parts", len(in), n, len(parts))
	}
	for i, p := range parts {
		if i > 0 && p.From != parts[i-1].To {
			t.Fatalf("part %d of %x does not begin where the one before ends", i, r)
		}
		if i < len(parts)-1 && len(p.To) > records.MaxElement {
			t.Fatalf("a bound of %d bytes", len(p.To))
		}
		have := in.in(p.Range)
		if p.Sum != have.sum() {
			t.Fatalf("part %d of %x: sum of %d, want %d", i, r, p.Sum.Count, len(have))
		}
		// Where parts are larger than a page, bounds lie between pages.
		if slack := index.MaxPage; len(have) > even+1 && (len(in) <= n*index.MaxPage || len(have) > even+slack) {
			t.Fatalf("part %d of %d elements in %d: %d elements", i, len(in), n, len(have))
		}
	}
}

// TestSetModel makes random changes and compares every answer with a list.
func TestSetModel(t *testing.T) {
	n, rounds := 3000, 40
	if full {
		n, rounds = 60_000, 400
	}
	rnd := rand.New(rand.NewPCG(3, 5))
	x := open(t)
	compare(t, x, nil, rnd, n, 3)
	have := map[records.Element]bool{}
	for round := range rounds {
		changes := map[records.Element]bool{}
		// The set grows, shrinks to nothing and grows again.
		in := 0.9
		if round%20 >= 10 {
			in = 0.1
		}
		for range rnd.IntN(n / 3) {
			changes[madeUp(rnd.IntN(n))] = rnd.Float64() < in
		}
		if round%20 == 19 {
			for e := range have {
				changes[e] = false
			}
		}
		for e, on := range changes {
			if on {
				have[e] = true
			} else {
				delete(have, e)
			}
		}
		if err := x.PutElements(t.Context(), changes); err != nil {
			t.Fatal(err)
		}
		var m model
		for e := range have {
			m = append(m, e)
		}
		compare(t, x, m, rnd, n, 12)
	}
}

// TestSetShape: the tree stays shallow and its nodes full enough, also for
// elements that come in order, close together, and leave again.
func TestSetShape(t *testing.T) {
	x := open(t)
	f, err := records.FingerprintFromBytes(make([]byte, 20))
	if err != nil {
		t.Fatal(err)
	}
	base := string(records.RecordElement(f, module("x")))
	var all []records.Element
	for i := range 20_000 {
		all = append(all, records.Element(fmt.Sprintf("%s%04x", base[:len(base)-4], i))[:len(base)])
	}
	check := func(elements int) {
		t.Helper()
		nodes, err := x.Nodes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		limit := elements
		for level, max := range []int{index.MaxPage, index.MaxNode} {
			if limit = 8*limit/max + 1; nodes[level] > limit {
				t.Errorf("%d nodes on level %d, want at most %d", nodes[level], level, limit)
			}
		}
		if least := elements / index.MaxPage; nodes[0] < least {
			t.Errorf("%d pages, want at least %d", nodes[0], least)
		}
		if nodes[2] > 3 {
			t.Errorf("%d nodes on top", nodes[2])
		}
		if err := x.CheckSums(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for batch := range slices.Chunk(all, 700) {
		changes := map[records.Element]bool{}
		for _, e := range batch {
			changes[e] = true
		}
		if err := x.PutElements(t.Context(), changes); err != nil {
			t.Fatal(err)
		}
	}
	check(len(all))
	rnd := rand.New(rand.NewPCG(1, 2))
	rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for batch := range slices.Chunk(all[400:], 700) {
		changes := map[records.Element]bool{}
		for _, e := range batch {
			changes[e] = false
		}
		if err := x.PutElements(t.Context(), changes); err != nil {
			t.Fatal(err)
		}
	}
	check(400)
}

// TestSetFollowsRecords shows SPEC E1: the set has the records that count and the
// key blocks, whatever becomes of them.
func TestSetFollowsRecords(t *testing.T) {
	x, ctx := open(t), t.Context()
	a, b := newAuthor(t, "ann"), newAuthor(t, "bob")
	early := a.says(release("left-pad", "1.0.0", "X"))
	other := b.says(release("left-pad", "1.0.0", "X"))
	revoked := a.revoked(packet.KeyRetired, start.Add(60e9))
	a.now = start.Add(3600e9)
	late := a.says(release("left-pad", "2.0.0", "X"))
	want := func(what string, want ...records.Element) {
		t.Helper()
		slices.Sort(want)
		got := must[[]records.Element](t)(x.Elements(ctx, records.Range{}, 100))
		if !slices.Equal(got, want) {
			t.Errorf("%s: %x, want %x", what, got, want)
		}
		if s := must[records.Sum](t)(x.Sum(ctx, records.Range{})); s != model(want).sum() {
			t.Errorf("%s: wrong sum", what)
		}
		if err := x.Check(ctx); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	of := func(it index.Item) records.Element {
		return records.RecordElement(it.Verified.Record().Author, it.Verified.ID())
	}
	keyA, keyB := records.KeyElement(a.fpr(), a.key.Block()), records.KeyElement(b.fpr(), b.key.Block())
	want("nothing")
	add(t, x, early, late, other, early)
	want("records", of(early), of(late), of(other), keyA, keyB)
	if _, _, err := x.AddKey(ctx, revoked); err != nil {
		t.Fatal(err)
	}
	keyMerged := records.KeyElement(a.fpr(), must[*sign.Key](t)(x.Key(ctx, a.fpr())).Block())
	want("a soft revocation", of(early), of(other), keyMerged, keyB)

	// What a record that counts no longer, and a block that is merged, stand for
	// need not be fetched again; what is unknown must.
	none := a.says(release("left-pad", "3.0.0", "X"))
	ask := []records.Element{of(none), of(late), of(early), keyA, keyMerged, records.KeyElement(b.fpr(), a.key.Block()), keyB}
	if got := must[[]records.Element](t)(x.Missing(ctx, ask)); !slices.Equal(got, []records.Element{ask[0], ask[5]}) {
		t.Errorf("missing %x", got)
	}
}

// TestMissingKeyBlocks: a block that brings nothing is fetched once.
func TestMissingKeyBlocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x, ctx, a := openAt(t, path), t.Context(), newAuthor(t, "ann")
	revoked := a.revoked(packet.KeyRetired, start)
	ask := []records.Element{records.KeyElement(a.fpr(), a.key.Block())}
	if _, _, err := x.AddKey(ctx, revoked); err != nil {
		t.Fatal(err)
	}
	if got := must[[]records.Element](t)(x.Missing(ctx, ask)); len(got) != 1 {
		t.Error("a block that nobody has looked at is not missing")
	}
	if _, changed, err := x.AddKey(ctx, a.key); changed || err != nil {
		t.Fatal(changed, err)
	}
	if got := must[[]records.Element](t)(x.Missing(ctx, ask)); len(got) != 0 {
		t.Error("a block that brought nothing is missing again")
	}
	if err := x.ExecOnWriter(ctx, "DELETE FROM keys"); err != nil {
		t.Fatal(err)
	}
	if got := must[[]records.Element](t)(x.Missing(ctx, ask)); len(got) != 1 {
		t.Error("a block of a removed key is not missing")
	}
}

// TestItems: what elements stand for comes in order, in slices of any size.
func TestItems(t *testing.T) {
	x, ctx := open(t), t.Context()
	var items []index.Item
	want := map[records.Element][]byte{}
	for i := range 4 {
		a := newAuthor(t, fmt.Sprint("author ", i))
		want[records.KeyElement(a.fpr(), a.key.Block())] = a.key.Block()
		for j := range 5 {
			it := a.says(release("left-pad", records.Version(fmt.Sprintf("1.%d.0", j)), "X"))
			want[records.RecordElement(a.fpr(), it.Verified.ID())] = it.Verified.Envelope()
			items = append(items, it)
		}
	}
	add(t, x, items...)
	one := must[[]records.Element](t)(x.Elements(ctx, records.Range{}, 7))[6]
	for _, r := range []records.Range{{}, records.AuthorRange(one.Author()), records.ElementRange(one), {From: "\xff"}, {From: "b", To: "a"}} {
		all := must[[]records.Element](t)(x.Elements(ctx, r, 100))
		for _, most := range []int{0, 1, 600, 1500, 1 << 20} {
			var got []records.Element
			for left, more := r, true; more; {
				items, rest, err := x.Items(ctx, left, most)
				if err != nil {
					t.Fatal(err)
				}
				size := 0
				for _, it := range items {
					got = append(got, it.Element)
					size += len(it.Bytes)
					if !bytes.Equal(it.Bytes, want[it.Element]) {
						t.Fatalf("%x stands for other bytes", it.Element)
					}
				}
				if size > most && len(items) != 1 {
					t.Errorf("%d bytes in %d items, want at most %d", size, len(items), most)
				}
				left, more = rest, rest != records.Range{}
			}
			if !slices.Equal(got, all) {
				t.Errorf("%x by %d bytes: %d items, want %d", r, most, len(got), len(all))
			}
		}
	}
}

// TestSetProcesses: the sums hold while several processes write, and every answer
// is of one moment.
func TestSetProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	const handles, each = 4, 6
	var group sync.WaitGroup
	for h := range handles {
		group.Go(func() {
			x, err := index.Open(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			defer x.Close()
			for i := range each {
				changes := map[records.Element]bool{}
				for k := range 100 {
					changes[madeUp((h*each+i)*100+k)] = true
				}
				if err := x.PutElements(t.Context(), changes); err != nil {
					t.Error(err)
				}
				parts, err := x.Split(t.Context(), records.Range{}, 10)
				var n uint64
				for _, p := range parts {
					n += p.Sum.Count
				}
				if err != nil || n%100 != 0 {
					t.Errorf("parts with %d elements, %v", n, err)
				}
			}
		})
	}
	group.Wait()
	x := openAt(t, path)
	var m model
	for i := range handles * each * 100 {
		m = append(m, madeUp(i))
	}
	compare(t, x, m, rand.New(rand.NewPCG(1, 1)), len(m), 10)
}

// TestThreat56RangeSums asks for 2,048 narrow ranges between pages, again and again.
// The first time costs a look at every element at most, and the next ones some
// elements at the ends of each range, also when the set changes meanwhile. SPEC E17.
func TestThreat56RangeSums(t *testing.T) {
	x := openAt(t, filepath.Join(t.TempDir(), "index"))
	const n, questions = 10_000, 2048
	if err := x.PutElements(t.Context(), someElements(0, n)); err != nil {
		t.Fatal(err)
	}
	ask := func() (work int64, all records.Sum) {
		err := x.ReadSet(t.Context(), func(v *index.SetView) error {
			for i := range questions {
				at, to := i*(1<<16/questions), (i+1)*(1<<16/questions)
				r := records.Range{From: string([]byte{4, byte(at >> 8), byte(at)}), To: string([]byte{4, byte(to >> 8), byte(to)})}
				if i == questions-1 {
					r.To = "\x05"
				}
				sum, err := v.Sum(t.Context(), r)
				if err != nil {
					return err
				}
				all.AddSum(sum)
			}
			work = v.Work()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return work, all
	}
	first, all := ask()
	if whole := must[records.Sum](t)(x.Sum(t.Context(), records.Range{})); all != whole {
		t.Error("the ranges together are not the whole")
	}
	again, _ := ask()
	if first > 40*questions || again > 20*questions {
		t.Errorf("2,048 ranges of %d elements cost %d and then %d elements", n, first, again)
	}
	if err := x.PutElements(t.Context(), someElements(n, 10)); err != nil {
		t.Fatal(err)
	}
	changed, all := ask()
	if whole := must[records.Sum](t)(x.Sum(t.Context(), records.Range{})); all != whole {
		t.Error("after a change the ranges together are not the whole")
	}
	if changed > again+20*128 {
		t.Errorf("after 10 more elements they cost %d, before %d", changed, again)
	}
	t.Logf("2,048 ranges cost %d, %d, %d", first, again, changed)
}
