package reconcile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/simulation"
)

// A raw side of a session keeps no rules.
type raw struct {
	network.Stream
	in    *bufio.Reader
	bytes int // both directions
}

func newRaw(s network.Stream) *raw { return &raw{Stream: s, in: bufio.NewReader(s)} }

func (r *raw) send(body []byte) error {
	b := append(binary.AppendUvarint(nil, uint64(len(body))), body...)
	n, err := r.Write(b)
	r.bytes += n
	return err
}

func (r *raw) receive() ([]byte, error) {
	size, err := binary.ReadUvarint(r.in)
	if err != nil {
		return nil, err
	}
	body := make([]byte, size)
	n, err := io.ReadFull(r.in, body)
	r.bytes += n + 1
	return body, err
}

// request returns the next request of an asker.
func (r *raw) request() (request, error) {
	body, err := r.receive()
	if err != nil {
		return request{}, err
	}
	return decodeRequest(body)
}

// otherSum is a fingerprint that no set here has.
func otherSum(n int) (f records.RangeFingerprint) {
	binary.LittleEndian.PutUint64(f[:], uint64(n)+1)
	return f
}

// halves cuts each range of a compare in two, and says that both parts differ.
func halves(q request, n int) []byte {
	b := []byte{typeCompared}
	for _, r := range q.ranges {
		e := entry{kind: entryParts}
		for _, p := range half(r.Range) {
			e.parts = append(e.parts, part{p, otherSum(n), 1 << 40})
		}
		b = e.append(b, r.Range)
	}
	return b
}

func half(r records.Range) []records.Range {
	middle := r.From + "\x80"
	if len(middle) > maxBound || !before(middle, r.To) {
		middle = r.From + "\x00"
	}
	return []records.Range{{From: r.From, To: middle}, {From: middle, To: r.To}}
}

// An answerer of the hostile kind gets the first request and the stream.
type hostileAnswer struct {
	name    string
	offence bool // it shows in the bytes
	answer  func(r *raw, q request) error
}

// elementsOnce answers a compare by elements; the get that follows goes to then.
func elementsOnce(items []records.Item, then func(r *raw, q request) error) func(*raw, request) error {
	return func(r *raw, q request) error {
		b := []byte{typeCompared}
		for _, asked := range q.ranges {
			e := entry{kind: entryElements}
			for _, it := range items {
				if asked.Contains(it.Element) && len(e.elements) < maxListed {
					e.elements = append(e.elements, it.Element)
				}
			}
			b = e.append(b, asked.Range)
		}
		if err := r.send(b); err != nil {
			return err
		}
		q, err := r.request()
		if err != nil {
			return err
		}
		return then(r, q)
	}
}

func itemsMessage(items ...records.Item) []byte {
	b, last := []byte{typeItems}, ""
	for _, it := range items {
		b = appendItem(b, last, it)
		last = head(it.Element)
	}
	return b
}

func sendAll(bodies ...[]byte) func(*raw, request) error {
	return func(r *raw, _ request) error {
		for _, b := range bodies {
			if err := r.send(b); err != nil {
				return err
			}
		}
		return nil
	}
}

