package rangeset_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/index/rangeset"
	"github.com/everythingstays/es/records"
)

var full = os.Getenv("ES_FULL") != ""

// A set is one in a file of its own.
type set struct {
	file  *db.File
	cache *rangeset.Cache
}

func openSet(ctx context.Context, path string) (*set, error) {
	file, err := db.Open(ctx, path, func(f *db.File) error {
		if err := f.UseWAL(ctx); err != nil {
			return err
		}
		tx, err := f.Writer.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		t := db.NewTx(tx)
		if made, err := t.Get(ctx, "SELECT 1 FROM sqlite_schema WHERE name = 'sums'", nil, new(int)); made || err != nil {
			return err
		}
		if err := t.Script(ctx, rangeset.Schema); err != nil {
			return err
		}
		if err := rangeset.Rebuild(ctx, t); err != nil {
			return err
		}
		return tx.Commit()
	})
	return &set{file, rangeset.NewCache()}, err
}

func openAt(t testing.TB, path string) *set {
	t.Helper()
	s, err := openSet(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.file.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *set) update(ctx context.Context, changes map[records.Element]bool) error {
	return s.file.Write(ctx, false, func(tx *db.Tx) error { return rangeset.Update(ctx, tx, changes) })
}

func (s *set) view(ctx context.Context, f func(*rangeset.View) error) error {
	return s.file.View(ctx, func(tx *db.Tx) error { return f(rangeset.NewView(tx, s.cache)) })
}

func (s *set) check(ctx context.Context) error {
	return s.file.View(ctx, func(tx *db.Tx) error { return rangeset.Check(ctx, tx) })
}

func (s *set) Sum(ctx context.Context, r records.Range) (sum records.Sum, err error) {
	err = s.view(ctx, func(v *rangeset.View) error { sum, err = v.Sum(ctx, r); return err })
	return sum, err
}

func (s *set) Split(ctx context.Context, r records.Range, n int) (parts []records.RangeSum, err error) {
	err = s.view(ctx, func(v *rangeset.View) error { parts, err = v.Split(ctx, r, n); return err })
	return parts, err
}

func (s *set) Elements(ctx context.Context, r records.Range, limit int) (all []records.Element, err error) {
	err = s.view(ctx, func(v *rangeset.View) error { all, err = v.Elements(ctx, r, limit); return err })
	return all, err
}

// nodes returns how many nodes each level has.
func (s *set) nodes(ctx context.Context) (n [rangeset.TopLevel + 1]int, err error) {
	for level := range n {
		if err := s.file.Readers.QueryRowContext(ctx, "SELECT count(*) FROM sums WHERE level = ?", level).Scan(&n[level]); err != nil {
			return n, err
		}
	}
	return n, nil
}

func module(s string) cid.Cid {
	mh, err := multihash.Sum([]byte(s), multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.DagProtobuf, mh)
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

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

// A model is the set as a sorted list, with the sum of all elements before each, so that a
// question about a range costs two searches.
type model struct {
	elements []records.Element
	before   []records.Sum
}

func newModel(elements []records.Element) model {
	slices.Sort(elements)
	m := model{elements, make([]records.Sum, len(elements)+1)}
	for i, e := range elements {
		m.before[i+1] = m.before[i]
		m.before[i+1].Add(e)
	}
	return m
}

// in returns the elements of a range, and their sum.
func (m model) in(r records.Range) ([]records.Element, records.Sum) {
	from, _ := slices.BinarySearch(m.elements, records.Element(r.From))
	to := len(m.elements)
	if r.To != "" {
		to, _ = slices.BinarySearch(m.elements, records.Element(r.To))
	}
	to = max(from, to)
	sum := m.before[to]
	sum.RemoveSum(m.before[from])
	return m.elements[from:to], sum
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
func compare(t *testing.T, x *set, m model, rnd *rand.Rand, n, questions int) {
	t.Helper()
	ctx := t.Context()
	ranges := []records.Range{{}, {From: "\xff"}, {To: "\x04"}, {From: "\x06"}}
	for range questions {
		ranges = append(ranges, randomRange(rnd, n))
	}
	for _, r := range ranges {
		in, sum := m.in(r)
		if got := must[records.Sum](t)(x.Sum(ctx, r)); got != sum {
			t.Fatalf("sum of %x: %d elements, want %d", r, got.Count, len(in))
		}
		limit := 1 + rnd.IntN(300)
		if got := must[[]records.Element](t)(x.Elements(ctx, r, limit)); !slices.Equal(got, in[:min(limit, len(in))]) {
			t.Fatalf("elements of %x differ", r)
		}
		checkSplit(t, x, m, r, 1+rnd.IntN(40))
	}
	if err := x.check(ctx); err != nil {
		t.Fatal(err)
	}
}

func checkSplit(t *testing.T, x *set, m model, r records.Range, n int) {
	t.Helper()
	in, _ := m.in(r)
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
		have, sum := m.in(p.Range)
		if p.Sum != sum {
			t.Fatalf("part %d of %x: sum of %d, want %d", i, r, p.Sum.Count, len(have))
		}
		// Where parts are larger than a page, bounds lie between pages.
		if slack := rangeset.MaxPage; len(have) > even+1 && (len(in) <= n*rangeset.MaxPage || len(have) > even+slack) {
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
	x := openAt(t, filepath.Join(t.TempDir(), "set"))
	compare(t, x, newModel(nil), rnd, n, 3)
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
		if err := x.update(t.Context(), changes); err != nil {
			t.Fatal(err)
		}
		compare(t, x, newModel(slices.Collect(maps.Keys(have))), rnd, n, 12)
	}
}

// TestSetShape: the tree stays shallow and its nodes full enough, also for
// elements that come in order, close together, and leave again.
func TestSetShape(t *testing.T) {
	x := openAt(t, filepath.Join(t.TempDir(), "set"))
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
		nodes, err := x.nodes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		limit := elements
		for level, max := range []int{rangeset.MaxPage, rangeset.MaxNode} {
			if limit = 8*limit/max + 1; nodes[level] > limit {
				t.Errorf("%d nodes on level %d, want at most %d", nodes[level], level, limit)
			}
		}
		if least := elements / rangeset.MaxPage; nodes[0] < least {
			t.Errorf("%d pages, want at least %d", nodes[0], least)
		}
		if nodes[2] > 3 {
			t.Errorf("%d nodes on top", nodes[2])
		}
		if err := x.check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for batch := range slices.Chunk(all, 700) {
		changes := map[records.Element]bool{}
		for _, e := range batch {
			changes[e] = true
		}
		if err := x.update(t.Context(), changes); err != nil {
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
		if err := x.update(t.Context(), changes); err != nil {
			t.Fatal(err)
		}
	}
	check(400)
}

// TestSetProcesses: the sums hold while several processes write, and every answer
// is of one moment.
func TestSetProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	const handles, each = 4, 6
	var group sync.WaitGroup
	for h := range handles {
		group.Go(func() {
			x, err := openSet(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			defer x.file.Close()
			for i := range each {
				changes := map[records.Element]bool{}
				for k := range 100 {
					changes[madeUp((h*each+i)*100+k)] = true
				}
				if err := x.update(t.Context(), changes); err != nil {
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
	var all []records.Element
	for i := range handles * each * 100 {
		all = append(all, madeUp(i))
	}
	compare(t, x, newModel(all), rand.New(rand.NewPCG(1, 1)), len(all), 10)
}

// TestThreat56RangeSums asks for 2,048 narrow ranges between pages, again and again.
// The first time costs a look at every element at most, and the next ones some
// elements at the ends of each range, also when the set changes meanwhile. SPEC E17.
func TestThreat56RangeSums(t *testing.T) {
	x := openAt(t, filepath.Join(t.TempDir(), "index"))
	const n, questions = 10_000, 2048
	if err := x.update(t.Context(), someElements(0, n)); err != nil {
		t.Fatal(err)
	}
	ask := func() (work int64, all records.Sum) {
		err := x.view(t.Context(), func(v *rangeset.View) error {
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
	if err := x.update(t.Context(), someElements(n, 10)); err != nil {
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
