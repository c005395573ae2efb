package reconcile

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/everythingstays/es/records"
)

// Limits of the messages (SPEC.md section 13.4).
const (
	maxFrame    = 1 << 20
	maxRanges   = 2048  // in a request
	maxElements = 20000 // in a frame
	maxParts    = 16    // of one range
	maxListed   = 64    // elements of one range
	maxBound    = records.MaxElement + 1
)

// The first byte of each message.
const (
	typeCompare  = 0x01
	typeGet      = 0x02
	typeCompared = 0x11
	typeItems    = 0x12
	typeEnd      = 0x13
	typeRefused  = 0x1f
)

// How the answerer's part of a range compares.
const (
	entryEqual    = 0
	entryElements = 1
	entryParts    = 2
)

// A refusal says why the answerer ends a session.
type refusal byte

const (
	refusedBusy   refusal = 1
	refusedLimit  refusal = 2
	refusedFailed refusal = 3
	refusedBad    refusal = 4
)

func (r refusal) Error() string {
	switch r {
	case refusedBusy:
		return "peer is busy"
	case refusedLimit:
		return "session is over its limits"
	case refusedFailed:
		return "peer has an error of its own"
	case refusedBad:
		return "peer does not understand the request"
	}
	return fmt.Sprintf("refused with unknown code %d", byte(r))
}

// A rangeRequest comes with the fingerprint of the asker's part of it when the
// two are to be compared.
type rangeRequest struct {
	records.Range
	fingerprint records.RangeFingerprint
}

// A request is a compare or a get.
type request struct {
	kind   byte // typeCompare or typeGet
	parts  int  // of a compare: into how many parts a range may be cut
	ranges []rangeRequest
}

func (q request) scope() Scope {
	s := make(Scope, len(q.ranges))
	for i, r := range q.ranges {
		s[i] = r.Range
	}
	return s
}

func (q request) encode() []byte {
	b := []byte{q.kind}
	if q.kind == typeCompare {
		b = binary.AppendUvarint(b, uint64(q.parts))
	}
	last := ""
	for _, r := range q.ranges {
		b = appendString(b, last, r.From)
		b = appendString(b, r.From, r.To)
		last = r.To
		if q.kind == typeCompare {
			b = append(b, r.fingerprint[:]...)
		}
	}
	return b
}

// decodeRequest reads a request whose ranges are in order.
func decodeRequest(body []byte) (request, error) {
	r := &reader{rest: body}
	q := request{kind: r.byte()}
	switch q.kind {
	case typeCompare:
		q.parts = r.number(1, maxParts, "parts")
	case typeGet:
	default:
		return q, fmt.Errorf("no request has type %#02x", q.kind)
	}
	last := ""
	for len(r.rest) > 0 && r.err == nil {
		if len(q.ranges) == maxRanges {
			return q, fmt.Errorf("request has more than %d ranges", maxRanges)
		}
		var a rangeRequest
		a.From = r.string(last)
		a.To = r.string(a.From)
		if q.kind == typeCompare {
			a.fingerprint = r.fingerprint()
		}
		q.ranges = append(q.ranges, a)
		last = a.To
	}
	if r.err != nil {
		return q, r.err
	}
	if len(q.ranges) == 0 {
		return q, errors.New("request has no ranges")
	}
	return q, q.scope().check()
}

// An entry answers for one range that was compared.
type entry struct {
	kind     byte
	elements []records.Element
	parts    []part
}

// A part is a piece of a range, as the answerer has it.
type part struct {
	records.Range
	fingerprint records.RangeFingerprint
	count       uint64
}

func (e entry) append(b []byte, r records.Range) []byte {
	b = append(b, e.kind)
	last := r.From
	switch e.kind {
	case entryElements:
		b = binary.AppendUvarint(b, uint64(len(e.elements)))
		for _, el := range e.elements {
			b = appendString(b, last, string(el))
			last = string(el)
		}
	case entryParts:
		b = binary.AppendUvarint(b, uint64(len(e.parts)))
		for i, p := range e.parts {
			if i > 0 {
				b = appendString(b, last, p.From)
				last = p.From
			}
			b = append(b, p.fingerprint[:]...)
			b = binary.AppendUvarint(b, p.count)
		}
	}
	return b
}

