package rangeset

import (
	"context"
	"slices"
	"sort"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/everythingstays/es/records"
)

const (
	// cachedNodes is how many nodes' contents are kept in memory: about 25 MB, which
	// is all of 190,000 elements.
	cachedNodes = 2048
	// markEvery is how many elements of a page lie between two kept sums.
	markEvery = 16
)

// A View is the set of elements as it is at one time. It is for one goroutine.
type View struct {
	tree  tree
	cache *Cache
	top   *branch
	work  int64
}

// A nodeKey says what a node holds: the sum stands for its elements, so what is
// cached by it never goes stale, however the node was cut then.
type nodeKey struct {
	level       int
	first, next string
	count       uint64
	fingerprint records.RangeFingerprint
}

// A branch is the children of a node, in order. before[i] is the sum of the
// children before the i-th.
type branch struct {
	firsts []string
	before []records.Sum
}

// A page is the elements of a node of level 0. marks[i] is the sum of the first
// i*markEvery; they are made when the page is asked about often.
type page struct {
	elements []records.Element
	whole    records.Sum

	mu    sync.Mutex
	asked int
	marks []records.Sum
}

// markAfter is how often a page is asked about before it has marks.
const markAfter = 3

// A Cache keeps what views have read, for other views of the same set.
type Cache struct{ nodes *lru.Cache[nodeKey, any] }

// NewCache returns an empty Cache.
func NewCache() *Cache {
	nodes, err := lru.New[nodeKey, any](cachedNodes)
	if err != nil {
		panic(err) // cachedNodes is positive
	}
	return &Cache{nodes}
}

// NewView returns the set as it is in the transaction, while that lasts.
func NewView(tx Tx, cache *Cache) *View { return &View{tree: tree{tx}, cache: cache} }

// Work returns what has been done for this view, in elements read or summed.
func (v *View) Work() int64 { return v.work }