func hostileAnswers(lacking []records.Item) []hostileAnswer {
	forever := func(answer func(q request, n int) []byte) func(*raw, request) error {
		return func(r *raw, q request) error {
			for n := 0; ; n++ {
				if err := r.send(answer(q, n)); err != nil {
					return err
				}
				var err error
				if q, err = r.request(); err != nil {
					return err
				}
			}
		}
	}
	a, b := lacking[0], lacking[1]
	position := func(e records.Element) []byte { return encodeEnd(string(e)) }
	get := func(bodies ...[]byte) func(*raw, request) error { return elementsOnce(lacking[:2], sendAll(bodies...)) }
	return []hostileAnswer{
		{"splits for ever", true, forever(halves)},
		{"answers for one range of many", true, forever(func(q request, n int) []byte {
			if q.kind == typeGet {
				return encodeEnd("")
			}
			q.ranges = q.ranges[:1]
			return halves(q, n)
		})},
		// It might have dropped them since.
		{"lists what it does not have", false, get(encodeEnd(""))},
		{"promises more, sends nothing", true, get(position(a.Element))},
		{"stops before what it sent", true, get(itemsMessage(b), position(a.Element))},
		{"stops outside", true, get(itemsMessage(a), position(b.Element+"\x01"))},
		{"sends what was not asked for", true, get(itemsMessage(lacking[2]), encodeEnd(""))},
		{"sends what the asker has", true, get(itemsMessage(record(author(0), 0)), encodeEnd(""))},
		{"sends an item twice", true, get(itemsMessage(a, a), encodeEnd(""))},
		{"sends items in the wrong order", true, get(itemsMessage(b), itemsMessage(a), encodeEnd(""))},
		{"sends other bytes for an element", true, get(itemsMessage(records.Item{Element: a.Element, Bytes: record(a.Element.Author(), 9999).Bytes}), encodeEnd(""))},
		{"changes a byte", true, get(itemsMessage(records.Item{Element: a.Element, Bytes: changed(a.Bytes)}), encodeEnd(""))},
		{"sends empty messages of items", true, get([]byte{typeItems}, []byte{typeItems})},
		{"answers a get by entries", true, get([]byte{typeCompared, 0})},
		{"answers a compare by items", true, sendAll(itemsMessage(a))},
		{"answers by rubbish", true, sendAll([]byte("rubbish"))},
		{"answers by an entry too many", true, func(r *raw, q request) error {
			return r.send(make([]byte, len(q.ranges)+2))
		}},
		{"announces a message of a gigabyte", true, func(r *raw, _ request) error {
			_, err := r.Write(binary.AppendUvarint(nil, 1<<30))
			return err
		}},
		{"announces a message of two megabytes", true, func(r *raw, _ request) error {
			_, err := r.Write(binary.AppendUvarint(nil, 2<<20))
			return err
		}},
		{"writes a length in more bytes than it needs", true, func(r *raw, _ request) error {
			_, err := r.Write([]byte{0x82, 0x00, typeCompared, entryEqual})
			return err
		}},
		{"announces a message and sends half", false, func(r *raw, _ request) error {
			if _, err := r.Write(append(binary.AppendUvarint(nil, 1000), make([]byte, 500)...)); err != nil {
				return err
			}
			time.Sleep(time.Hour)
			return nil
		}},
		{"sends a byte every nine seconds", false, func(r *raw, _ request) error {
			for _, b := range append(binary.AppendUvarint(nil, 1000), make([]byte, 1000)...) {
				if _, err := r.Write([]byte{b}); err != nil {
					return err
				}
				time.Sleep(9 * time.Second)
			}
			return nil
		}},
		{"never answers", false, func(r *raw, _ request) error {
			time.Sleep(time.Hour)
			return nil
		}},
		{"hangs up", false, func(r *raw, _ request) error { return r.Close() }},
		{"resets", false, func(r *raw, _ request) error { return r.Reset() }},
		{"refuses with rubbish", true, sendAll([]byte{typeRefused, 77})},
		{"is always busy", false, sendAll(encodeRefused(refusedBusy))},
		{"floods the asker with elements", false, forever(func(q request, n int) []byte {
			b := []byte{typeCompared}
			for _, r := range q.ranges {
				if len(b) > maxFrame/2 {
					break
				}
				e := entry{kind: entryElements}
				for i := range maxListed {
					el := records.Element(head(record(author(1), 0).Element) + fmt.Sprintf("%032d", n*maxListed+i))
					if r.Contains(el) {
						e.elements = append(e.elements, el)
					}
				}
				b = e.append(b, r.Range)
			}
			if q.kind == typeGet {
				return encodeEnd("")
			}
			return b
		})},
		{"sends without end", true, elementsOnce(lacking[:2], func(r *raw, _ request) error {
			for {
				if err := r.send(itemsMessage(a)); err != nil {
					return err
				}
			}
		})},
	}
}

func changed(b []byte) []byte {
	b = append([]byte(nil), b...)
	b[30] ^= 1
	return b
}