// decodeCompared reads the answer to a compare: entries for the first of its
// ranges, at least one.
func decodeCompared(body []byte, q request) ([]entry, error) {
	r := &reader{rest: body}
	if kind := r.byte(); kind != typeCompared {
		return nil, fmt.Errorf("a compare was answered by type %#02x", kind)
	}
	var entries []entry
	elements := 0
	for len(r.rest) > 0 && r.err == nil {
		if len(entries) == len(q.ranges) {
			return nil, errors.New("answer has more entries than were asked for")
		}
		e := r.entry(q.ranges[len(entries)].Range, q.parts)
		if elements += len(e.elements); elements > maxElements {
			return nil, fmt.Errorf("answer has more than %d elements", maxElements)
		}
		entries = append(entries, e)
	}
	if r.err == nil && len(entries) == 0 {
		return nil, errors.New("answer has no entries")
	}
	return entries, r.err
}

func (r *reader) entry(in records.Range, parts int) entry {
	e := entry{kind: r.byte()}
	switch {
	case e.kind == entryEqual:
	case e.kind == entryElements && parts > 1:
		n := r.number(0, maxListed, "elements")
		last := in.From
		for i := 0; i < n && r.err == nil; i++ {
			el := r.element(last)
			if r.err == nil && (!in.Contains(el) || i > 0 && string(el) <= last) {
				r.fail(errors.New("elements are outside the range or not in order"))
			}
			e.elements = append(e.elements, el)
			last = string(el)
		}
	case e.kind == entryParts:
		e.parts = r.parts(in, parts)
	default:
		r.fail(fmt.Errorf("no entry here has kind %d", e.kind))
	}
	return e
}

func (r *reader) parts(in records.Range, most int) []part {
	n := r.number(min(most, 2), most, "parts")
	parts := make([]part, 0, n)
	last := in.From
	for i := 0; i < n && r.err == nil; i++ {
		p := part{Range: records.Range{From: last, To: in.To}}
		if i > 0 {
			p.From = r.string(last)
			if p.From <= last || !before(p.From, in.To) {
				r.fail(errors.New("parts are outside the range or not in order"))
			}
			parts[i-1].To = p.From
			last = p.From
		}
		p.fingerprint = r.fingerprint()
		p.count = r.uvarint()
		parts = append(parts, p)
	}
	return parts
}

// appendItem appends an item. last is the head of the item before it.
func appendItem(b []byte, last string, it records.Item) []byte {
	b = appendString(b, last, head(it.Element))
	b = binary.AppendUvarint(b, uint64(len(it.Bytes)))
	return append(b, it.Bytes...)
}

// head is an element without its digest.
func head(e records.Element) string { return string(e[:len(e)-32]) }

// decodeItems reads items and works out which elements they are.
func decodeItems(body []byte) ([]records.Item, error) {
	r := &reader{rest: body}
	if kind := r.byte(); kind != typeItems {
		return nil, fmt.Errorf("a get was answered by type %#02x", kind)
	}
	var items []records.Item
	last := ""
	for len(r.rest) > 0 && r.err == nil {
		if len(items) == maxElements {
			return nil, fmt.Errorf("message has more than %d items", maxElements)
		}
		last = r.string(last)
		it := r.item(last)
		if r.err != nil {
			break
		}
		items = append(items, it)
	}
	if r.err == nil && len(items) == 0 {
		return nil, errors.New("message has no items")
	}
	return items, r.err
}

