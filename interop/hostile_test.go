package interop

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// A corpus makes frames that nobody may accept. The same seed makes the same.
type corpus struct {
	t       testing.TB
	random  *rand.Rand
	authors []*sign.SecretKey
	frames  [][]byte // good ones, by the first author
}

func newCorpus(t testing.TB) *corpus {
	t.Helper()
	c := &corpus{t: t, random: rand.New(rand.NewPCG(1, 1))}
	for i := range 3 {
		key, err := sign.NewSecretKey(fmt.Sprintf("Author %d", i), "author@example.org", time.Now().Add(-time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		c.authors = append(c.authors, key)
	}
	for i := range 20 {
		record := c.record(c.authors[0], i)
		verified, err := sign.Sign(t.Context(), c.authors[0], record)
		if err != nil {
			t.Fatal(err)
		}
		c.frames = append(c.frames, c.frame(c.authors[0].Key().Block(), verified.Envelope()))
	}
	return c
}

func (c *corpus) record(author *sign.SecretKey, n int) *records.Record {
	name, err := records.ParseName(fmt.Sprintf("hostile-%d", n))
	if err != nil {
		c.t.Fatal(err)
	}
	version, err := records.ParseVersion("1.0.0")
	if err != nil {
		c.t.Fatal(err)
	}
	hash, err := multihash.Sum([]byte(name), multihash.SHA2_256, -1)
	if err != nil {
		c.t.Fatal(err)
	}
	module := cid.NewCidV1(cid.DagProtobuf, hash)
	bodies := []records.Body{
		&records.Release{Name: name, Version: version, Module: module, Size: 10, Files: 1,
			Manifest: records.Manifest{Description: "bait", Keywords: []string{"bait"}}},
		&records.Release{Name: name, Version: version, Module: module, Size: 1 << 30, Files: 3,
			Manifest: records.Manifest{Dependencies: map[string]string{"left-pad": "^1.0.0"}, Scripts: true}},
		&records.Tag{Name: name, Tag: "latest", Version: version},
	}
	return &records.Record{
		Author: author.Key().Fingerprint(),
		Time:   time.Now().Add(-time.Minute).Unix(),
		Body:   bodies[n%len(bodies)],
	}
}

func (c *corpus) frame(key, envelope []byte) []byte {
	c.t.Helper()
	frame, err := records.EncodeFrame(records.Frame{Key: key, Envelope: envelope})
	if err != nil {
		c.t.Fatal(err)
	}
	return frame
}

func (c *corpus) good() []byte { return bytes.Clone(c.frames[c.random.IntN(len(c.frames))]) }

func (c *corpus) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(c.random.Uint32())
	}
	return b
}

