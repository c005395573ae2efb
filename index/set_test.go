package index_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/fsck"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

var full = os.Getenv("ES_FULL") != ""

// TestSetFollowsRecords shows SPEC E1: the set has the records that count and the
// key blocks, whatever becomes of them.
func TestSetFollowsRecords(t *testing.T) {
	x, ctx := open(t), t.Context()
	a, b := newAuthor(t, "ann"), newAuthor(t, "bob")
	early := a.says(release("left-pad", "1.0.0", "X"))
	other := b.says(release("left-pad", "1.0.0", "X"))
	revoked := a.revoked(packet.KeyRetired, start.Add(60e9))
	a.now = start.Add(3600e9)
	late := a.says(release("left-pad", "2.0.0", "X"))
	want := func(what string, want ...records.Element) {
		t.Helper()
		slices.Sort(want)
		got := must[[]records.Element](t)(x.Elements(ctx, records.Range{}, 100))
		if !slices.Equal(got, want) {
			t.Errorf("%s: %x, want %x", what, got, want)
		}
		if s := must[records.Sum](t)(x.Sum(ctx, records.Range{})); s != sumOf(want) {
			t.Errorf("%s: wrong sum", what)
		}
		if err := fsck.Check(ctx, x); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	of := func(it index.Item) records.Element {
		return records.RecordElement(it.Verified.Record().Author, it.Verified.ID())
	}
	keyA, keyB := records.KeyElement(a.fpr(), a.key.Block()), records.KeyElement(b.fpr(), b.key.Block())
	want("nothing")
	add(t, x, early, late, other, early)
	want("records", of(early), of(late), of(other), keyA, keyB)
	if _, _, err := x.AddKey(ctx, revoked); err != nil {
		t.Fatal(err)
	}
	keyMerged := records.KeyElement(a.fpr(), must[*sign.Key](t)(x.Key(ctx, a.fpr())).Block())
	want("a soft revocation", of(early), of(other), keyMerged, keyB)

	// What a record that counts no longer, and a block that is merged, stand for
	// need not be fetched again; what is unknown must.
	none := a.says(release("left-pad", "3.0.0", "X"))
	ask := []records.Element{of(none), of(late), of(early), keyA, keyMerged, records.KeyElement(b.fpr(), a.key.Block()), keyB}
	if got := must[[]records.Element](t)(x.Missing(ctx, ask)); !slices.Equal(got, []records.Element{ask[0], ask[5]}) {
		t.Errorf("missing %x", got)
	}
}

// TestMissingKeyBlocks: a block that brings nothing is fetched once.
func TestMissingKeyBlocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x, ctx, a := openAt(t, path), t.Context(), newAuthor(t, "ann")
	revoked := a.revoked(packet.KeyRetired, start)
	ask := []records.Element{records.KeyElement(a.fpr(), a.key.Block())}
	if _, _, err := x.AddKey(ctx, revoked); err != nil {
		t.Fatal(err)
	}
	if got := must[[]records.Element](t)(x.Missing(ctx, ask)); len(got) != 1 {
		t.Error("a block that nobody has looked at is not missing")
	}
	if _, changed, err := x.AddKey(ctx, a.key); changed || err != nil {
		t.Fatal(changed, err)
	}
	if got := must[[]records.Element](t)(x.Missing(ctx, ask)); len(got) != 0 {
		t.Error("a block that brought nothing is missing again")
	}
	if err := x.ExecOnWriter(ctx, "DELETE FROM keys"); err != nil {
		t.Fatal(err)
	}
	if got := must[[]records.Element](t)(x.Missing(ctx, ask)); len(got) != 1 {
		t.Error("a block of a removed key is not missing")
	}
}

// TestItems: what elements stand for comes in order, in slices of any size.
func TestItems(t *testing.T) {
	x, ctx := open(t), t.Context()
	var items []index.Item
	want := map[records.Element][]byte{}
	for i := range 4 {
		a := newAuthor(t, fmt.Sprint("author ", i))
		want[records.KeyElement(a.fpr(), a.key.Block())] = a.key.Block()
		for j := range 5 {
			it := a.says(release("left-pad", records.Version(fmt.Sprintf("1.%d.0", j)), "X"))
			want[records.RecordElement(a.fpr(), it.Verified.ID())] = it.Verified.Envelope()
			items = append(items, it)
		}
	}
	add(t, x, items...)
	one := must[[]records.Element](t)(x.Elements(ctx, records.Range{}, 7))[6]
	for _, r := range []records.Range{{}, records.AuthorRange(one.Author()), records.ElementRange(one), {From: "\xff"}, {From: "b", To: "a"}} {
		all := must[[]records.Element](t)(x.Elements(ctx, r, 100))
		for _, most := range []int{0, 1, 600, 1500, 1 << 20} {
			var got []records.Element
			for left, more := r, true; more; {
				items, rest, err := x.Items(ctx, left, most)
				if err != nil {
					t.Fatal(err)
				}
				size := 0
				for _, it := range items {
					got = append(got, it.Element)
					size += len(it.Bytes)
					if !bytes.Equal(it.Bytes, want[it.Element]) {
						t.Fatalf("%x stands for other bytes", it.Element)
					}
				}
				if size > most && len(items) != 1 {
					t.Errorf("%d bytes in %d items, want at most %d", size, len(items), most)
				}
				left, more = rest, rest != records.Range{}
			}
			if !slices.Equal(got, all) {
				t.Errorf("%x by %d bytes: %d items, want %d", r, most, len(got), len(all))
			}
		}
	}
}

func sumOf(elements []records.Element) (sum records.Sum) {
	for _, e := range elements {
		sum.Add(e)
	}
	return sum
}