// SPEC E12, E13 and E14. Whatever a peer that is asked does, the session
// ends within 60 s and 16 MiB, nothing wrong is taken, and others are not
// disturbed.
func TestThreat32HostileAnswers(t *testing.T) {
	mine := history(2, 100)
	lacking := newMemory(record(author(0), 1000), record(author(0), 1001), record(author(1), 1000))
	var missing []records.Item
	for _, e := range lacking.all() {
		missing = append(missing, records.Item{Element: e, Bytes: lacking.items[e]})
	}
	hostile := hostileAnswers(missing)
	if len(hostile) < 20 {
		t.Fatalf("only %d", len(hostile))
	}
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			simulate(t, 3, func(t *testing.T, hosts []host.Host) {
				victim := start(t, hosts[0], newMemory(mine...), Config{})
				defer victim.stop()
				honest := start(t, hosts[1], newMemory(history(3, 100)...), Config{})
				defer honest.stop()
				simulation.Connect(t, hosts[0], hosts[1])
				simulation.Connect(t, hosts[0], hosts[2])
				var answering sync.WaitGroup
				answering.Add(1)
				hosts[2].SetStreamHandler(Protocol, func(s network.Stream) {
					defer answering.Done()
					r := newRaw(s)
					if q, err := r.request(); err == nil {
						_ = h.answer(r, q)
					}
					time.Sleep(time.Second) // a reset takes back what was not read yet
					_ = s.Reset()
				})
				synctest.Wait()
				other := make(chan error, 1)
				go func() {
					_, err := victim.Pull(t.Context(), hosts[1].ID(), Everything())
					other <- err
				}()
				begin := time.Now()
				got, err := victim.Pull(t.Context(), hosts[2].ID(), Everything())
				if d := time.Since(begin); d > time.Minute+time.Second {
					t.Errorf("the session took %v", d)
				}
				if got.Sent+got.Received > 16<<20 {
					t.Errorf("the session took %d bytes", got.Sent+got.Received)
				}
				var offence *OffenceError
				if errors.As(err, &offence) != h.offence {
					t.Errorf("the error is %v, an offence: %v", err, h.offence)
				} else if h.offence && offence.Peer != hosts[2].ID() {
					t.Errorf("the offence is said to be %s's", offence.Peer)
				}
				if err := <-other; err != nil {
					t.Errorf("an honest peer: %v", err)
				}
				for _, e := range victim.all() {
					if _, ok := honest.items[e]; !ok && lacking.items[e] == nil {
						t.Errorf("%x was taken", string(e))
					}
				}
				if again, err := victim.Pull(t.Context(), hosts[1].ID(), Everything()); err != nil || again.More {
					t.Errorf("an honest peer afterwards: %+v, %v", again, err)
				}
				answering.Wait()
			})
		})
	}
}

// Hostile askers.
var hostileAsks = map[string]func(r *raw) error{
	"sends rubbish":          func(r *raw) error { return r.send([]byte("rubbish")) },
	"sends an empty message": func(r *raw) error { return r.send(nil) },
	"sends an answer":        func(r *raw) error { return r.send([]byte{typeEnd}) },
	"announces a gigabyte": func(r *raw) error {
		_, err := r.Write(binary.AppendUvarint(nil, 1<<30))
		return err
	},
	"sends a length without end": func(r *raw) error {
		_, err := r.Write([]byte(strings.Repeat("\xff", 100)))
		return err
	},
	"never asks": func(r *raw) error { return nil },
	"sends half a request": func(r *raw) error {
		_, err := r.Write([]byte{100, typeGet, 0})
		return err
	},
	"sends a byte every nine seconds": func(r *raw) error {
		if _, err := r.Write([]byte{0xff, 0xff, 0x01}); err != nil {
			return err
		}
		for range 1000 {
			if _, err := r.Write([]byte{0}); err != nil {
				return err
			}
			time.Sleep(9 * time.Second)
		}
		return nil
	},
	"asks every nine seconds": func(r *raw) error { return askForever(r, 9*time.Second, getAll()) },
	"asks for everything again and again": func(r *raw) error {
		return askForever(r, 0, getAll())
	},
	"compares for ever": func(r *raw) error {
		return askForever(r, 0, request{kind: typeCompare, parts: maxParts, ranges: []rangeRequest{{}}})
	},
	"asks for as many ranges as it can": func(r *raw) error {
		q := request{kind: typeCompare, parts: maxParts}
		last := ""
		for i := range maxRanges {
			to := string([]byte{4, byte(i >> 4), byte(i << 4), 1})
			q.ranges = append(q.ranges, rangeRequest{Range: records.Range{From: last, To: to}})
			last = to
		}
		return askForever(r, 0, q)
	},
	"asks and does not read": func(r *raw) error {
		for {
			if err := r.send(getAll().encode()); err != nil {
				return err
			}
		}
	},
	"asks and hangs up": func(r *raw) error {
		if err := r.send(getAll().encode()); err != nil {
			return err
		}
		return r.Reset()
	},
	"asks with ranges in the wrong order": func(r *raw) error {
		return r.send(request{kind: typeGet, ranges: []rangeRequest{{Range: records.Range{From: "\x06", To: "\x07"}}, {Range: records.Range{From: "\x04", To: "\x05"}}}}.encode())
	},
}
