package author

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/modules"
	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// A ring keeps one secret in memory.
type ring struct{ *sign.SecretKey }

func (r ring) Signer(context.Context) (sign.Signer, error)            { return r.SecretKey, nil }
func (r ring) LockSigning(context.Context) (unlock func(), err error) { return func() {}, nil }

// A desk is an index that authors sign into.
type desk struct {
	*testing.T
	index *index.Index
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	x, err := index.Open(t.Context(), filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return &desk{t, x}
}

func (d *desk) author(name string) *Author {
	d.Helper()
	k, err := sign.NewSecretKey(name, "", time.Now().Add(-time.Hour))
	if err != nil {
		d.Fatal(err)
	}
	return New(k.Key(), ring{k}, authorlog.WithIndex(d.index), time.Now)
}

func (d *desk) pack(version, text string) *modules.Module {
	d.Helper()
	set, err := modules.ScanFS(fstest.MapFS{"package.json": {Data: fmt.Appendf(nil, `{"name": "lib", "version": %q, "description": %q}`, version, text)}})
	if err != nil {
		d.Fatal(err)
	}
	m, err := set.Pack(d.Context(), unixfs.Discard)
	if err != nil {
		d.Fatal(err)
	}
	return m
}

func (d *desk) publish(a *Author, version, text string, o PublishOptions) (Released, error) {
	d.Helper()
	p, err := a.Prepare(d.Context(), d.pack(version, text), o)
	if err != nil {
		return Released{}, err
	}
	return p.Sign(d.Context())
}

// steal has somebody else sign with the author's key.
func (d *desk) steal(a *Author, body records.Body) {
	d.Helper()
	r, err := a.next(d.Context(), body)
	if err != nil {
		d.Fatal(err)
	}
	v, err := sign.Sign(d.Context(), a.signer, r)
	if err != nil {
		d.Fatal(err)
	}
	if _, err := d.index.Add(d.Context(), v, a.signer.Key(), index.Source{}); err != nil {
		d.Fatal(err)
	}
}

// TestTags is which tags move with what is published, as with npm.
func TestTags(t *testing.T) {
	d := newDesk(t)
	a := d.author("Ada")
	for _, step := range []struct {
		version, tag string
		moved        string // "-" for a LatestError
		latest, next string // tag records afterwards
	}{
		{"1.0.0-rc.1", "", "", "", ""},
		{"1.0.0", "", "", "", ""},
		{"1.1.0", "", "", "", ""},
		{"2.0.0-rc.1", "", "-", "", ""},
		{"2.0.0-rc.1", "next", "next", "1.1.0", "2.0.0-rc.1"},
		{"1.2.0", "", "latest", "1.2.0", "2.0.0-rc.1"},
		{"1.1.1", "", "-", "1.2.0", "2.0.0-rc.1"},
		{"1.1.1", "next", "next", "1.2.0", "1.1.1"},
		{"1.1.2", "latest", "latest", "1.1.2", "1.1.1"},
		{"1.1.2", "", "", "1.1.2", "1.1.1"},         // again
		{"1.1.2", "next", "next", "1.1.2", "1.1.2"}, // again, with a tag
		{"1.3.0", "1.0.0", "!", "1.1.2", "1.1.2"},   // no tag is a version
	} {
		got, err := d.publish(a, step.version, "", PublishOptions{Tag: step.tag})
		switch step.moved {
		case "-":
			if !errors.As(err, new(*LatestError)) {
				t.Errorf("%s --tag %q: %v, want a LatestError", step.version, step.tag, err)
			}
		case "!":
			if !errors.As(err, new(*TagError)) {
				t.Errorf("%s --tag %q: %v, want a TagError", step.version, step.tag, err)
			}
		default:
			if err != nil || got.Tag != step.moved {
				t.Errorf("%s --tag %q moves %q, %v; want %q", step.version, step.tag, got.Tag, err, step.moved)
			}
		}
		tags, err := a.ownTags(t.Context(), "lib")
		if err != nil || string(tags["latest"]) != step.latest || string(tags["next"]) != step.next {
			t.Errorf("after %s --tag %q the tags are %v, %v; want latest %q, next %q", step.version, step.tag, tags, err, step.latest, step.next)
		}
	}
}

// TestUsualTag is that the user's own tag comes before npm's configuration, and that before
// the author's.
func TestUsualTag(t *testing.T) {
	for _, c := range []struct {
		o    PublishOptions
		want string
	}{
		{PublishOptions{}, ""},
		{PublishOptions{Usual: []Asked{{"", "a"}, {"beta", "b"}}}, "beta"},
		{PublishOptions{Usual: []Asked{{"next", "a"}, {"beta", "b"}}}, "next"},
		{PublishOptions{Tag: "mine", Usual: []Asked{{"next", "a"}, {"beta", "b"}}}, "mine"},
	} {
		if got, err := c.o.tag(); got != c.want || err != nil {
			t.Errorf("%+v: %q, %v; want %q", c.o, got, err, c.want)
		}
	}
}

// TestPublishedBefore is that a version is one module for ever: the same is not signed
// again, another is refused, and two are frozen.
func TestPublishedBefore(t *testing.T) {
	d := newDesk(t)
	a := d.author("Ada")
	first, err := d.publish(a, "1.0.0", "", PublishOptions{})
	if err != nil || first.Before {
		t.Fatal(first, err)
	}
	again, err := d.publish(a, "1.0.0", "", PublishOptions{})
	if err != nil || !again.Before || again.Record != first.Record || again.Envelope != first.Envelope {
		t.Errorf("the same again: %+v, %v; want %+v", again, err, first)
	}
	_, err = d.publish(a, "1.0.0", "another", PublishOptions{})
	if refused := new(*PublishedError); !errors.As(err, refused) || (*refused).Before == (*refused).Now {
		t.Errorf("another module: %v", err)
	}
	d.steal(a, d.pack("1.0.0", "another").Release())
	_, err = d.publish(a, "1.0.0", "", PublishOptions{})
	if refused := new(*FrozenError); !errors.As(err, refused) || len((*refused).Modules) != 2 {
		t.Errorf("a frozen version: %v", err)
	}
}

// TestSignedBefore is that what stands already is not signed again, and what does not stand is
// not taken back.
func TestSignedBefore(t *testing.T) {
	d := newDesk(t)
	a, b := d.author("Ada"), d.author("Bob")
	if _, err := d.publish(a, "1.0.0", "", PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	yank := func(rng, text string) *records.Notice {
		return &records.Notice{Name: "lib", Range: rng, NoticeOf: records.Yanked, Text: text}
	}
	say := func(by *Author, body records.Body) Signed {
		t.Helper()
		made, err := by.SignStatement(t.Context(), body)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	first := say(a, yank("1", "broken"))
	if again := say(a, yank("1", "broken")); !again.Before || again.Record != first.Record {
		t.Errorf("the same yank makes %+v, after %+v", again, first)
	}
	if other := say(b, yank("1", "broken")); other.Before {
		t.Error("another key's yank is taken for this one's")
	}
	if words := say(a, yank("1", "very broken")); words.Before {
		t.Error("other words are not said")
	}
	if back := say(a, yank("1", "")); back.Before {
		t.Error("the yank is not taken back")
	}
	if anew := say(a, yank("1", "very broken")); anew.Before {
		t.Error("what was taken back is not said anew")
	}
	var notSaid *NotSaidError
	if _, err := a.SignStatement(t.Context(), yank("2", "")); !errors.As(err, &notSaid) || len(notSaid.Ranges) != 1 || notSaid.Ranges[0] != "1" {
		t.Errorf("taking back what was not said: %v", err)
	}
	for _, body := range []records.Body{
		&records.Tag{Name: "lib", Tag: "next"},
		&records.Delegate{To: b.Fingerprint()},
	} {
		if _, err := a.SignStatement(t.Context(), body); !errors.As(err, &notSaid) {
			t.Errorf("%T of what was not said: %v", body, err)
		}
	}
	for _, body := range []records.Body{
		&records.Tag{Name: "lib", Tag: "next", Version: "9.0.0"},
		&records.Endorse{Name: "lib", Version: "9.0.0", Module: d.pack("9.0.0", "").CID, Claim: records.Reviewed},
		&records.Endorse{Name: "lib", Version: "1.0.0", Module: d.pack("9.0.0", "").CID, Claim: records.Reviewed},
	} {
		if _, err := a.SignStatement(t.Context(), body); !errors.As(err, new(*UnknownVersionError)) {
			t.Errorf("%T of what nobody released: %v", body, err)
		}
	}
}

// TestCheckKnowsBodies is that a kind of body is not forgotten where statements are checked.
func TestCheckKnowsBodies(t *testing.T) {
	a := newDesk(t).author("Ada")
	unknown := struct{ records.Body }{&records.Heartbeat{}}
	if err := a.Check(t.Context(), unknown); err == nil {
		t.Error("a body that is unknown passes")
	}
	for _, b := range records.Bodies() {
		err := a.Check(t.Context(), b)
		if err != nil && !errors.As(err, new(*NotSaidError)) && !errors.As(err, new(*UnknownVersionError)) {
			t.Errorf("%s: %v", b.Kind(), err)
		}
	}
}

// asked answers for peers.
type asked struct {
	answered int
	why      string
}

func (p asked) AskLog(context.Context, records.Fingerprint, bool) (int, string, error) {
	return p.answered, p.why, nil
}

// TestCatchUp is when a key may sign whose log may be longer than what is here.
func TestCatchUp(t *testing.T) {
	for name, c := range map[string]struct {
		o       LogOptions
		refused bool
		known   bool // the log counts as known afterwards
	}{
		"a peer answers":                  {LogOptions{Peers: asked{1, ""}}, false, true},
		"nobody answers":                  {LogOptions{Peers: asked{0, "no peers"}}, true, false},
		"nobody is asked":                 {LogOptions{Why: "offline"}, true, false},
		"first":                           {LogOptions{Why: "offline", First: true}, false, true},
		"unasked":                         {LogOptions{Why: "offline", Unasked: true}, false, false},
		"a rehearsal":                     {LogOptions{Peers: asked{1, ""}, Rehearsal: true}, false, false},
		"a rehearsal, and nobody answers": {LogOptions{Peers: asked{0, "no peers"}, Rehearsal: true}, true, false},
	} {
		d := newDesk(t)
		a := d.author("Ada")
		_, err := a.CatchUp(t.Context(), c.o)
		if refused := errors.As(err, new(*UnknownLogError)); refused != c.refused || !refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if known, err := d.index.LogKnown(t.Context(), a.Fingerprint()); known != c.known || err != nil {
			t.Errorf("%s: the log counts as known: %v, %v", name, known, err)
		}
	}
}

// TestWithdrawals: what the key has said of a version before it is released.
func TestWithdrawals(t *testing.T) {
	d := newDesk(t)
	a, other := d.author("Ada"), d.author("Bob")
	say := func(by *Author, kind, rng, text string) {
		t.Helper()
		if _, err := by.SignStatement(t.Context(), &records.Notice{Name: "lib", Range: rng, NoticeOf: kind, Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(v records.Version, want ...Lack) {
		t.Helper()
		got, err := a.Withdrawals(t.Context(), "lib", v)
		if err != nil || !slices.EqualFunc(got, want, func(a, b Lack) bool { return a.Kind == b.Kind && a.Value == b.Value && a.Stops == b.Stops }) {
			t.Errorf("of %s %+v, %v; want %+v", v, got, err, want)
		}
	}
	say(other, records.Yanked, "*", "no")
	say(a, records.Yanked, "^1", "bad")
	say(a, records.Deprecated, "*", "old")
	yanked, deprecated := Lack{Kind: YankedBefore, Value: "^1", Stops: true}, Lack{Kind: DeprecatedBefore, Value: "*"}
	check("1.2.0", yanked, deprecated)
	check("2.0.0", deprecated)
	say(a, records.Deprecated, "*", "")
	check("1.2.0", yanked)
	say(a, records.Yanked, "^1", "")
	check("1.2.0")
}

// TestRotate is that the new key says what the old one said, and nothing twice.
func TestRotate(t *testing.T) {
	d := newDesk(t)
	old, next := d.author("Ada"), d.author("Ada again")
	if _, err := Rotate(t.Context(), old, old); !errors.Is(err, ErrSameKey) {
		t.Errorf("to itself: %v", err)
	}
	var made []cid.Cid
	for _, v := range []string{"1.0.0", "1.1.0", "2.0.0-rc.1"} {
		o := PublishOptions{}
		if v == "2.0.0-rc.1" {
			o.Tag = "next"
		}
		r, err := d.publish(old, v, "", o)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, r.Record)
	}
	if len(old.Made()) < len(made) {
		t.Errorf("made %d records, and Made has %d", len(made), len(old.Made()))
	}
	n, err := Rotate(t.Context(), old, next)
	if err != nil || n != 3 {
		t.Errorf("%d versions are released again, %v", n, err)
	}
	tags, err := next.ownTags(t.Context(), "lib")
	if err != nil || tags["next"] != "2.0.0-rc.1" || tags["latest"] != "1.1.0" {
		t.Errorf("the new key's tags are %v, %v", tags, err)
	}
	if n, err := Rotate(t.Context(), old, next); err != nil || n != 0 {
		t.Errorf("once more: %d, %v", n, err)
	}
}

// TestRevokeWaits is that a revocation is not of the second in which the key has signed.
func TestRevokeWaits(t *testing.T) {
	k, err := sign.NewSecretKey("Ada", "", time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	revoked, err := Revoke(t.Context(), k.Key(), k, sign.Superseded, "", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := revoked.Revocation()
	if !ok || r.Hard || !r.At.After(start.Truncate(time.Second)) {
		t.Errorf("revoked %v at %v, begun at %v", ok, r.At, start)
	}
	var ended *KeyEndedError
	if err := CheckKey(revoked, time.Now()); !errors.As(err, &ended) || !ended.Revoked {
		t.Errorf("the revoked key: %v", err)
	}
	if err := CheckKey(k.Key(), time.Now()); err != nil {
		t.Errorf("the key before: %v", err)
	}
}
