package reconcile

import (
	"context"
	"errors"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/records"
)

// A puller is the asker's side of one session.
type puller struct {
	r      *Reconcile
	peer   peer.ID
	scope  Scope
	result Result

	started bool
	open    []pending // to compare, in order
	gets    []fetching
	take    *batcher
}

// A range to fetch has about so many items, as far as the peer said.
type fetching struct {
	records.Range
	count uint64
}

// A pending range differs, and we have something in it.
type pending struct {
	records.Range
	mine  records.Sum
	depth int
}

// left returns what was neither found equal nor ingested.
func (p *puller) left() Scope {
	if !p.started || p.take.failed() {
		return p.scope
	}
	var ranges []records.Range
	for _, f := range p.gets {
		ranges = append(ranges, f.Range)
	}
	for _, o := range p.open {
		ranges = append(ranges, o.Range)
	}
	// Neighbours stay apart: that they differ has been found out.
	slices.SortFunc(ranges, byFrom)
	return ranges
}

func (p *puller) run(ctx context.Context, s *stream) error {
	err := p.session(ctx, s)
	ingested, ingestErr := p.take.finish()
	p.result.IngestResult = ingested
	p.result.Sent, p.result.Received = s.sent, s.received
	switch {
	case ingestErr != nil:
		return ingestErr
	case errors.Is(err, errBudget) || errors.Is(err, refusedLimit):
		return nil // the next session goes on
	case err != nil && s.over():
		return nil
	}
	return err
}