func (r *reader) item(head string) records.Item {
	// Whatever the digest, this is an element if the head is good.
	e, err := records.ParseElement(append([]byte(head), make([]byte, 32)...))
	if err != nil {
		r.fail(err)
		return records.Item{}
	}
	if e.Kind() == records.ElementKey {
		b := r.bytes(r.number(1, records.MaxKeyBlock, "bytes of a key block"))
		return records.Item{Element: records.KeyElement(e.Author(), b), Bytes: b}
	}
	b := r.bytes(r.number(1, records.MaxEnvelope, "bytes of an envelope"))
	if r.err != nil {
		return records.Item{}
	}
	envelope, err := records.DecodeEnvelope(b)
	if err != nil {
		r.fail(err)
		return records.Item{}
	}
	if envelope.Record.Author != e.Author() {
		r.fail(fmt.Errorf("record of %s was sent as one of %s", envelope.Record.Author, e.Author()))
	}
	return records.Item{Element: records.RecordElement(e.Author(), records.ID(envelope.RecordBytes)), Bytes: b}
}

// encodeEnd ends the answer to a get. What was asked for from position on was
// not sent; the empty position says that everything was.
func encodeEnd(position string) []byte {
	b := []byte{typeEnd}
	if position != "" {
		b = appendString(b, "", position)
	}
	return b
}

func decodeEnd(body []byte) (position string, err error) {
	r := &reader{rest: body}
	if kind := r.byte(); kind != typeEnd {
		return "", fmt.Errorf("a get was answered by type %#02x", kind)
	}
	if len(r.rest) > 0 {
		if position = r.string(""); position == "" {
			r.fail(errors.New("position is empty"))
		}
	}
	return position, r.done()
}

func encodeRefused(code refusal) []byte { return []byte{typeRefused, byte(code)} }

func decodeRefused(body []byte) (refusal, error) {
	r := &reader{rest: body}
	if kind := r.byte(); kind != typeRefused {
		return 0, fmt.Errorf("type %#02x is no refusal", kind)
	}
	code := refusal(r.number(int(refusedBusy), int(refusedBad), "code"))
	return code, r.done()
}

// appendString appends s as the length that it shares with the string before it,
// the length of the rest, and the rest.
func appendString(b []byte, last, s string) []byte {
	shared := 0
	for shared < min(len(last), len(s)) && last[shared] == s[shared] {
		shared++
	}
	b = binary.AppendUvarint(b, uint64(shared))
	b = binary.AppendUvarint(b, uint64(len(s)-shared))
	return append(b, s[shared:]...)
}

// A reader reads a message up to the first error.
type reader struct {
	rest []byte
	err  error
}

var errShort = errors.New("message is cut short")

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
		r.rest = nil
	}
}

func (r *reader) done() error {
	if r.err == nil && len(r.rest) > 0 {
		return errors.New("bytes follow the message")
	}
	return r.err
}

func (r *reader) byte() byte {
	b := r.bytes(1)
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

// bytes returns the next n bytes, which are not copied.
func (r *reader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.fail(errShort)
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	switch {
	case n <= 0:
		r.fail(errShort)
		return 0
	case n > 1 && r.rest[n-1] == 0:
		r.fail(errors.New("number is not in its shortest form"))
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) number(least, most int, what string) int {
	v := r.uvarint()
	if r.err == nil && (v < uint64(least) || v > uint64(most)) {
		r.fail(fmt.Errorf("%d %s, allowed are %d to %d", v, what, least, most))
	}
	if r.err != nil {
		return least
	}
	return int(v)
}

func (r *reader) string(last string) string {
	shared := r.number(0, len(last), "shared bytes")
	rest := r.bytes(r.number(0, maxBound-shared, "further bytes"))
	if r.err != nil {
		return ""
	}
	if shared < len(last) && len(rest) > 0 && rest[0] == last[shared] {
		r.fail(errors.New("shared bytes are repeated"))
	}
	return last[:shared] + string(rest)
}

func (r *reader) element(last string) records.Element {
	s := r.string(last)
	if r.err != nil {
		return ""
	}
	e, err := records.ParseElement([]byte(s))
	if err != nil {
		r.fail(err)
	}
	return e
}

func (r *reader) fingerprint() (f records.RangeFingerprint) {
	copy(f[:], r.bytes(len(f)))
	return f
}
