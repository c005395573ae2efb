package simulation

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everythingstays/es/records"
)

// A record is one that an honest member made, as all members share it. Its
// signature is no signature: a record counts because the world knows it.
type record struct {
	author    int
	frame     []byte
	envelope  []byte
	element   records.Element
	sum       records.Sum // of the element alone
	published time.Time

	mu      sync.Mutex
	arrived map[int]arrival // by member
}

// arrival is when and how a member got a record.
type arrival struct {
	at     time.Time
	pulled bool
}

func (r *record) arrive(member int, pulled bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrived[member] = arrival{time.Now(), pulled}
}

func (r *record) arrivals() map[int]arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[int]arrival, len(r.arrived))
	for i, a := range r.arrived {
		out[i] = a
	}
	return out
}

// A world knows all honest records.
type world struct {
	rand *rand.Rand

	mu        sync.Mutex
	byFrame   map[string]*record
	byElement map[records.Element]*record
	all       []*record
}

func newWorld(seed uint64) *world {
	return &world{rand: rand.New(rand.NewPCG(seed, 3)), byFrame: make(map[string]*record), byElement: make(map[records.Element]*record)}
}

// make makes the next record of an author, of about the size of a release.
func (w *world) make(t *testing.T, author int) *record {
	t.Helper()
	var raw [20]byte
	binary.BigEndian.PutUint32(raw[:], uint32(author)*2654435761) // authors are spread over the order
	fingerprint, err := records.FingerprintFromBytes(raw[:])
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "abcdefghijklmnopqrstuvwxyz"[w.rand.IntN(26)]
		}
		return string(b)
	}
	b, err := records.Encode(&records.Record{Author: fingerprint, Time: time.Now().Unix(), Body: &records.Notice{
		Name: records.Name(word(16)), Range: "1.0.0", NoticeOf: records.Deprecated, Text: word(200)}})
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := records.EncodeEnvelope(b, []byte(word(169)))
	if err != nil {
		t.Fatal(err)
	}
	frame, err := records.EncodeFrame(records.Frame{Key: []byte(word(250)), Envelope: envelope})
	if err != nil {
		t.Fatal(err)
	}
	r := &record{author: author, frame: frame, envelope: envelope, published: time.Now(), arrived: make(map[int]arrival)}
	r.element = records.RecordElement(fingerprint, records.ID(b))
	r.sum.Add(r.element)
	w.byFrame[string(frame)] = r
	w.byElement[r.element] = r
	w.all = append(w.all, r)
	return r
}

func (w *world) ofFrame(b []byte) *record {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.byFrame[string(b)]
}

func (w *world) ofElement(e records.Element) *record {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.byElement[e]
}

// records returns those that were published so far.
func (w *world) records() []*record {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.all)
}

// A set holds the records of one member. It is a reconcile.Set and Source.
type set struct {
	mu      sync.Mutex
	records []*record // in the order of their elements
}

func (s *set) find(point string) (int, bool) {
	return slices.BinarySearchFunc(s.records, point, func(r *record, point string) int {
		return strings.Compare(string(r.element), point)
	})
}

// add reports whether r was new.
func (s *set) add(r *record) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.find(string(r.element))
	if !ok {
		s.records = slices.Insert(s.records, i, r)
	}
	return !ok
}

func (s *set) has(r *record) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.find(string(r.element))
	return ok
}

// in returns the records in a range. It is called with the lock held.
func (s *set) in(r records.Range) []*record {
	from, _ := s.find(r.From)
	to := len(s.records)
	if r.To != "" {
		to, _ = s.find(r.To)
	}
	return s.records[from:max(from, to)]
}

func sumOf(all []*record) (sum records.Sum) {
	for _, r := range all {
		sum.AddSum(r.sum)
	}
	return sum
}

func (s *set) Sum(_ context.Context, r records.Range) (records.Sum, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sumOf(s.in(r)), nil
}

func (s *set) Split(_ context.Context, r records.Range, n int) ([]records.RangeSum, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.in(r)
	n = max(1, min(n, len(all)))
	var out []records.RangeSum
	for i := range n {
		part := all[i*len(all)/n : (i+1)*len(all)/n]
		cut := records.Range{From: r.From, To: r.To}
		if i > 0 {
			cut.From = out[i-1].To
		}
		if i < n-1 {
			cut.To = string(all[(i+1)*len(all)/n].element)
		}
		out = append(out, records.RangeSum{Range: cut, Sum: sumOf(part)})
	}
	return out, nil
}

func (s *set) Elements(_ context.Context, r records.Range, limit int) ([]records.Element, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []records.Element
	for _, m := range s.in(r) {
		if len(out) == limit {
			break
		}
		out = append(out, m.element)
	}
	return out, nil
}

func (s *set) Items(_ context.Context, r records.Range, maxBytes int) ([]records.Item, records.Range, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []records.Item
	for _, m := range s.in(r) {
		if maxBytes -= len(m.envelope); maxBytes < 0 && len(out) > 0 {
			return out, records.Range{From: string(m.element), To: r.To}, nil
		}
		out = append(out, records.Item{Element: m.element, Bytes: m.envelope})
	}
	return out, records.Range{}, nil
}
