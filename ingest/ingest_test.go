package ingest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

var full = os.Getenv("ES_FULL") != ""

// receiver is an Ingester with an index of its own, whose clock stands still.
type receiver struct {
	*Ingester
	t      testing.TB
	index  *index.Index
	now    time.Time
	file   *trust.Policy
	own    []records.Fingerprint
	told   []index.Outcome // by Config.Stored
	origin string          // of all peers, when it is set
}

func newReceiver(t testing.TB) *receiver {
	t.Helper()
	x, err := index.Open(t.Context(), filepath.Join(t.TempDir(), "index"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	r := &receiver{t: t, index: x, now: time.Now(), file: new(trust.Policy)}
	r.Ingester = New(Config{
		Index:  x,
		Trust:  func() (*trust.Policy, error) { return r.file, nil },
		Own:    func() ([]records.Fingerprint, error) { return r.own, nil },
		Stored: func(_ context.Context, _ sign.Verified, o index.Outcome) { r.told = append(r.told, o) },
		Now:    func() time.Time { return r.now },
	})
	return r
}

// trusts makes this the receiver's trust file.
func (r *receiver) trusts(format string, args ...any) {
	r.t.Helper()
	p, err := trust.Parse(fmt.Appendf(nil, format+"\n", args...))
	if err != nil {
		r.t.Fatal(err)
	}
	r.file = p
}

// verdict is what gossip would do with an item.
type verdict string

const (
	accept verdict = "accept"
	ignore verdict = "ignore"
	reject verdict = "reject"
)

func verdictOf(r Result) verdict {
	switch {
	case r.Outcome == Malformed:
		return reject
	case r.Relay:
		return accept
	}
	return ignore
}

// push has something come unasked, alone.
func (r *receiver) push(k Kind, data []byte, peer string) verdict {
	r.t.Helper()
	return r.pushAll(Item{Kind: k, Data: data, Source: Source{Peer: peer}})[0]
}

// pushAll has items come unasked, in one batch.
func (r *receiver) pushAll(items ...Item) []verdict {
	r.t.Helper()
	for i := range items {
		if items[i].Source.Origin = items[i].Source.Peer; r.origin != "" {
			items[i].Source.Origin = r.origin
		}
	}
	results, err := r.Batch(r.t.Context(), items)
	if err != nil {
		r.t.Fatal(err)
	}
	var all []verdict
	for _, result := range results {
		all = append(all, verdictOf(result))
	}
	return all
}

func (r *receiver) frame(data []byte) verdict {
	r.t.Helper()
	return r.push(Frame, data, "12D3")
}

func (r *receiver) count() int64 {
	r.t.Helper()
	c, err := r.index.Counts(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return c.Records
}

func (r *receiver) key(author records.Fingerprint) *sign.Key {
	r.t.Helper()
	k, err := r.index.Key(r.t.Context(), author)
	if err != nil {
		r.t.Fatal(err)
	}
	return k
}

func (r *receiver) add(v sign.Verified, key *sign.Key, from index.Source) {
	r.t.Helper()
	if _, err := r.index.Add(r.t.Context(), v, key, from); err != nil {
		r.t.Fatal(err)
	}
}

// author has a key that is two days old.
type author struct {
	t      testing.TB
	secret *sign.SecretKey
}

func newAuthor(t testing.TB) *author {
	t.Helper()
	k, err := sign.NewSecretKey("Alice", "alice@example.org", time.Now().Add(-48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return &author{t, k}
}

func (a *author) fingerprint() records.Fingerprint { return a.secret.Key().Fingerprint() }
func (a *author) block() []byte                    { return a.secret.Key().Block() }

// sign makes a record that is the author's first.
func (a *author) sign(at time.Time, body records.Body) sign.Verified {
	a.t.Helper()
	return a.signNext(at, 0, nil, body)
}

func (a *author) signNext(at time.Time, seq int64, prev []cid.Cid, body records.Body) sign.Verified {
	a.t.Helper()
	v, err := sign.Sign(a.t.Context(), a.secret, &records.Record{Author: a.fingerprint(), Seq: seq, Prev: prev, Time: at.Unix(), Body: body})
	if err != nil {
		a.t.Fatal(err)
	}
	return v
}

// frame is a record as gossip carries it.
func (a *author) frame(v sign.Verified) []byte {
	a.t.Helper()
	return frameOf(a.t, a.block(), v.Envelope())
}

func frameOf(t testing.TB, key, envelope []byte) []byte {
	t.Helper()
	b, err := records.EncodeFrame(records.Frame{Key: key, Envelope: envelope})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testRelease(version string, module cid.Cid) *records.Release {
	return &records.Release{Name: "left-pad", Version: records.Version(version), Module: module, Size: 1, Files: 1}
}

func someModule(i int) cid.Cid {
	hash, err := multihash.Sum(fmt.Appendf(nil, "module %d", i), multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.DagProtobuf, hash)
}
