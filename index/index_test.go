package index_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/index/fsck"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

// start is when the tests' records begin.
var start = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

// An author signs records one second after another.
type author struct {
	t      testing.TB
	secret *sign.SecretKey
	key    *sign.Key
	now    time.Time
	seq    int64
	prev   []cid.Cid
}

func newAuthor(t testing.TB, name string) *author {
	t.Helper()
	s, err := sign.NewSecretKey(name, name+"@example.com", start.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return &author{t: t, secret: s, key: s.Key(), now: start}
}

func (a *author) fpr() records.Fingerprint { return a.key.Fingerprint() }

// says signs the author's next record.
func (a *author) says(body records.Body) index.Item {
	a.t.Helper()
	v := a.at(a.seq, a.prev, body)
	a.seq, a.prev = a.seq+1, []cid.Cid{v.Verified.ID()}
	return v
}

// at signs a record with any place in the log.
func (a *author) at(seq int64, prev []cid.Cid, body records.Body) index.Item {
	a.t.Helper()
	a.now = a.now.Add(time.Second)
	slices.SortFunc(prev, func(a, b cid.Cid) int { return bytes.Compare(a.Bytes(), b.Bytes()) })
	v, err := sign.Sign(a.t.Context(), a.secret, &records.Record{Author: a.fpr(), Seq: seq, Prev: prev, Time: a.now.Unix(), Body: body})
	if err != nil {
		a.t.Fatal(err)
	}
	return index.Item{Verified: v, Key: a.key, Source: index.Source{Peer: "peer", At: start}}
}

// take gives the author the key as it is now.
func (a *author) take(e *openpgp.Entity) {
	a.t.Helper()
	var b bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&b, nil); err != nil {
		a.t.Fatal(err)
	}
	var err error
	if a.secret, err = sign.ReadSecretKey(b.Bytes(), nil); err != nil {
		a.t.Fatal(err)
	}
	a.key = a.secret.Key()
}

// revoked returns the author's key block with a revocation made at the time.
func (a *author) revoked(reason packet.ReasonForRevocation, at time.Time) *sign.Key {
	a.t.Helper()
	armored, err := a.secret.Marshal(nil)
	if err != nil {
		a.t.Fatal(err)
	}
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(armored))
	if err != nil {
		a.t.Fatal(err)
	}
	if err := ring[0].Revoke(reason, "", &packet.Config{Time: func() time.Time { return at }}); err != nil {
		a.t.Fatal(err)
	}
	var b bytes.Buffer
	if err := ring[0].Serialize(&b); err != nil {
		a.t.Fatal(err)
	}
	key, err := sign.ReadOwnKey(b.Bytes())
	if err != nil {
		a.t.Fatal(err)
	}
	if _, ok := key.Revocation(); !ok {
		a.t.Fatal("the key is not revoked")
	}
	return key
}

func module(s string) cid.Cid {
	h, err := multihash.Sum([]byte(s), multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.DagProtobuf, h)
}

func release(name records.Name, version records.Version, m string) *records.Release {
	return &records.Release{Name: name, Version: version, Module: module(m), Size: 10, Files: 1}
}

func described(name records.Name, version records.Version, description string, keywords ...string) *records.Release {
	r := release(name, version, string(name)+string(version))
	r.Manifest = records.Manifest{Description: description, Keywords: keywords}
	return r
}

func open(t testing.TB) *index.Index {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "index"))
}

func openAt(t testing.TB, path string) *index.Index {
	t.Helper()
	x, err := index.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

func add(t testing.TB, x *index.Index, items ...index.Item) []index.Outcome {
	t.Helper()
	results, err := x.AddAll(t.Context(), items)
	if err != nil {
		t.Fatal(err)
	}
	var outcomes []index.Outcome
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		outcomes = append(outcomes, r.Outcome)
	}
	return outcomes
}

