package interop

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing/fstest"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/transfer"
)

// What a stranger's module has in it that is to fill a disk, and of every third the
// blocks that are never sent.
const (
	fillFiles  = 8
	fillFile   = 1 << 20
	heldBlocks = 3
)

// ballast is a stranger's blocks, of which some are not given away.
type ballast struct {
	mu     sync.Mutex
	blocks map[string][]byte // by multihash
	held   map[string]bool
	given  func(bytes int)
}

// Put implements unixfs.Store and transfer.Store.
func (b *ballast) Put(_ context.Context, c cid.Cid, block []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blocks[string(c.Hash())] = block
	return nil
}

// Get implements transfer.Store. What is held back never comes.
func (b *ballast) Get(ctx context.Context, c cid.Cid) ([]byte, error) {
	b.mu.Lock()
	block, held := b.blocks[string(c.Hash())], b.held[string(c.Hash())]
	b.mu.Unlock()
	switch {
	case held:
		<-ctx.Done()
		return nil, ctx.Err()
	case block == nil:
		return nil, errors.New("not here")
	}
	b.given(len(block))
	return block, nil
}

// fill releases modules of random bytes under a new key, one after the other, and gives
// them to who asks. Of every third some blocks never come.
func (a *attackers) fill(ctx context.Context, h host.Host) error {
	author, err := sign.NewSecretKey("Filler", "", time.Now().Add(-time.Hour))
	if err != nil {
		return err
	}
	store := &ballast{blocks: map[string][]byte{}, held: map[string]bool{}, given: func(n int) { a.count("KiB of strangers' modules", n>>10) }}
	var serving sync.WaitGroup
	defer serving.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	serving.Go(func() { _ = transfer.New(h, transfer.Config{Store: store}).Run(ctx) })
	// The node hears what a peer speaks when they meet.
	for !slices.Contains(h.Mux().Protocols(), transfer.ID) {
		runtime.Gosched()
	}
	if err := errors.Join(h.Network().ClosePeer(a.target.ID), h.Connect(ctx, a.target)); err != nil {
		return err
	}
	topics, err := a.topics(ctx, h)
	if err != nil {
		return err
	}
	for n := 0; h.Network().Connectedness(a.target.ID) == network.Connected; n++ {
		frame, err := store.release(ctx, author, n)
		if err != nil {
			return err
		}
		if err := topics[gossip.TopicRecords].Publish(ctx, frame); err == nil {
			a.count("modules to fill the disk", 1)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
	return nil
}

// release makes a module of random bytes, and the frame of its release.
func (b *ballast) release(ctx context.Context, author *sign.SecretKey, n int) ([]byte, error) {
	name := fmt.Sprintf("filler-%x", rand.Uint64())
	files := fstest.MapFS{"package.json": {Data: fmt.Appendf(nil, `{"name":%q,"version":"1.0.0"}`, name), Mode: 0o644}}
	seed := [32]byte{}
	binary.LittleEndian.PutUint64(seed[:], rand.Uint64())
	random := rand.NewChaCha8(seed)
	for i := range fillFiles {
		data := make([]byte, fillFile)
		if _, err := random.Read(data); err != nil {
			return nil, err
		}
		files[fmt.Sprintf("%d.bin", i)] = &fstest.MapFile{Data: data, Mode: 0o644}
	}
	set, err := modules.ScanFS(files)
	if err != nil {
		return nil, err
	}
	m, err := set.Pack(ctx, b)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	for hash, block := range b.blocks {
		if n%3 == 2 && len(b.held) < heldBlocks*(n+1)/3 && len(block) == fillFile {
			b.held[hash] = true
		}
	}
	b.mu.Unlock()
	v, err := sign.Sign(ctx, author, &records.Record{Author: author.Key().Fingerprint(), Time: time.Now().Unix(), Body: m.Release()})
	if err != nil {
		return nil, err
	}
	return records.EncodeFrame(records.Frame{Key: author.Key().Block(), Envelope: v.Envelope()})
}

// sip asks on all streams that it may have for the node's largest blocks, and takes
// 64 KiB of them just before it is late.
func (a *attackers) sip(ctx context.Context, h host.Host) error {
	request := append(binary.BigEndian.AppendUint16([]byte{1}, uint16(len(a.Large))), bytes.Join(a.Large, nil)...)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := a.sipOnce(ctx, h, request); err != nil {
					select {
					case <-ctx.Done():
					case <-time.After(250 * time.Millisecond):
					}
				}
			}
		})
	}
	all.Wait()
	return nil
}

func (a *attackers) sipOnce(ctx context.Context, h host.Host, request []byte) error {
	s, err := h.NewStream(ctx, a.target.ID, transfer.ID)
	if err != nil {
		return err
	}
	defer s.Reset()
	if _, err := s.Write(request); err != nil {
		return err
	}
	for piece := make([]byte, 64<<10); ; {
		if _, err := io.ReadFull(s, piece); err != nil {
			return err
		}
		a.count("pieces taken slowly", 1)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(7 * time.Second):
		}
	}
}

// question asks whether the node has its modules, each in its turn, without end.
func (a *attackers) question(ctx context.Context, h host.Host) error {
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := a.has(ctx, h, a.load("modules", a.Modules)); err != nil {
					select {
					case <-ctx.Done():
					case <-time.After(250 * time.Millisecond):
					}
				}
			}
		})
	}
	all.Wait()
	return nil
}

func (a *attackers) has(ctx context.Context, h host.Host, module []byte) error {
	s, err := h.NewStream(ctx, a.target.ID, "/es/has/1")
	if err != nil {
		return err
	}
	defer s.Reset()
	_ = s.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := s.Write(append([]byte{byte(len(module))}, module...)); err != nil {
		return err
	}
	_, err = io.ReadFull(s, make([]byte, 1))
	if err == nil {
		a.count("questions for modules", 1)
	}
	return err
}
