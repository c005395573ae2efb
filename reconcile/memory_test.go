package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/records"
)

// memory is a Set and a Source in memory, and takes what is sent to it.
type memory struct {
	mu       sync.Mutex
	elements []records.Element // in order
	items    map[records.Element][]byte
	sums     []records.Sum // of the first pages; those that are there are right

	taken  []records.Element // in the order in which they came
	refuse func(records.Element) bool
}

const page = 64

func newMemory(items ...records.Item) *memory {
	m := &memory{items: make(map[records.Element][]byte)}
	m.fill(items...)
	return m
}

// fill puts in many items at once.
func (m *memory) fill(items ...records.Item) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, it := range items {
		m.elements = append(m.elements, it.Element)
		if it.Bytes != nil {
			m.items[it.Element] = it.Bytes
		}
	}
	slices.Sort(m.elements)
	m.elements = slices.Compact(m.elements)
	m.sums = []records.Sum{{}}
}

// add puts in one item and reports whether it is new.
func (m *memory) add(it records.Item) bool {
	at, known := slices.BinarySearch(m.elements, it.Element)
	if known {
		return false
	}
	m.items[it.Element] = it.Bytes
	m.elements = slices.Insert(m.elements, at, it.Element)
	m.sums = m.sums[:min(len(m.sums), at/page+1)]
	return true
}

// first returns the index of the first element from a point on.
func (m *memory) first(point string) int {
	return sort.Search(len(m.elements), func(i int) bool { return string(m.elements[i]) >= point })
}

func (m *memory) span(r records.Range) (from, to int) {
	to = len(m.elements)
	if r.To != "" {
		to = m.first(r.To)
	}
	return m.first(r.From), to
}

// upTo returns the sum of the first n elements.
func (m *memory) upTo(n int) records.Sum {
	for len(m.sums) <= n/page {
		at := (len(m.sums) - 1) * page
		m.sums = append(m.sums, total(m.sums[len(m.sums)-1], m.elements[at:at+page]))
	}
	return total(m.sums[n/page], m.elements[n/page*page:n])
}

func total(sum records.Sum, elements []records.Element) records.Sum {
	for _, e := range elements {
		sum.Add(e)
	}
	return sum
}

func (m *memory) between(from, to int) records.Sum {
	if to-from <= page {
		return total(records.Sum{}, m.elements[from:to])
	}
	sum := m.upTo(to)
	sum.RemoveSum(m.upTo(from))
	return sum
}

func (m *memory) Sum(_ context.Context, r records.Range) (records.Sum, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.between(m.span(r)), nil
}

func (m *memory) Split(_ context.Context, r records.Range, n int) ([]records.RangeSum, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to := m.span(r)
	n = max(1, min(n, to-from))
	var parts []records.RangeSum
	for i := range n {
		a, b := from+(to-from)*i/n, from+(to-from)*(i+1)/n
		p := records.RangeSum{Range: r, Sum: m.between(a, b)}
		if i > 0 {
			p.From = string(m.elements[a])
			parts[i-1].To = p.From
		}
		parts = append(parts, p)
	}
	return parts, nil
}

func (m *memory) Elements(_ context.Context, r records.Range, limit int) ([]records.Element, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to := m.span(r)
	return slices.Clone(m.elements[from:min(to, from+limit)]), nil
}

func (m *memory) Items(_ context.Context, r records.Range, maxBytes int) ([]records.Item, records.Range, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to := m.span(r)
	var items []records.Item
	for _, e := range m.elements[from:to] {
		b := m.items[e]
		if maxBytes -= len(b); maxBytes < 0 && len(items) > 0 {
			return items, records.Range{From: string(e), To: r.To}, nil
		}
		items = append(items, records.Item{Element: e, Bytes: b})
	}
	return items, records.Range{}, nil
}

func (m *memory) take(_ context.Context, _ peer.ID, items []records.Item) (IngestResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var t IngestResult
	for _, it := range items {
		m.taken = append(m.taken, it.Element)
		switch {
		case m.refuse != nil && m.refuse(it.Element):
			t.Refused++
		case !m.add(it):
		case it.Element.Kind() == records.ElementKey:
			t.Keys++
		default:
			t.Records++
		}
	}
	return t, nil
}

func (m *memory) all() []records.Element {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.elements)
}

// author returns one of the authors of these tests: every third key has v6.
func author(n int) records.Fingerprint {
	digest := sha256.Sum256(fmt.Append(nil, "author ", n))
	size := 20
	if n%3 == 2 {
		size = 32
	}
	f, err := records.FingerprintFromBytes(digest[:size])
	if err != nil {
		panic(err)
	}
	return f
}

// record makes a record of an author, the same for the same numbers. Its
// signature is none: who takes items checks signatures, not this package.
func record(a records.Fingerprint, n int) records.Item { return signed(a, n, 100) }

func signed(a records.Fingerprint, n, signature int) records.Item {
	b, err := records.Encode(&records.Record{Author: a, Time: int64(n), Body: &records.Heartbeat{Next: int64(n) + 1}})
	if err != nil {
		panic(err)
	}
	envelope, err := records.EncodeEnvelope(b, make([]byte, signature))
	if err != nil {
		panic(err)
	}
	return records.Item{Element: records.RecordElement(a, records.ID(b)), Bytes: envelope}
}

func keyBlock(a records.Fingerprint, n int) records.Item {
	block := fmt.Appendf(nil, "key block %d of %s", n, a)
	return records.Item{Element: records.KeyElement(a, block), Bytes: block}
}

// history makes authors with a key block and records each.
func history(authors, each int) []records.Item {
	var items []records.Item
	for a := range authors {
		items = append(items, keyBlock(author(a), 0))
		for n := range each {
			items = append(items, record(author(a), n))
		}
	}
	return items
}

// strange makes elements with nothing behind them, of 100 authors.
func strange(seed uint64, n int) []records.Item {
	var heads []string
	for a := range 100 {
		heads = append(heads, head(record(author(a), 0).Element))
	}
	random := rand.New(rand.NewPCG(seed, 1))
	items := make([]records.Item, n)
	var digest [32]byte
	for i := range items {
		for j := 0; j < len(digest); j += 8 {
			binary.LittleEndian.PutUint64(digest[j:], random.Uint64())
		}
		items[i].Element = records.Element(heads[i%100] + string(digest[:]))
	}
	return items
}
