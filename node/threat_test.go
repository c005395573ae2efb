package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/index"
	indexresolve "github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/ingest"
	"github.com/everythingstays/es/install"
	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/home"
	"github.com/everythingstays/es/reconcile"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/simulation"
	"github.com/everythingstays/es/trust"
)

// A homeResolver answers from the index by the trust file, as the program does.
type homeResolver struct {
	index *index.Index
	view  *trust.Evaluator
}

func (r homeResolver) Resolve(ctx context.Context, name records.Name, spec install.Spec) (*install.Resolution, error) {
	res, err := indexresolve.New(r.index).Resolve(ctx, name, spec.Text, r.view)
	if err != nil {
		return nil, err
	}
	return &install.Resolution{Release: *res.Release.Body, Record: res.Release.ID, Signer: res.Release.Author}, nil
}

// TestThreat1ForeignKeys is that 200 records in order (ES_FULL: 1,000), each by
// another key that the user does not trust, are kept as what strangers say, that none
// of them resolves, and that nothing of them comes into node_modules, though every
// block of the module is here.
func TestThreat1ForeignKeys(t *testing.T) {
	foreign := 200
	if full {
		foreign = 1000
	}
	ctx := t.Context()
	h, now := testHome(t), time.Now()
	g := testIngester(h, func() time.Time { return now })
	alice := newAuthor(t, testHome(t))
	if err := atomicfile.Replace(h.TrustPath(), fmt.Appendf(nil, "key %s left-pad @acme/*\n", alice.fingerprint())); err != nil {
		t.Fatal(err)
	}
	local := &author{t, h, alice.key} // packs into the home's blocks
	module := local.pack("left-pad", "1.0.0", map[string]string{"index.js": "module.exports = 1"})
	for i := range foreign {
		secret, err := sign.NewSecretKey("alice", "alice@example.org", now.Add(-time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		mallory := &author{t, h, secret}
		body := releaseOf(module)
		body.Name = []records.Name{"left-pad", "@acme/left-pad", "lodash"}[i%3]
		now = now.Add(time.Second) // strangers have 20 a second together
		if got := pushed(t, g, ingest.Frame, mallory.frame(mallory.sign(now, body))); got != gossip.Accept {
			t.Fatalf("record %d: outcome %d", i, got)
		}
	}
	if n := recordCount(t, h); n != int64(foreign) {
		t.Fatalf("%d records are stored, want %d", n, foreign)
	}

	evaluator, err := h.Evaluator(now)
	if err != nil {
		t.Fatal(err)
	}
	project := filepath.Join(t.TempDir(), "app")
	if err := os.Mkdir(project, 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := install.Open(project)
	if err != nil {
		t.Fatal(err)
	}
	sources := install.Sources{Resolver: homeResolver{h.Index(), evaluator}, Blocks: h.Blocks()}
	addAll := func(request string) error {
		r, err := install.ParseRequest(request)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Add(ctx, sources, []install.Request{r}, install.Options{})
		return err
	}
	for _, name := range []string{"left-pad", "@acme/left-pad", "lodash"} {
		for _, spec := range []string{"", "@1.0.0", "@^1.0.0", "@*", "@latest"} {
			if err := addAll(name + spec); err == nil {
				t.Errorf("%s%s was added", name, spec)
			}
		}
	}
	// Its directory may be there, for what a crash would leave.
	inside, err := filepath.Glob(filepath.Join(project, "node_modules", "[^.]*"))
	if err != nil || len(inside) > 0 {
		t.Errorf("node_modules has %q, %v", inside, err)
	}

	// The same module by the key that is trusted.
	if got := pushed(t, g, ingest.Frame, alice.frame(alice.sign(now, releaseOf(module)))); got != gossip.Accept {
		t.Fatalf("the trusted record: outcome %d", got)
	}
	if err := addAll("left-pad"); err != nil {
		t.Errorf("the trusted release: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(project, "node_modules", "left-pad", "index.js")); err != nil {
		t.Error(err)
	}
}

// TestThreat2Variants is SPEC E1 and R35: of one record, 1,000 variants are told to
// five nodes that cannot reach each other, each of which hears another one first:
// with other valid signatures by its author, wrong ones, ones in forms that OpenPGP
// allows, and other key blocks. It stays one element, the same at all nodes, and
// when they meet nobody has anything to get.
func TestThreat2Variants(t *testing.T) {
	const nodes, variants = 5, 1000
	simulation.Run(t, simulation.Config{Latency: 20 * time.Millisecond, Seed: simSeed()}, func(t *testing.T, net *simulation.Network) {
		v := found(t, net, nodes, nodes-1)
		defer v.leave()
		for i := range nodes {
			net.Move(i, i)
		}
		v.come()
		simulation.Settle(10 * time.Second)
		alice := v.nodes[0].author
		record := alice.sign(time.Now().Add(-20*time.Minute), testRelease("1.0.0", someModule(0)))
		outcomes := map[gossip.Outcome]int{}
		for i := range variants {
			outcomes[pushed(t, v.nodes[i%nodes].node.parts.ingester, ingest.Frame, alice.variant(record, i))]++
		}
		// Four wrong ones come first at each node, and then one in order; what is
		// known is not looked at again.
		if outcomes[gossip.Reject] != 4*nodes || outcomes[gossip.Accept] != nodes {
			t.Errorf("outcomes %v, want %d rejected and %d accepted", outcomes, 4*nodes, nodes)
		}
		// Who is asked for records answers with variants.
		offences := 0
		for i := range variants {
			f, err := records.DecodeFrame(alice.variant(record, i))
			if err != nil {
				t.Fatal(err)
			}
			taken, err := ingestPulled(t.Context(), v.nodes[i%nodes].node.parts.ingester, "12D3", "", new(ingest.Session), []records.Item{
				{Element: records.KeyElement(alice.fingerprint(), f.Key), Bytes: f.Key},
				{Element: records.RecordElement(alice.fingerprint(), record.ID()), Bytes: f.Envelope}})
			if taken.Records+taken.Keys != 0 {
				t.Fatalf("variant %d brought %+v", i, taken)
			}
			if errors.As(err, new(*reconcile.OffenceError)) {
				offences++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if offences != variants*4/5 {
			t.Errorf("%d of %d variants are offences, want %d", offences, variants, variants*4/5)
		}
		whole := records.AuthorRange(alice.fingerprint())
		want := v.nodes[0].sum(whole)
		if want.Count != 2 { // the record and the key block
			t.Errorf("a node has %d elements of the author, want 2", want.Count)
		}
		for i, a := range v.nodes {
			if a.sum(whole) != want {
				t.Errorf("node %d has another set than node 0 before they meet", i)
			}
		}
		net.Heal()
		simulation.Settle(2 * time.Minute)
		for i, a := range v.nodes {
			got, err := a.node.Sync(t.Context(), api.SyncOptions{All: true}, nil)
			if err != nil || got.Peers == 0 || !got.Complete || got.Records+got.Keys+got.Refused != 0 {
				t.Errorf("node %d syncs %+v, %v", i, got, err)
			}
			if a.sum(whole) != want {
				t.Errorf("node %d has another set after the sync", i)
			}
		}
	})
}

func (a *villager) sum(r records.Range) records.Sum {
	a.v.t.Helper()
	sum, err := a.author.home.Index().Sum(a.v.t.Context(), r)
	if err != nil {
		a.v.t.Fatal(err)
	}
	return sum
}

// variant returns a frame of the same record that is like no other: of 25, the last
// five are in order.
func (a *author) variant(v sign.Verified, i int) []byte {
	a.t.Helper()
	later := v.SignedAt().Add(time.Duration(i%records.SigningDelay) * time.Second)
	signature, err := a.key.Sign(a.t.Context(), v.RecordBytes(), records.Context(v.Record().Body), later)
	if err != nil {
		a.t.Fatal(err)
	}
	block := a.key.Key().Block()
	switch body := signature[2:]; i / 5 % 5 { // all are shorter than 192 bytes
	case 0:
		body[len(body)-1-i%64] ^= 1 << (i % 8) // in R or S: elsewhere it may name a subkey that could be
	case 1: // an old header
		signature = append([]byte{0x88}, signature[1:]...)
	case 2: // a marker before or behind
		marker := []byte{0xca, 3, 'P', 'G', 'P'}
		signature = bytes.Join([][][]byte{{marker, signature}, {signature, marker}}[i%2], nil)
	case 3:
		block[i%len(block)] ^= 1 << (i % 8)
	}
	envelope, err := records.EncodeEnvelope(v.RecordBytes(), signature)
	if err != nil {
		a.t.Fatal(err)
	}
	frame, err := records.EncodeFrame(records.Frame{Key: block, Envelope: envelope})
	if err != nil {
		a.t.Fatal(err)
	}
	return frame
}

// TestThreat18Home is SPEC S45 and N37: in a real home that has learnt of a
// revocation, the key is still revoked after it was offered without it a hundred
// times, by gossip, with records, and by a peer that was asked, and after the home
// was opened again each time.
func TestThreat18Home(t *testing.T) {
	ctx := t.Context()
	alice := newAuthor(t, testHome(t))
	revoked, err := alice.key.Revoke(sign.Compromised, "stolen", time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	release := alice.sign(time.Now(), testRelease("1.0.0", someModule(0)))
	bare := alice.key.Key().Block()
	frame := alice.frame(release)
	items := []records.Item{
		{Element: records.KeyElement(alice.fingerprint(), bare), Bytes: bare},
		{Element: records.RecordElement(alice.fingerprint(), release.ID()), Bytes: release.Envelope()},
	}
	dir := filepath.Join(t.TempDir(), "home")
	now := time.Now()
	still := 0
	for i := range 101 {
		h, err := home.Open(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		g := testIngester(h, func() time.Time { return now })
		now = now.Add(time.Duration(i) * time.Minute)
		switch {
		case i == 0:
			if err := atomicfile.Replace(h.TrustPath(), fmt.Appendf(nil, "key %s *\n", alice.fingerprint())); err != nil {
				t.Fatal(err)
			}
			if got := pushed(t, g, ingest.KeyBlock, revoked.Block()); got != gossip.Accept {
				t.Fatalf("the revocation: outcome %d", got)
			}
		case i%3 == 0:
			pushed(t, g, ingest.KeyBlock, bare)
		case i%3 == 1:
			pushed(t, g, ingest.Frame, frame)
		default:
			if taken, err := ingestPulled(ctx, g, "12D3", "", new(ingest.Session), items); err != nil || taken.Records != 0 {
				t.Errorf("offer %d: %+v, %v", i, taken, err)
			}
		}
		key, err := h.Index().Key(ctx, alice.fingerprint())
		if err != nil || key == nil {
			t.Fatalf("offer %d: %v, %v", i, key, err)
		}
		if r, ok := key.Revocation(); i > 0 && ok && r.Hard && recordCount(t, h) == 0 {
			still++
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if still != 100 {
		t.Errorf("still revoked %d times of 100", still)
	}
}
