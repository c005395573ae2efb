package reconcile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/simulation"
)

// answers are the vectors of whole answers.
const answers = "../testdata/reconcile/answers"

// An answerCase is the vector of a whole answer to a get: its messages, each behind its
// length, and the elements of what an asker has then.
type answerCase struct {
	name, expect, spec, comment string
	request, answer             string
	taken                       []records.Element // where it is no refusal
}

func (c answerCase) archive() []byte {
	a := &txtar.Archive{
		Comment: fmt.Appendf(nil, "expect: %s\nspec: %s\ncomment: %s\n", c.expect, c.spec, c.comment),
		Files:   []txtar.File{{Name: "request.hex", Data: hexLines(c.request)}, {Name: "answer.hex", Data: hexLines(c.answer)}},
	}
	if c.expect == "ok" {
		var lines []byte
		for _, e := range c.taken {
			lines = fmt.Appendf(lines, "%x\n", string(e))
		}
		a.Files = append(a.Files, txtar.File{Name: "elements.hex", Data: lines})
	}
	return txtar.Format(a)
}

// sent puts its length before each message.
func sent(messages ...string) string {
	var all strings.Builder
	for _, m := range messages {
		all.WriteString(num(len(m)) + m)
	}
	return all.String()
}

func answerCases() []answerCase {
	alice, err := records.FingerprintFromBytes([]byte(aliceFrom[1:]))
	if err != nil {
		panic(err)
	}
	bob, err := records.FingerprintFromBytes([]byte(bobFrom[1:]))
	if err != nil {
		panic(err)
	}
	key := keyBlock(alice, 0)
	three := []records.Item{record(alice, 1), record(alice, 2), record(alice, 3)}
	slices.SortFunc(three, func(a, b records.Item) int { return strings.Compare(string(a.Element), string(b.Element)) })
	items := func(list ...records.Item) string { return string(itemsMessage(list...)) }
	// Two elements, the second one of them last.
	two := "\x02" + str(0, string(three[0].Element)) + str(54, "\x00") + str(22, string(three[2].Element)[22:]) + str(54, "\x00")
	end, endAt := string(encodeEnd("")), func(position string) string { return string(encodeEnd(position)) }
	ok := func(name, spec, comment, request, answer string, taken ...records.Element) answerCase {
		return answerCase{name, "ok", spec, comment, request, answer, taken}
	}
	bad := func(name, spec, comment, request, answer string) answerCase {
		return answerCase{name, "refused", spec, comment, request, answer, nil}
	}
	long := num(len(end))
	return []answerCase{
		ok("none", "E9 E10", "nothing is there", getAlice, sent(end)),
		ok("two-messages", "E5 E9", "a key block and three records in two messages: the string before is none in each", getAlice, sent(items(key, three[0]), items(three[1], three[2]), end), key.Element, three[0].Element, three[1].Element, three[2].Element),
		bad("order", "E9", "two records whose digests are in the wrong order", getAlice, sent(items(three[1], three[0]), end)),
		bad("order-of-messages", "E9", "a message that begins before the last element of the one before it", getAlice, sent(items(three[1]), items(three[0]), end)),
		bad("key-last", "E9", "a key block behind a record of its author", getAlice, sent(items(three[0], key), end)),
		bad("twice", "E9", "one record twice", getAlice, sent(items(three[0], three[0]), end)),
		bad("outside", "E9", "a record of another author", getAlice, sent(items(three[0], record(bob, 1)), end)),
		bad("between", "E9", "a record whose digest lies between two that were asked for", two, sent(items(three[0], three[1], three[2]), end)),
		ok("position", "E10", "the last record was not sent", getAlice, sent(items(three[0], three[1]), endAt(string(three[2].Element))), three[0].Element, three[1].Element),
		bad("position-first", "E10", "nothing was sent at all, and there is more", getAlice, sent(endAt(string(three[0].Element)))),
		bad("position-before", "E10", "a position that is not behind the last item", getAlice, sent(items(three[0], three[1]), endAt(string(three[1].Element)))),
		bad("position-outside", "E10", "a position behind what was asked for", getAlice, sent(items(three[0]), endAt(bobFrom))),
		bad("length-none", "E5", "a message of no bytes", getAlice, sent("")+sent(end)),
		bad("length-long", "E5", "a length in two bytes that fits in one", getAlice, string([]byte{long[0] | 0x80, 0})+end),
		bad("length-large", "E5", "a message of 1,048,577 bytes", getAlice, string(binary.AppendUvarint(nil, maxFrame+1))+strings.Repeat("\x12", 100)),
	}
}

// TestAnswerVectors pulls from a peer that gives the answers of the vectors.
func TestAnswerVectors(t *testing.T) {
	made := map[string]bool{}
	for _, c := range answerCases() {
		file := filepath.Join(answers, c.name+".txtar")
		made[file] = true
		if *update {
			if err := os.WriteFile(file, c.archive(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if b, err := os.ReadFile(file); err != nil || !bytes.Equal(b, c.archive()) {
			t.Errorf("%s is not what its generator makes: %v", file, err)
		}
		t.Run(c.name, func(t *testing.T) { c.run(t) })
	}
	files, err := filepath.Glob(answers + "/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, f := range files {
		if !made[f] {
			t.Errorf("%s has no generator", f)
		}
	}
}

func (c answerCase) run(t *testing.T) {
	q, err := decodeRequest([]byte(c.request))
	if err != nil {
		t.Fatal(err)
	}
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		hosts[0].SetStreamHandler(Protocol, func(s network.Stream) {
			defer s.CloseWrite()
			r := newRaw(s)
			body, err := r.receive()
			if err != nil || string(body) != c.request {
				t.Errorf("the request is %x, %v", body, err)
			}
			if _, err := s.Write([]byte(c.answer)); err != nil {
				t.Error(err)
			}
			_, _ = r.receive() // the asker ends, or asks for the rest
		})
		x := start(t, hosts[1], newMemory(), Config{})
		defer x.stop()
		simulation.Connect(t, hosts[1], hosts[0])
		synctest.Wait()
		_, err := x.Pull(t.Context(), hosts[0].ID(), q.scope())
		if offends := errors.As(err, new(*OffenceError)); offends != (c.expect == "refused") {
			t.Errorf("%v, want %s", err, c.expect)
		}
		if c.expect == "ok" && !slices.Equal(x.all(), c.taken) {
			t.Errorf("it has %x then, want %x", x.all(), c.taken)
		}
	})
}