// trusting trusts the authors for everything.
func trusting(t testing.TB, authors ...*author) *trust.Evaluator {
	t.Helper()
	text := ""
	for _, a := range authors {
		text += fmt.Sprintf("key %s * label=%.3s\n", a.fpr(), a.key.UserID())
	}
	return evaluatorOf(t, text)
}

func evaluatorOf(t testing.TB, text string) *trust.Evaluator {
	t.Helper()
	p, err := trust.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return trust.NewEvaluator(p, nil, start)
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestAddAndRead(t *testing.T) {
	x, ctx := open(t), t.Context()
	a, b := newAuthor(t, "ann"), newAuthor(t, "bob")
	r1, r2 := a.says(release("left-pad", "1.0.0", "X")), b.says(release("left-pad", "1.0.0", "X"))
	tag := a.says(&records.Tag{Name: "left-pad", Tag: "latest", Version: "1.0.0"})
	end := a.says(&records.Endorse{Name: "left-pad", Version: "1.0.0", Module: module("X"), Claim: records.Reviewed})
	beat := a.says(&records.Heartbeat{Next: start.AddDate(1, 0, 0).Unix()})
	r2.Source = index.Source{Peer: "bob's peer", At: start.Add(time.Minute)}
	if got := add(t, x, r1, r2, tag, end, r1, beat); !slices.Equal(got, []index.Outcome{index.Stored, index.Stored, index.Stored, index.Stored, index.Known, index.Stored}) {
		t.Errorf("outcomes %v", got)
	}
	if got, err := x.Add(ctx, r2.Verified, r2.Key, index.Source{}); got != index.Known || err != nil {
		t.Errorf("added again: %v, %v", got, err)
	}
	if has, err := x.Has(ctx, r1.Verified.ID()); !has || err != nil {
		t.Errorf("has: %t, %v", has, err)
	}
	if has, err := x.Has(ctx, module("none")); has || err != nil {
		t.Errorf("has: %t, %v", has, err)
	}
	rs := must[[]index.Release](t)(x.Releases(ctx, "left-pad"))
	if len(rs) != 2 || rs[0].ID != r1.Verified.ID() || rs[1].Author != b.fpr() || rs[0].Order >= rs[1].Order {
		t.Fatalf("releases %+v", rs)
	}
	if m := rs[1].Meta; m.Peer != "bob's peer" || !m.FirstSeen.Equal(start.Add(time.Minute)) || m.Own || m.Invalid != "" ||
		!m.SignedAt.Equal(start.Add(time.Second)) || !m.Time.Equal(start.Add(time.Second)) {
		t.Errorf("meta %+v", m)
	}
	if rs[0].Body.Module != module("X") || rs[0].Body.Files != 1 {
		t.Errorf("body %+v", rs[0].Body)
	}
	if ts := must[[]index.Tag](t)(x.Tags(ctx, "left-pad")); len(ts) != 1 || ts[0].Body.Tag != "latest" || ts[0].Seq != 1 {
		t.Errorf("tags %+v", ts)
	}
	if es := must[[]index.Endorsement](t)(x.Endorsements(ctx, "left-pad")); len(es) != 1 || es[0].Body.Claim != records.Reviewed {
		t.Errorf("endorsements %+v", es)
	}
	if ss := must[[]index.Statement](t)(x.Statements(ctx, a.fpr(), "heartbeat", "endorse")); len(ss) != 2 {
		t.Errorf("statements %+v", ss)
	}
	if ss := must[[]index.Statement](t)(x.Statements(ctx, a.fpr())); len(ss) != 4 {
		t.Errorf("statements %+v", ss)
	}
	envelope, key, err := x.Envelope(ctx, r2.Verified.ID())
	if err != nil || !bytes.Equal(envelope, r2.Verified.Envelope()) || !bytes.Equal(key, b.key.Block()) {
		t.Errorf("envelope %x, key %x, %v", envelope, key, err)
	}
	var none *index.NotFoundError
	if _, err := x.Release(ctx, beat.Verified.ID()); !errors.As(err, &none) {
		t.Errorf("a heartbeat as a release: %v", err)
	}
	if _, _, err := x.Envelope(ctx, module("none")); !errors.As(err, &none) {
		t.Errorf("no envelope: %v", err)
	}
	want := index.Counts{Authors: 2, Keys: 2, Records: 5, Releases: 2, Names: 1}
	if c := must[index.Counts](t)(x.Counts(ctx)); c != want {
		t.Errorf("counts %+v", c)
	}
	if all := must[[]records.Fingerprint](t)(x.AllKeys(ctx)); len(all) != 2 {
		t.Errorf("keys %v", all)
	}
	if err := fsck.Check(ctx, x); err != nil {
		t.Error(err)
	}
}

func TestKeysFindsKeys(t *testing.T) {
	x, a, b := open(t), newAuthor(t, "ann"), newAuthor(t, "bob")
	r := a.says(release("left-pad", "1.0.0", "X"))
	keys := x.Keys(t.Context())
	var unknown *sign.UnknownKeyError
	if _, err := sign.Open(r.Verified.Envelope(), keys); !errors.As(err, &unknown) || keys.Err() != nil {
		t.Errorf("got %v, %v", err, keys.Err())
	}
	if _, err := x.Add(t.Context(), r.Verified, nil, index.Source{}); !errors.As(err, &unknown) {
		t.Errorf("added without a key: %v", err)
	}
	if _, err := x.Add(t.Context(), r.Verified, b.key, index.Source{}); err == nil {
		t.Error("added with another author's key")
	}
	add(t, x, r)
	if _, err := sign.Open(r.Verified.Envelope(), keys); err != nil {
		t.Error(err)
	}
	if got, err := x.Add(t.Context(), a.says(&records.Heartbeat{Next: a.now.Unix() + 100}).Verified, nil, index.Source{}); got != index.Stored || err != nil {
		t.Errorf("added with a stored key: %v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	keys = x.Keys(ctx)
	if _, ok := keys.Key(a.fpr()); ok || !errors.Is(keys.Err(), context.Canceled) {
		t.Errorf("after cancel: %t, %v", ok, keys.Err())
	}
}

// TestX90LogKnown shows SPEC X90: a home knows the log of a key that signed in it, or of
// which that was noted, and no other's.
func TestX90LogKnown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x := openAt(t, path)
	made, asked, imported := newAuthor(t, "ann"), newAuthor(t, "bob"), newAuthor(t, "cat")
	own := made.says(release("lib", "1.0.0", "X"))
	own.Source.Own = true
	add(t, x, own, imported.says(release("lib", "2.0.0", "Y")))
	for range 2 {
		if err := x.SetLogKnown(t.Context(), asked.fpr()); err != nil {
			t.Fatal(err)
		}
	}
	x = openAt(t, path)
	for a, want := range map[*author]bool{made: true, asked: true, imported: false} {
		if got := must[bool](t)(x.LogKnown(t.Context(), a.fpr())); got != want {
			t.Errorf("%s: known %v", a.fpr(), got)
		}
	}
}

// TestX5Head shows SPEC X5.
func TestX5Head(t *testing.T) {
	x, ctx := open(t), t.Context()
	a, b := newAuthor(t, "ann"), newAuthor(t, "bob")
	head := func(what string, seq int64, prev ...index.Item) {
		t.Helper()
		var want []cid.Cid
		for _, p := range prev {
			want = append(want, p.Verified.ID())
		}
		slices.SortFunc(want, func(a, b cid.Cid) int { return bytes.Compare(a.Bytes(), b.Bytes()) })
		gotSeq, got, err := authorlog.New(x).Head(ctx, a.fpr())
		if err != nil || gotSeq != seq || !slices.Equal(got, want) {
			t.Errorf("%s: seq %d, prev %v, %v; want %d, %v", what, gotSeq, got, err, seq, want)
		}
	}
	beat := func(who *author, seq int64, prev ...index.Item) index.Item {
		var ids []cid.Cid
		for _, p := range prev {
			ids = append(ids, p.Verified.ID())
		}
		return who.at(seq, ids, &records.Heartbeat{Next: who.now.Unix() + 1000})
	}
	r0 := beat(a, 0)
	r1 := beat(a, 1, r0)
	fork := beat(a, 1, r0)
	r2 := beat(a, 2, r1)
	merge := beat(a, 3, r2, fork)
	head("nothing", 0)
	add(t, x, r1)
	head("the first is missing", 2, r1)
	if m := must[[]cid.Cid](t)(authorlog.New(x).Gaps(ctx, a.fpr(), 10)); len(m) != 1 || m[0] != r0.Verified.ID() {
		t.Errorf("missing %v", m)
	}
	add(t, x, r0)
	head("the first came late", 2, r1)
	if m := must[[]cid.Cid](t)(authorlog.New(x).Gaps(ctx, a.fpr(), 10)); len(m) != 0 {
		t.Errorf("missing %v", m)
	}
	add(t, x, fork)
	head("a fork", 2, r1, fork)
	add(t, x, merge)
	head("a merge with a gap", 4, merge, r1)
	add(t, x, r2)
	head("the gap is filled", 4, merge)
	add(t, x, beat(b, 4, merge))
	head("another author names it", 4, merge)
	next := beat(a, 4, merge)
	add(t, x, beat(b, 5, next), next)
	head("another author names it first", 5, next)
	merge = next

	var forks []index.Item
	for seq := range int64(5) {
		f := beat(a, 5+seq, merge)
		forks = append(forks, f)
		add(t, x, f)
	}
	head("five heads: the four highest", 10, forks[1:]...)
	join := beat(a, 10, forks[1:]...)
	add(t, x, join)
	head("the fifth comes next", 11, join, forks[0])
	add(t, x, beat(a, 1<<53-1, join))
	if _, _, err := authorlog.New(x).Head(ctx, a.fpr()); !errors.As(err, new(*authorlog.ExhaustedError)) {
		t.Errorf("a used-up log has a head: %v", err)
	}
	last := beat(a, 11, join, forks[0])
	add(t, x, last)
	for range 2 {
		seq, prev, err := authorlog.New(x).HeadBefore(ctx, a.fpr())
		if err != nil || seq != 12 || !slices.Equal(prev, []cid.Cid{last.Verified.ID()}) {
			t.Errorf("before the end: %d, %v, %v", seq, prev, err)
		}
		add(t, x, beat(a, 1<<53-1, last))
	}
}

func TestOutbox(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x, ctx, a := openAt(t, path), t.Context(), newAuthor(t, "ann")
	var own []index.Item
	for i := range 3 {
		it := a.says(release("left-pad", records.Version(fmt.Sprintf("1.0.%d", i)), "X"))
		it.Source = index.Source{Own: true}
		own = append(own, it)
	}
	add(t, x, own...)
	add(t, x, a.says(release("left-pad", "2.0.0", "X")))
	pending := must[[]index.SignedRecord](t)(x.Pending(ctx))
	if len(pending) != 3 || pending[2].ID != own[2].Verified.ID() || !bytes.Equal(pending[0].Key, a.key.Block()) || !bytes.Equal(pending[0].Envelope, own[0].Verified.Envelope()) {
		t.Fatalf("pending %+v", pending)
	}
	if err := x.Announced(ctx, own[0].Verified.ID(), own[1].Verified.ID(), module("none")); err != nil {
		t.Fatal(err)
	}
	again := openAt(t, path)
	if p := must[[]index.SignedRecord](t)(again.Pending(ctx)); len(p) != 1 || p[0].ID != own[2].Verified.ID() {
		t.Errorf("pending after a restart %+v", p)
	}
	if rs := must[[]index.Release](t)(again.Releases(ctx, "left-pad")); !rs[0].Own || rs[3].Own {
		t.Errorf("releases %+v", rs)
	}
}
