package node

import (
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
)

// SPEC B80, N83. A peer says that it has a module when it has all of it, and what is
// no question gets no answer.
func TestHolders(t *testing.T) {
	ctx := t.Context()
	a := newAuthor(t, testHome(t))
	m := a.pack("held", "1.0.0", map[string]string{"a.js": "a", "lib/b.js": "b"})
	author, reader := startNode(t, a.home, Config{}), startNode(t, testHome(t), Config{})
	if h, err := author.Holders(ctx, m.CID); err != nil || h.Asked != 0 || h.Have != 0 {
		t.Errorf("with nobody there: %+v, %v", h, err)
	}
	reader.join(author)
	want := func(n *testNode, have int) {
		t.Helper()
		if h, err := n.Holders(ctx, m.CID); err != nil || h.Asked != 1 || h.Have != have {
			t.Errorf("holders %+v, want %d: %v", h, have, err)
		}
	}
	want(author, 0)
	want(reader, 1)
	root, err := a.home.Blocks().Get(ctx, m.CID)
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.home.Blocks().PutUnsynced(ctx, m.CID, root); err != nil {
		t.Fatal(err)
	}
	want(author, 0) // a part is not the module
	if err := reader.Fetch(ctx, wantOf(m), nil); err != nil {
		t.Fatal(err)
	}
	want(author, 1)
	for _, question := range [][]byte{{0}, {255}, {3, 1, 2, 3}, append([]byte{byte(m.CID.ByteLen() + 1)}, append(m.CID.Bytes(), 0)...)} {
		s, err := author.parts.swarm.Host().NewStream(ctx, reader.id(), "/es/has/1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(question); err != nil {
			t.Fatal(err)
		}
		if err := s.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		if n, err := s.Read(b[:]); n != 0 || !errors.Is(err, network.ErrReset) {
			t.Errorf("% x is answered: %d, %v", question, n, err)
		}
	}
}
