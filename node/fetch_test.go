package node

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/replica"
	"github.com/everythingstays/es/node/swarm"
	"github.com/everythingstays/es/records"
)

// liar serves other bytes for every block that it is asked for.
type liar struct{ replica.ExchangeStore }

func (l liar) Get(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	b, err := l.ExchangeStore.Get(ctx, c)
	if err != nil {
		return nil, err
	}
	bad := append([]byte(nil), b.RawData()...)
	bad[len(bad)-1]++
	return blocks.NewBlockWithCid(bad, c)
}

// Threat 45: bad blocks are neither stored nor in the way of good ones.
func TestCorruptProvider(t *testing.T) {
	ctx := t.Context()
	a := newAuthor(t, testHome(t))
	_, m := a.publish("left-pad", "1.0.0")
	bad := testSwarm(t, swarm.Config{})
	served := make(chan struct{}, 1000)
	lies := liar{replica.ExchangeStore{Store: a.home.Blocks(), Record: a.home.Index().Block, Served: func() { served <- struct{}{} }}}
	server := bitswap.New(ctx, bsnet.NewFromIpfsHost(bad.Host()), nil, lies)
	defer server.Close()

	n := startNode(t, testHome(t), Config{})
	info, err := address.Parse(n.addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := bad.Dial(ctx, *info, swarm.Incoming, swarm.DialTimeout); err != nil {
		t.Fatal(err)
	}
	var away *api.UnreachableError
	if err := n.Fetch(ctx, wantOf(m), nil); !errors.As(err, &away) {
		t.Errorf("fetch from a liar: %v", err)
	}
	select {
	case <-served:
	default:
		t.Error("the liar was not asked: the test shows nothing")
	}
	if files := countFiles(t, filepath.Join(n.home.Dir(), "blocks")); files != 0 {
		t.Errorf("%d blocks of a liar's are stored", files)
	}

	good := startNode(t, a.home, Config{})
	n.join(good)
	n.fetch(m)
	if !complete(ctx, n.home, m) {
		t.Error("the module is not complete")
	}
}

// SPEC N14. IPFS reads records as it reads modules.
func TestServesRecords(t *testing.T) {
	ctx := t.Context()
	a := newAuthor(t, testHome(t))
	v := a.sign(time.Now(), testRelease("1.0.0", someModule(0)))
	a.store(v)
	s := replica.ExchangeStore{Store: a.home.Blocks(), Record: a.home.Index().Block, Served: func() {}}
	for name, want := range map[string]struct {
		c     cid.Cid
		bytes []byte
	}{
		"envelope": {v.EnvelopeID(), v.Envelope()},
		"record":   {v.ID(), v.RecordBytes()},
	} {
		if ok, err := s.Has(ctx, want.c); !ok || err != nil {
			t.Errorf("has %s: %v, %v", name, ok, err)
		}
		if n, err := s.GetSize(ctx, want.c); n != len(want.bytes) || err != nil {
			t.Errorf("size of %s: %d, %v; want %d", name, n, err, len(want.bytes))
		}
		if b, err := s.Get(ctx, want.c); err != nil || !bytes.Equal(b.RawData(), want.bytes) {
			t.Errorf("get %s: %v", name, err)
		}
	}
	other := records.ID([]byte("no record"))
	if ok, err := s.Has(ctx, other); ok || err != nil {
		t.Errorf("has an unknown record: %v, %v", ok, err)
	}
	if _, err := s.Get(ctx, other); !errors.As(err, new(interface{ NotFound() bool })) {
		t.Errorf("get an unknown record: %v", err)
	}
	if _, err := s.GetSize(ctx, cid.NewCidV1(cid.Raw, v.ID().Hash())); !errors.As(err, new(interface{ NotFound() bool })) {
		t.Errorf("a record as a raw block: %v", err)
	}
}