// malformed returns a frame that was broken in one of ten ways.
func (c *corpus) malformed(kind int) []byte {
	good := c.good()
	from := c.random.IntN(len(good))
	to := from + 1 + c.random.IntN(len(good)-from)
	var bad []byte
	switch kind % 10 {
	case 0:
		bad = c.noise(1 + c.random.IntN(2*records.MaxFrame))
	case 1:
		bad = good[:from]
	case 2:
		bad = append(good, c.noise(1+c.random.IntN(64))...)
	case 3:
		bad = append(good[:from:from], good[to:]...)
	case 4:
		bad = append(append(good[:from:from], c.noise(1+c.random.IntN(64))...), good[from:]...)
	case 5:
		bad = append(good[:to:to], good[from:]...)
	case 6:
		bad = good
		copy(bad[from:to], c.noise(to-from))
	case 7: // nested arrays or maps without end where the record should be
		nest := [][]byte{{0x81}, {0x9f}, {0xa1, 0x61, 'a'}, {0xd8, 0x2a}}[c.random.IntN(4)]
		bad = append(good[:from:from], bytes.Repeat(nest, 1+c.random.IntN(10_000))...)
	case 8: // a head that promises more than there is
		heads := []string{"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "\xbb\x7f\xff\xff\xff\xff\xff\xff\xff", "\x5b\x00\x00\x00\x7f\xff\xff\xff\xff", "\x7a\xff\xff\xff\xff"}
		bad = append(append(good[:from:from], heads[c.random.IntN(len(heads))]...), good[from:]...)
	case 9: // a head in more bytes than it needs
		bad = append(good[:from:from], good[from]&0xe0|24, good[from]&0x1f)
		bad = append(bad, good[from+1:]...)
	}
	if c.known(bad) {
		return c.malformed(kind)
	}
	return bad
}

// flipped returns a frame with one to three bits turned over.
func (c *corpus) flipped(int) []byte {
	bad := c.good()
	for range 1 + c.random.IntN(3) {
		bad[c.random.IntN(len(bad))] ^= 1 << c.random.IntN(8)
	}
	if c.known(bad) {
		return c.flipped(0)
	}
	return bad
}

// foreign returns a frame in which one author's record has a signature by
// somebody else, who also may be the one whose key comes with it.
func (c *corpus) foreign(n int) []byte {
	victim, forger, third := c.authors[0], c.authors[1], c.authors[2]
	record, err := records.Encode(c.record(victim, n))
	if err != nil {
		c.t.Fatal(err)
	}
	body := c.record(victim, n).Body
	at := time.Now().Add(-time.Minute).Truncate(time.Second)
	signature, err := forger.Sign(c.t.Context(), record, records.Context(body), at)
	if err != nil {
		c.t.Fatal(err)
	}
	envelope, err := records.EncodeEnvelope(record, signature)
	if err != nil {
		c.t.Fatal(err)
	}
	keys := []*sign.SecretKey{victim, forger, third}
	return c.frame(keys[n%len(keys)].Key().Block(), envelope)
}

func (c *corpus) known(frame []byte) bool {
	for _, good := range c.frames {
		if bytes.Equal(good, frame) {
			return true
		}
	}
	return false
}

// hostile calls f with every frame that issue and SPEC.md ask to refuse.
func (c *corpus) hostile(f func(kind string, frame []byte)) {
	for _, part := range []struct {
		kind string
		n    int
		make func(int) []byte
	}{
		{"malformed", 10_000, c.malformed},
		{"bit-flipped", 10_000, c.flipped},
		{"by a foreign key", 1000, c.foreign},
	} {
		for i := range part.n {
			f(part.kind, part.make(i))
		}
	}
}

// offer does with a frame what a node does: decode, verify, index. known are
// keys that the node has already; the frame's own key joins them.
func offer(ctx context.Context, x *index.Index, known sign.KeyRing, data []byte) error {
	frame, err := records.DecodeFrame(data)
	if err != nil {
		return err
	}
	key, err := sign.ParseKey(frame.Key)
	if err != nil {
		return err
	}
	ring := sign.KeyRing{key.Fingerprint(): key}
	for fingerprint, k := range known {
		ring[fingerprint] = k
	}
	verified, err := sign.Open(frame.Envelope, ring)
	if err != nil {
		return err
	}
	author, _ := ring.Key(verified.Record().Author)
	_, err = x.Add(ctx, verified, author, index.Source{})
	return err
}

// TestThreat1HostileRecords offers 21,000 bad records to sign and index: by a node
// that knows the author's key and by one that does not.
func TestThreat1HostileRecords(t *testing.T) {
	c := newCorpus(t)
	for _, node := range []struct {
		name  string
		known sign.KeyRing
	}{
		{"a stranger", nil},
		{"who knows the author", sign.KeyRing{c.authors[0].Key().Fingerprint(): c.authors[0].Key()}},
	} {
		t.Run(node.name, func(t *testing.T) {
			x, err := index.Open(t.Context(), filepath.Join(t.TempDir(), "index.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			c.hostile(func(kind string, frame []byte) {
				if err := offer(t.Context(), x, node.known, frame); err == nil {
					t.Errorf("%s: accepted %x", kind, frame)
				}
			})
			counts, err := x.Counts(t.Context())
			if err != nil || counts.Records != 0 || counts.Releases != 0 {
				t.Errorf("indexed %+v, want nothing (%v)", counts, err)
			}
			for _, frame := range c.frames {
				if err := offer(t.Context(), x, node.known, frame); err != nil {
					t.Errorf("a good record is refused: %v", err)
				}
			}
			if counts, err := x.Counts(t.Context()); err != nil || counts.Records != int64(len(c.frames)) {
				t.Errorf("indexed %+v, want %d records (%v)", counts, len(c.frames), err)
			}
		})
	}
}

// TestHostilePeers has many peers push bad records at a running node, which
// must index none, ban them, and still hear an honest author.
func TestHostilePeers(t *testing.T) {
	const peers, each = 32, 40
	c := newCorpus(t)
	victim := newUser(t)
	target := victim.node()
	addr, err := peer.AddrInfoFromString(target.addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	var frames [][]byte
	c.hostile(func(kind string, frame []byte) {
		if len(frame) > 0 && len(frame) <= records.MaxFrame {
			frames = append(frames, frame)
		}
	})
	c.random.Shuffle(len(frames), func(i, j int) { frames[i], frames[j] = frames[j], frames[i] })

	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(8)
	for i := range peers {
		group.Go(func() error { return attack(ctx, *addr, frames[i*each:(i+1)*each]) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}

	author, fingerprint := newAuthor(t, "honest")
	author.node("--bootstrap", target.addrs[0])
	author.waitForPeer()
	source := t.TempDir()
	write(t, filepath.Join(source, "package.json"), `{"name":"honest","version":"1.0.0"}`)
	author.publish(source)
	eventually(t, 20*time.Second, "the honest release in es search", func() bool {
		hits := victim.search("honest")
		return len(hits) == 1 && hits[0].Author == fingerprint
	})
	type counts struct{ Records, Releases, Authors int }
	var got, want counts
	author.json(&want, "", "status")
	eventually(t, 20*time.Second, "what the honest author said", func() bool {
		victim.json(&got, "", "status")
		return got.Records >= want.Records
	})
	if got != want || got.Releases != 1 {
		t.Errorf("the index has %+v, want the honest author's %+v", got, want)
	}
}

// attack joins the node's gossip as a peer that accepts everything and sends
// the frames. A node that hangs up on it is right.
func attack(ctx context.Context, target peer.AddrInfo, frames [][]byte) error {
	host, err := libp2p.New(libp2p.NoListenAddrs)
	if err != nil {
		return err
	}
	defer host.Close()
	g, err := gossip.New(host, gossip.Config{
		Accept: func(context.Context, gossip.Message) gossip.Outcome { return gossip.Accept },
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	running := make(chan error, 1)
	go func() { running <- g.Run(ctx) }()
	defer func() {
		stop()
		<-running
	}()
	if err := host.Connect(ctx, target); err != nil {
		return err
	}
	if err := g.Ready(ctx); err != nil {
		return err
	}
	sent := 0
	for _, frame := range frames {
		n, err := g.PublishRecord(ctx, frame)
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		sent += n
	}
	if sent == 0 {
		return fmt.Errorf("no frame reached the node")
	}
	_, err = g.Leave(ctx)
	return err
}