func (p *puller) session(ctx context.Context, s *stream) error {
	err := p.r.view(ctx, func(v View) error {
		for _, r := range p.scope {
			if err := p.differs(ctx, v, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.started = true
	for len(p.open) > 0 || len(p.gets) > 0 {
		if p.result.Requests == p.r.cfg.Limits.Requests || s.left < answerRoom || s.over() {
			return nil
		}
		p.result.Requests++
		var err error
		if ready := p.ready(); len(ready) > 0 {
			err = p.get(ctx, s, ready)
		} else {
			err = p.compare(ctx, s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// differs notes a range of the scope, in which the peer may have something.
func (p *puller) differs(ctx context.Context, set View, r records.Range) error {
	mine, err := set.Sum(ctx, r)
	if err != nil {
		return err
	}
	if mine.Count == 0 {
		p.fetch(r, 0)
	} else {
		p.open = append(p.open, pending{r, mine, 0})
	}
	return nil
}

func (p *puller) fetch(r records.Range, count uint64) {
	p.gets = append(p.gets, fetching{r, count})
}

// ready takes out the ranges to fetch now, if it is time to. Nothing is fetched
// that lies behind something to compare, where a key block may be missing that
// the records are verified by.
func (p *puller) ready() Scope {
	slices.SortFunc(p.gets, func(a, b fetching) int { return byFrom(a.Range, b.Range) })
	n, found := 0, uint64(0)
	for n < min(len(p.gets), maxRanges) && (len(p.open) == 0 || p.gets[n].From < p.open[0].From) {
		found += min(p.gets[n].count, fetchedAtOnce)
		n++
	}
	if len(p.open) > 0 && n < maxRanges && found < fetchedAtOnce {
		return nil
	}
	ranges := make([]records.Range, n)
	for i, f := range p.gets[:n] {
		ranges[i] = f.Range
	}
	p.gets = p.gets[n:]
	return union(ranges...)
}

// compare asks about the first open ranges.
func (p *puller) compare(ctx context.Context, s *stream) error {
	batch := p.open[:min(comparedAtOnce, len(p.open))]
	q := request{kind: typeCompare, parts: maxParts}
	for _, o := range batch {
		q.ranges = append(q.ranges, rangeRequest{o.Range, o.mine.Fingerprint()})
	}
	body, err := s.request(q)
	if err != nil {
		return err
	}
	entries, err := decodeCompared(body, q)
	if err != nil {
		return offence(err.Error())
	}
	rest := p.open[len(entries):]
	batch = batch[:len(entries)]
	open, gets := p.open, p.gets
	p.open = nil
	wanted := wantedElements{}
	err = p.r.view(ctx, func(v View) error {
		for i, e := range entries {
			if err := p.entry(ctx, v, batch[i], e, &wanted); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		p.open, p.gets = open, gets
		return err
	}
	p.open = append(p.open, rest...)
	return p.want(ctx, wanted)
}

func (p *puller) entry(ctx context.Context, set View, o pending, e entry, wanted *wantedElements) error {
	switch e.kind {
	case entryElements:
		missing, common, err := p.missing(ctx, set, o, e.elements)
		if err != nil {
			return err
		}
		wanted.add(e.elements, missing)
		p.result.Lacks += max(0, int(o.mine.Count)-common)
	case entryParts:
		if o.depth == maxDepth {
			return offence("peer splits ranges for ever")
		}
		for _, part := range e.parts {
			if err := p.part(ctx, set, part, o.depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *puller) part(ctx context.Context, set View, theirs part, depth int) error {
	mine, err := set.Sum(ctx, theirs.Range)
	switch {
	case err != nil:
		return err
	case mine.Fingerprint() == theirs.fingerprint:
	case theirs.count == 0:
		p.result.Lacks += int(mine.Count)
	case mine.Count == 0:
		p.fetch(theirs.Range, theirs.count)
	default:
		p.open = append(p.open, pending{theirs.Range, mine, depth})
	}
	return nil
}

// missing tells which of the peer's elements in a range are not here, and counts
// the others.
func (p *puller) missing(ctx context.Context, set View, o pending, theirs []records.Element) (missing map[records.Element]bool, common int, err error) {
	missing = make(map[records.Element]bool, len(theirs))
	if o.mine.Count > 4*maxListed {
		for _, e := range theirs {
			sum, err := set.Sum(ctx, records.ElementRange(e))
			if err != nil {
				return nil, 0, err
			}
			missing[e] = sum.Count == 0
		}
	} else {
		mine, err := set.Elements(ctx, o.Range, 8*maxListed)
		if err != nil {
			return nil, 0, err
		}
		for _, e := range theirs {
			missing[e] = true
		}
		for _, e := range mine {
			if missing[e] {
				missing[e] = false
			}
		}
	}
	for _, m := range missing {
		if !m {
			common++
		}
	}
	return missing, common, nil
}

// get fetches ranges and hands on what comes.
func (p *puller) get(ctx context.Context, s *stream, ranges Scope) error {
	rest := ranges
	defer func() {
		for _, r := range rest {
			p.fetch(r, fetchedAtOnce)
		}
	}()
	q := request{kind: typeGet}
	for _, r := range ranges {
		q.ranges = append(q.ranges, rangeRequest{Range: r})
	}
	body, err := s.request(q)
	any := false
	for ; err == nil; body, err = s.answer() {
		if body[0] == typeEnd {
			rest, err = p.end(body, rest, any || s.left < endlessRoom)
			return err
		}
		items, err := decodeItems(body)
		if err != nil {
			return offence(err.Error())
		}
		any = true
		for _, it := range items {
			if rest = rest.from(string(it.Element)); len(rest) == 0 || !rest[0].Contains(it.Element) {
				return offence("peer sent what was not asked for, or out of order")
			}
			rest = rest.from(string(it.Element) + "\x00")
			p.result.Items++
			if err := p.take.add(ctx, it); err != nil {
				return err
			}
		}
	}
	return err
}

func (p *puller) end(body []byte, rest Scope, may bool) (Scope, error) {
	position, err := decodeEnd(body)
	if err != nil {
		return rest, offence(err.Error())
	}
	if position == "" {
		return nil, nil
	}
	after := rest.from(position)
	switch {
	case !may:
		return rest, offence("peer left out everything")
	case len(rest) == 0 || len(after) == 0 || position < rest[0].From:
		return rest, offence("peer stopped outside what was asked for")
	}
	return after, nil
}

// wantedElements are the missing elements of one answer. Those that are
// neighbours in the peer's set are fetched as one range.
type wantedElements struct {
	elements []records.Element
	joined   []bool // with the one before it
}

func (w *wantedElements) add(theirs []records.Element, missing map[records.Element]bool) {
	last := false
	for _, e := range theirs {
		if missing[e] {
			w.elements = append(w.elements, e)
			w.joined = append(w.joined, last)
		}
		last = missing[e]
	}
}

// want asks whether the elements are worth it and notes them to be fetched.
func (p *puller) want(ctx context.Context, w wantedElements) error {
	wanted := w.elements
	if p.r.cfg.Wanted != nil && len(wanted) > 0 {
		var err error
		if wanted, err = p.r.cfg.Wanted(ctx, wanted); err != nil {
			return err
		}
		p.result.Unwanted += len(w.elements) - len(wanted)
	}
	yes := make(map[records.Element]bool, len(wanted))
	for _, e := range wanted {
		yes[e] = true
	}
	last := false
	for i, e := range w.elements {
		if !yes[e] {
			last = false
			continue
		}
		r := records.ElementRange(e)
		if last && w.joined[i] {
			f := &p.gets[len(p.gets)-1]
			f.To = r.To
			f.count++
		} else {
			p.fetch(r, 1)
		}
		last = true
	}
	return nil
}
