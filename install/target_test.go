package install

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// targets is a Fetcher that notes what it is asked for.
type targets struct {
	*world
	mu   sync.Mutex
	seen map[records.Name]records.Target
}

func (f *targets) Fetch(ctx context.Context, name records.Name, want records.Target) error {
	f.mu.Lock()
	f.seen[name] = want
	f.mu.Unlock()
	return f.world.Fetch(ctx, name, want)
}

// SPEC N40, D1: whoever sent a module's record is asked for the module first, so the
// fetcher gets to know the record: of what is resolved, of what is locked, and of no
// module that is asked for by its CID.
func TestAFetcherIsToldTheRecord(t *testing.T) {
	w := newWorld(t)
	pinned := w.pack(packageFiles("pinned@1.0.0", ""))
	a := w.publish("a@1.0.0", `"dependencies": {"b": "^1"}`)
	b := w.publish("b@1.0.0", "")
	want := map[records.Name]records.Target{
		"a":      {CID: a.Module, Size: a.Size, Files: a.Files, Record: a.Record},
		"b":      {CID: b.Module, Size: b.Size, Files: b.Files, Record: b.Record},
		"pinned": {CID: pinned.CID, Size: -1, Files: -1},
	}
	p := project(t, "")
	add := func(s Sources) error {
		_, err := p.Add(t.Context(), s, requests(t, "a", "pinned@"+pinned.CID.String()), Options{})
		return err
	}
	frozen := func(s Sources) error {
		want["pinned"] = records.Target{CID: pinned.CID, Size: pinned.Size, Files: pinned.Files}
		_, err := p.Install(t.Context(), s, Options{Frozen: true, Force: true})
		return err
	}
	for _, run := range []func(Sources) error{add, frozen} {
		w.local = newMemory()
		f := &targets{world: w, seen: map[records.Name]records.Target{}}
		s := w.sources()
		s.Fetcher = f
		if err := run(s); err != nil {
			t.Fatal(err)
		}
		if !maps.EqualFunc(f.seen, want, func(a, b records.Target) bool { return a == b }) {
			t.Errorf("the fetcher was asked for %v, want %v", slices.Collect(maps.Values(f.seen)), slices.Collect(maps.Values(want)))
		}
	}
	if want["a"].Record == cid.Undef {
		t.Fatal("the world's releases have no records")
	}
}