// branch returns the children, nodes of the level, of a node.
func (v *View) branch(ctx context.Context, level int, n node) (*branch, error) {
	if level == topLevel && v.top != nil {
		return v.top, nil
	}
	key := keyOf(level, n)
	if level < topLevel {
		if known, ok := v.cache.nodes.Get(key); ok {
			return known.(*branch), nil
		}
	}
	b, sum := &branch{}, records.Sum{}
	err := v.tree.eachNode(ctx, level, n.first, n.end(), func(first string, s records.Sum) error {
		b.firsts = append(b.firsts, first)
		b.before = append(b.before, sum)
		sum.AddSum(s)
		v.work++
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(b.firsts) == 0 || b.firsts[0] != n.first {
		return nil, errNoSums
	}
	b.before = append(b.before, sum)
	if level == topLevel {
		v.top = b
	} else if sum == n.sum { // or the file is damaged
		v.cache.nodes.Add(key, b)
	}
	return b, nil
}

func keyOf(level int, n node) nodeKey {
	return nodeKey{level, n.first, n.next, n.sum.Count, n.sum.Fingerprint()}
}

// child is the i-th child as a node; n is the parent.
func (b *branch) child(i int, n node) node {
	c := node{first: b.firsts[i], next: n.next, sum: b.before[i+1]}
	if i+1 < len(b.firsts) {
		c.next = b.firsts[i+1]
	}
	c.sum.RemoveSum(b.before[i])
	return c
}

// page returns the elements of a node of level 0.
func (v *View) page(ctx context.Context, n node) (*page, error) {
	key := keyOf(-1, n)
	if known, ok := v.cache.nodes.Get(key); ok {
		return known.(*page), nil
	}
	p := &page{whole: n.sum}
	err := v.tree.eachElement(ctx, n.first, n.end(), func(e records.Element) error {
		p.elements = append(p.elements, e)
		v.work++
		return nil
	})
	if err != nil {
		return nil, err
	}
	if uint64(len(p.elements)) == n.sum.Count { // or the file is damaged
		v.cache.nodes.Add(key, p)
	}
	return p, nil
}

// marked returns the page's marks, or nil while it has none.
func (v *View) marked(p *page) []records.Sum {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked++; p.asked > markAfter && p.marks == nil {
		var sum records.Sum
		for part := range slices.Chunk(p.elements, markEvery) {
			p.marks = append(p.marks, sum)
			sum.AddSum(v.total(part))
		}
	}
	return p.marks
}

// upTo returns the sum of the first i elements of the page.
func (v *View) upTo(p *page, i int) records.Sum {
	low, high := 0, len(p.elements)
	var lowSum records.Sum
	highSum := p.whole
	if marks := v.marked(p); len(marks) > 0 {
		at := min(i/markEvery, len(marks)-1)
		low, lowSum = at*markEvery, marks[at]
		if at+1 < len(marks) {
			high, highSum = (at+1)*markEvery, marks[at+1]
		}
	}
	if i-low <= high-i {
		lowSum.AddSum(v.total(p.elements[low:i]))
		return lowSum
	}
	highSum.RemoveSum(v.total(p.elements[i:high]))
	return highSum
}

func (v *View) total(elements []records.Element) (sum records.Sum) {
	for _, e := range elements {
		sum.Add(e)
	}
	v.work += int64(len(elements))
	return sum
}

// A place lies in the order of the elements: the first element that is not below
// some bound, or that has some rank.
type place struct {
	page  *page
	node  node        // of the page
	index int         // in the page
	below records.Sum // of all elements before the page
}

// find descends to the page that choose points to, by the number of a branch's
// child.
func (v *View) find(ctx context.Context, choose func(*branch, records.Sum) int) (place, error) {
	n, below := node{}, records.Sum{}
	for level := topLevel; level >= 0; level-- {
		b, err := v.branch(ctx, level, n)
		if err != nil {
			return place{}, err
		}
		i := choose(b, below)
		below.AddSum(b.before[i])
		n = b.child(i, n)
		v.work++
	}
	p, err := v.page(ctx, n)
	return place{page: p, node: n, below: below}, err
}

// bound returns the place of the first element from a bound on.
func (v *View) bound(ctx context.Context, at string) (place, error) {
	p, err := v.find(ctx, func(b *branch, _ records.Sum) int {
		return max(0, sort.Search(len(b.firsts), func(i int) bool { return b.firsts[i] > at })-1)
	})
	if err == nil {
		p.index = sort.Search(len(p.page.elements), func(i int) bool { return string(p.page.elements[i]) >= at })
	}
	return p, err
}

// rank returns the place of the element before which there are so many.
func (v *View) rank(ctx context.Context, rank uint64) (place, error) {
	p, err := v.find(ctx, func(b *branch, below records.Sum) int {
		last := len(b.firsts) - 1
		return min(last, sort.Search(last, func(i int) bool { return below.Count+b.before[i+1].Count > rank }))
	})
	if err == nil {
		p.index = min(len(p.page.elements), int(rank-p.below.Count))
	}
	return p, err
}

// sum returns the sum of all that is before the place.
func (v *View) sum(p place) records.Sum {
	sum := p.below
	sum.AddSum(v.upTo(p.page, p.index))
	return sum
}

// bound returns a bound right before the place, as short as can be told from the
// page.
func (p place) bound() string {
	if p.index == 0 {
		return p.node.first
	}
	return between(p.page.elements[p.index-1], p.page.elements[p.index])
}

// bounds returns r with an upper bound that is no exception, and whether r can
// hold any element.
func bounds(r records.Range) (from, to string, ok bool) {
	to = r.To
	if to == "" {
		to = atEnd
	}
	return r.From, to, r.From < to
}

// Sum returns the count and the sum of the elements in r. It costs about the
// logarithm of the number of elements.
func (v *View) Sum(ctx context.Context, r records.Range) (records.Sum, error) {
	sum, _, err := v.span(ctx, r)
	return sum, err
}

// span returns the sum of r, and how many elements are below it.
func (v *View) span(ctx context.Context, r records.Range) (sum records.Sum, below uint64, err error) {
	from, to, ok := bounds(r)
	if !ok {
		return records.Sum{}, 0, nil
	}
	low, err := v.bound(ctx, from)
	if err != nil {
		return records.Sum{}, 0, err
	}
	below = low.below.Count + uint64(low.index)
	high, err := v.bound(ctx, to)
	if err != nil {
		return records.Sum{}, 0, err
	}
	if low.page == high.page && high.index-low.index <= markEvery {
		return v.total(low.page.elements[low.index:high.index]), below, nil
	}
	sum = v.sum(high)
	sum.RemoveSum(v.sum(low))
	return sum, below, nil
}

// Split cuts r into at most n consecutive ranges of about equal count, which
// together are r, with their sums. Their bounds are short: no more than tells
// neighbours apart. Large parts are cut between pages.
func (v *View) Split(ctx context.Context, r records.Range, n int) ([]records.RangeSum, error) {
	whole, below, err := v.span(ctx, r)
	if err != nil {
		return nil, err
	}
	_, end, _ := bounds(r)
	var parts []records.RangeSum
	from, done := r.From, records.Sum{}
	cut := func(at string, sum records.Sum) {
		part := records.RangeSum{Range: records.Range{From: from, To: at}, Sum: sum}
		part.Sum.RemoveSum(done)
		parts = append(parts, part)
		from, done = at, sum
	}
	var before records.Sum
	count := min(uint64(max(n, 1)), whole.Count)
	if count > 1 {
		low, err := v.bound(ctx, r.From)
		if err != nil {
			return nil, err
		}
		before = v.sum(low)
	}
	for i := uint64(1); i < count; i++ {
		at, err := v.rank(ctx, below+i*whole.Count/count)
		if err != nil {
			return nil, err
		}
		if whole.Count > count*maxPage { // to the nearer end of the page
			at, err = v.nearest(ctx, at)
			if err != nil {
				return nil, err
			}
		}
		bound := at.bound()
		if bound <= from || bound >= end {
			continue
		}
		sum := v.sum(at)
		sum.RemoveSum(before)
		cut(bound, sum)
	}
	cut(r.To, whole)
	return parts, nil
}

// nearest returns the beginning of the place's page, or of the next one.
func (v *View) nearest(ctx context.Context, p place) (place, error) {
	if p.index > len(p.page.elements)/2 && p.node.next != "" {
		return v.bound(ctx, p.node.next)
	}
	p.index = 0
	return p, nil
}

// Elements returns the first elements of r, in order, at most limit.
func (v *View) Elements(ctx context.Context, r records.Range, limit int) ([]records.Element, error) {
	from, to, ok := bounds(r)
	if !ok {
		return nil, nil
	}
	var all []records.Element
	for at := from; len(all) < limit; {
		p, err := v.bound(ctx, at)
		if err != nil {
			return nil, err
		}
		rest := p.page.elements[p.index:]
		end := sort.Search(len(rest), func(i int) bool { return string(rest[i]) >= to })
		all = slices.Concat(all, rest[:min(end, limit-len(all))])
		if end < len(rest) || p.node.next == "" {
			break
		}
		at = p.node.next
	}
	v.work += int64(len(all))
	return all, nil
}
