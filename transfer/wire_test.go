package transfer

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
)

// A vector is requests and their answers, by a store with these blocks.
type vector struct {
	expect          string
	store           *memory
	request, answer []byte
}

func readVectors(t testing.TB) map[string]vector {
	t.Helper()
	all := map[string]vector{}
	for _, file := range vectors.Read(t, "../testdata/transfer/*.txtar") {
		v := vector{expect: file.Expect, store: newMemory()}
		for _, f := range file.Files {
			lines := strings.Fields(string(f.Data))
			b, err := hex.DecodeString(strings.Join(lines, ""))
			if err != nil {
				t.Fatalf("%s: %v", file.Name, err)
			}
			switch f.Name {
			case "request.hex":
				v.request = b
			case "answer.hex":
				v.answer = b
			case "blocks.hex":
				for _, line := range lines {
					b, _ := hex.DecodeString(line)
					v.store.blocks[sha256.Sum256(b)] = b
				}
			default:
				t.Fatalf("%s: section %q", file.Name, f.Name)
			}
		}
		all[file.Name] = v
	}
	return all
}

// serveBytes answers requests as a server does, without a network.
func serveBytes(t *testing.T, store *memory, requests []byte) ([]byte, error) {
	t.Helper()
	x := New(nil, Config{Store: store})
	x.stats[""] = new(Stats)
	r, out := bytes.NewReader(requests), new(bytes.Buffer)
	w := bufio.NewWriter(out)
	for {
		k, asked, err := readRequest(r)
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			err := w.Flush()
			return out.Bytes(), err
		}
		if err != nil {
			return nil, err
		}
		if k == askNodes {
			err = x.sendNodes(t.Context(), &answer{}, w, asked)
		} else {
			err = x.sendBlocks(t.Context(), &answer{}, w, asked)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestVectors(t *testing.T) {
	seen := map[string]int{}
	for name, v := range readVectors(t) {
		seen[v.expect]++
		switch v.expect {
		case "ok":
			if got, err := serveBytes(t, v.store, v.request); err != nil || !bytes.Equal(got, v.answer) {
				t.Errorf("%s: answer %x, %v; want %x", name, got, err, v.answer)
			}
		case "request":
			if _, err := serveBytes(t, v.store, v.request); err == nil {
				t.Errorf("%s: the request is taken", name)
			}
		case "offence":
			offended(t, name, v, 1)
		case "ended":
			offended(t, name, v, 0)
		default:
			t.Errorf("%s: expect %q", name, v.expect)
		}
	}
	if len(seen) != 4 {
		t.Errorf("saw vectors that expect %v", seen)
	}
}

// offended fetches from a peer whose only answer is v's, and counts how often it lied.
func offended(t *testing.T, name string, v vector, want int64) {
	_, asked, err := readRequest(bytes.NewReader(v.request))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	simulate(t, 2, func(t *testing.T, hosts []host.Host) {
		hosts[0].SetStreamHandler(ID, func(s network.Stream) {
			_, _, _ = readRequest(s)
			_, _ = s.Write(v.answer)
			_ = s.CloseWrite()
		})
		client := start(t, hosts[1], newMemory())
		complete, err := client.fetch(records.Unbounded(asked[0].cid(false)), &node{Exchange: &Exchange{host: hosts[0]}})
		if complete || err != nil || client.offences.Load() != want {
			t.Errorf("%s: complete %v, %v, %d offences, want %d", name, complete, err, client.offences.Load(), want)
		}
		if client.store.bad > 0 {
			t.Errorf("%s: %d bad blocks are stored", name, client.store.bad)
		}
	})
}

// SPEC B6. No list is longer than the limit, and both sides stop at the same node.
func TestNodeListLimit(t *testing.T) {
	l := newNodeList([]digest{{1}})
	l.next()
	var nodes []digest
	for i := range MaxListed + 10 {
		nodes = append(nodes, sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)}))
	}
	l.add(nodes)
	if len(l.listed) != MaxListed || len(l.waiting) != MaxListed-1 {
		t.Errorf("%d are listed and %d wait", len(l.listed), len(l.waiting))
	}
	if d, _ := l.next(); d != nodes[0] {
		t.Errorf("next is %x, want the first link", d)
	}
}

func FuzzRequest(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add(v.request)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		k, asked, err := readRequest(r)
		if err != nil {
			return
		}
		read := b[:len(b)-r.Len()]
		if again := appendRequest(nil, k, asked); !bytes.Equal(again, read) {
			t.Errorf("%x is written %x", read, again)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add(v.answer)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		kind, block, err := readFrame(r, nil)
		if cap(block) > unixfs.MaxBlock {
			t.Fatalf("%d bytes are allocated", cap(block))
		}
		if err != nil {
			return
		}
		var again []byte
		switch kind {
		case isBlock:
			head := frameHeader(len(block))
			again = append(head[:], block...)
		case isAbsent:
			again = headerAbsent[:]
		case isEnd:
			again = headerEnd[:]
		}
		if read := b[:len(b)-r.Len()]; !bytes.Equal(again, read) {
			t.Errorf("%x is written %x", read, again)
		}
	})
}
