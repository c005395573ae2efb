package index_test

import (
	"database/sql"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/fsck"
	"github.com/everythingstays/es/index/resolve"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// strange marks items as a stranger's.
func strange(items ...index.Item) []index.Item {
	for i := range items {
		items[i].Source.Stranger = true
	}
	return items
}

// dump reads what a store holds in a form that does not depend on row numbers.
func dump(t *testing.T, path string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var all []string
	for _, q := range []string{
		"SELECT 'key', hex(fingerprint), hex(block) FROM keys",
		"SELECT 'record', hex(id), kind, seq, referenced, invalid, hex(invalid_key), invalid_since, hex(envelope) FROM records",
		"SELECT 'prev', hex(prev.id), hex(records.id) FROM prev JOIN records ON num = record",
		"SELECT 'release', hex(id), name, version, hex(module) FROM releases JOIN records ON num = record",
		"SELECT 'tag', hex(id), name, tag, version FROM tags JOIN records ON num = record",
		"SELECT 'annotation', hex(id), name, annotations.kind FROM annotations JOIN records ON num = record",
		"SELECT 'equivocation', hex(author), name, version FROM equivocations",
		"SELECT 'outbox', hex(id) FROM outbox JOIN records ON num = record",
		"SELECT 'name', name, printf('%s %d %d', folded, related, place) FROM names",
		"SELECT 'text', name, hex(author), version FROM texts",
		"SELECT 'word', texts.name, hex(author) FROM words JOIN texts ON num = words.rowid WHERE words MATCH 'even'",
		"SELECT 'word', texts.name, hex(author), 0 FROM words JOIN texts ON num = words.rowid WHERE words MATCH 'odd'",
		"SELECT 'words', count(*) FROM words",
		"SELECT 'element', hex(element) FROM elements",
		"SELECT 'lost', count(*) FROM prev WHERE record NOT IN (SELECT num FROM records)",
	} {
		rows, err := db.Query(q)
		if err != nil {
			t.Fatal(q, err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(err)
			}
			line := ""
			for _, v := range values {
				line += fmt.Sprint(*v.(*any), " ")
			}
			all = append(all, line)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(q, err)
		}
	}
	slices.Sort(all)
	return all
}

// noise returns a random record of a random kind; names, versions and modules are
// few, so that they meet.
func noise(rnd *rand.Rand, i int) records.Body {
	name := records.Name(fmt.Sprint("pkg-", rnd.IntN(3)))
	version := records.Version(fmt.Sprintf("1.%d.0", rnd.IntN(4)))
	switch rnd.IntN(8) {
	case 0:
		return &records.Tag{Name: name, Tag: "latest", Version: version}
	case 1:
		return &records.Notice{Name: name, Range: "1.x", NoticeOf: records.Deprecated, Text: fmt.Sprint(i)}
	case 2:
		return &records.Endorse{Name: name, Version: version, Module: module("0"), Claim: records.Reviewed}
	case 3:
		return &records.Heartbeat{Next: start.AddDate(1, 0, i).Unix()}
	}
	r := release(name, version, fmt.Sprint(rnd.IntN(2)))
	r.Manifest.Description = []string{"even", "odd"}[rnd.IntN(2)]
	return r
}

// TestStrangersLeaveNothing shows SPEC X7: it removes records again and again, and compares the
// store with one that never had them.
func TestStrangersLeaveNothing(t *testing.T) {
	rounds := 2
	if full {
		rounds = 60
	}
	for round := range rounds {
		rnd := rand.New(rand.NewPCG(7, uint64(round)))
		path := filepath.Join(t.TempDir(), "index")
		x, ctx := openAt(t, path), t.Context()
		x.LimitStrangers(index.StrangersLimit{Records: int64(10 + rnd.IntN(30))})
		var authors []*author
		for i := range 5 {
			authors = append(authors, newAuthor(t, fmt.Sprint("author ", i)))
		}
		items := map[records.Element]index.Item{}
		var order []records.Element
		for i := range 120 {
			a := authors[rnd.IntN(len(authors))]
			if rnd.IntN(4) == 0 && len(a.prev) > 0 {
				a.prev = a.prev[:1]
			}
			old := slices.Clone(a.prev)
			it := a.says(noise(rnd, i))
			if len(old) > 0 && rnd.IntN(3) == 0 {
				a.prev = old
			}
			e := records.RecordElement(a.fpr(), it.Verified.ID())
			if a == authors[0] && rnd.IntN(2) == 0 {
				it.Source.Own = rnd.IntN(2) == 0
			} else {
				it = strange(it)[0]
			}
			if _, err := x.AddAll(ctx, []index.Item{it}); err != nil {
				t.Fatal(err)
			}
			items[e] = it
			order = append(order, e)
			if i == 60 {
				if _, _, err := x.AddKey(ctx, authors[1].revoked(packet.KeyRetired, a.now.Add(-20*time.Second))); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := fsck.Check(ctx, x); err != nil {
			t.Fatal(err)
		}
		other := filepath.Join(t.TempDir(), "index")
		y := openAt(t, other)
		for _, e := range order {
			if has := must[bool](t)(x.Has(ctx, e.Record())); !has {
				continue
			}
			it := items[e]
			if _, err := y.AddAll(ctx, []index.Item{it}); err != nil {
				t.Fatal(err)
			}
		}
		for _, a := range authors {
			if key := must[*sign.Key](t)(x.Key(ctx, a.fpr())); key != nil {
				if _, _, err := y.AddKey(ctx, key); err != nil {
					t.Fatal(err)
				}
			}
		}
		c := must[index.Counts](t)(x.Counts(ctx))
		if c.Strangers == 0 || c.Records >= int64(len(order))-10 {
			t.Fatalf("round %d removed too little: %+v", round, c)
		}
		have, want := dump(t, path), dump(t, other)
		for i := range max(len(have), len(want)) {
			if i >= len(have) || i >= len(want) || have[i] != want[i] {
				t.Fatalf("round %d: differs from a store without the removed records\nhave %q\nwant %q", round, have[min(i, len(have)-1)], want[min(i, len(want)-1)])
			}
		}
	}
}

// TestStrangersLimit shows SPEC X7: the least recently used go first, others are never removed.
func TestStrangersLimit(t *testing.T) {
	x, ctx := open(t), t.Context()
	x.LimitStrangers(index.StrangersLimit{Records: 100})
	trusted := newAuthor(t, "trusted")
	var kept, said []index.Item
	for i := range 15 {
		a := newAuthor(t, fmt.Sprint("stranger ", i))
		var batch []index.Item
		for j := range 20 {
			batch = append(batch, a.says(release(records.Name(fmt.Sprintf("pkg-%d", i)), records.Version(fmt.Sprintf("1.%d.0", j)), "X")))
		}
		said = append(said, strange(batch...)...)
		own := trusted.says(release("own", records.Version(fmt.Sprintf("1.%d.0", i)), "X"))
		own.Source.Own, own.Source.Stranger = true, true
		kept = append(kept, own, trusted.says(release("trusted", records.Version(fmt.Sprintf("1.%d.0", i)), "X")))
		add(t, x, append(batch, kept[len(kept)-2:]...)...)
		c := must[index.Counts](t)(x.Counts(ctx))
		if c.Strangers > 100 || c.Records != c.Strangers+int64(len(kept)) || i > 5 && c.Strangers < 80 {
			t.Fatalf("after %d: %+v", len(said), c)
		}
		if i == 3 {
			if full := must[bool](t)(x.StrangersFull(ctx)); full {
				t.Error("full at 80 of 100")
			}
		}
	}
	if full := must[bool](t)(x.StrangersFull(ctx)); !full {
		t.Error("not full")
	}
	for _, it := range kept {
		if has := must[bool](t)(x.Has(ctx, it.Verified.ID())); !has {
			t.Error("a record of nobody strange is gone")
		}
	}
	c := must[index.Counts](t)(x.Counts(ctx))
	for i, it := range said {
		want := i >= len(said)-int(c.Strangers)
		if has := must[bool](t)(x.Has(ctx, it.Verified.ID())); has != want {
			t.Errorf("record %d of %d: stored %t, want %t", i, len(said), has, want)
		}
	}
	if c.Keys != 6 || c.Names != 7 { // 5 strangers and one trusted author, with 2 names
		t.Errorf("counts %+v", c)
	}
	if got := searched(t, x, "pkg-1", 10, trusting(t)); slices.Contains(got, "pkg-1") {
		t.Errorf("found what was removed: %v", got)
	}
	if err := fsck.Check(ctx, x); err != nil {
		t.Error(err)
	}
}

// TestStrangersBytes: envelopes and key blocks count.
func TestStrangersBytes(t *testing.T) {
	x, ctx := open(t), t.Context()
	x.LimitStrangers(index.StrangersLimit{Bytes: 20_000})
	size := int64(0)
	for i := range 60 {
		a := newAuthor(t, fmt.Sprint("stranger ", i))
		it := strange(a.says(release("left-pad", "1.0.0", "X")))[0]
		add(t, x, it)
		size += int64(len(it.Verified.Envelope()) + len(a.key.Block()))
		c := must[index.Counts](t)(x.Counts(ctx))
		if size < 20_000 && c.StrangerBytes != size || c.StrangerBytes > 20_000 || size > 20_000 && c.StrangerBytes < 19_000 {
			t.Fatalf("%d bytes added: %+v", size, c)
		}
		if c.Keys != c.Records {
			t.Fatalf("%d keys for %d records", c.Keys, c.Records)
		}
	}
	// A block that grows counts, too.
	before := must[index.Counts](t)(x.Counts(ctx)).StrangerBytes
	a := newAuthor(t, "renewed")
	add(t, x, strange(a.says(release("left-pad", "1.0.0", "X")))...)
	if _, _, err := x.AddKey(ctx, a.revoked(packet.KeyRetired, a.now.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	if c := must[index.Counts](t)(x.Counts(ctx)); c.StrangerBytes == before || c.StrangerBytes > 20_000 {
		t.Errorf("counts %+v", c)
	}
	if err := fsck.Check(ctx, x); err != nil {
		t.Error(err)
	}
}

// TestStrangersPromoted: whoever is trusted by now keeps everything, however that
// is found out, and what was looked at stays longer than what was not.
func TestStrangersPromoted(t *testing.T) {
	x, ctx := open(t), t.Context()
	one := func(name string) (*author, index.Item) {
		a := newAuthor(t, name)
		it := strange(a.says(release("left-pad", "1.0.0", "X")))[0]
		add(t, x, it)
		return a, it
	}
	asked := 0
	kept, keptItem := one("known to Keep")
	x.LimitStrangers(index.StrangersLimit{Records: 10, Keep: func(f records.Fingerprint) bool {
		asked++
		return f == kept.fpr()
	}})
	promoted, promotedItem := one("promoted")
	also, alsoItem := one("also said something as no stranger")
	_, touched := one("looked at")
	_, forgotten := one("forgotten")
	if err := x.Promote(ctx, promoted.fpr()); err != nil {
		t.Fatal(err)
	}
	add(t, x, also.says(release("left-pad", "1.1.0", "X")))
	if err := x.Touch(ctx, touched.Verified.ID(), module("none")); err != nil {
		t.Fatal(err)
	}
	if c := must[index.Counts](t)(x.Counts(ctx)); c.Strangers != 3 || c.Records != 6 {
		t.Errorf("counts %+v", c)
	}
	for i := range 9 {
		one(fmt.Sprint("many ", i))
	}
	for what, it := range map[string]index.Item{"kept": keptItem, "promoted": promotedItem, "also": alsoItem, "touched": touched} {
		if has := must[bool](t)(x.Has(ctx, it.Verified.ID())); !has {
			t.Errorf("%s is gone", what)
		}
	}
	if has := must[bool](t)(x.Has(ctx, forgotten.Verified.ID())); has {
		t.Error("what nobody used is still there")
	}
	if asked == 0 {
		t.Error("Keep was not asked")
	}
	if c := must[index.Counts](t)(x.Counts(ctx)); c.Strangers > 10 || c.Records != c.Strangers+4 {
		t.Errorf("counts %+v", c)
	}
	if err := fsck.Check(ctx, x); err != nil {
		t.Error(err)
	}
}

// TestStrangersKeyWithoutRecord: a refused record leaves no key behind.
func TestStrangersKeyWithoutRecord(t *testing.T) {
	x, ctx, a := open(t), t.Context(), newAuthor(t, "ann")
	it := strange(a.says(release("left-pad", "1.0.0", "X")))[0]
	it.Key = a.revoked(packet.KeyCompromised, start)
	offer(t, x, it)
	if c := must[index.Counts](t)(x.Counts(ctx)); c != (index.Counts{}) {
		t.Errorf("counts %+v", c)
	}
	if err := fsck.Check(ctx, x); err != nil {
		t.Error(err)
	}
	// A key that was here before stays.
	if _, _, err := x.AddKey(ctx, a.key); err != nil {
		t.Fatal(err)
	}
	offer(t, x, it)
	if c := must[index.Counts](t)(x.Counts(ctx)); c != (index.Counts{Keys: 1}) {
		t.Errorf("counts %+v", c)
	}
	if key := must[*sign.Key](t)(x.Key(ctx, a.fpr())); !isRevoked(key) {
		t.Error("the revocation is lost")
	}
}

var flood = flag.Int("flood", 0, "how many records TestThreat27StrangersFlood adds")

// TestThreat27StrangersFlood: strangers with many keys say very much, while a trusted
// author publishes beside every batch of theirs.
func TestThreat27StrangersFlood(t *testing.T) {
	n, limit := 2000, index.StrangersLimit{Records: 700}
	if full {
		n, limit = 1_000_000, index.StrangersLimit{}
	}
	if *flood > 0 {
		n, limit = *flood, index.StrangersLimit{}
	}
	path := filepath.Join(t.TempDir(), "index")
	x, ctx, trusted := openAt(t, path), t.Context(), newAuthor(t, "trusted")
	x.LimitStrangers(limit)
	var visible []time.Duration
	publish := func(i int) {
		it := trusted.says(release("left-pad", records.Version(fmt.Sprintf("1.%d.0", i)), "X"))
		it.Source.Own = true
		began := time.Now()
		add(t, x, it)
		if r, err := resolve.New(x).Resolve(ctx, "left-pad", "", trusting(t, trusted)); err != nil || r.Release.ID != it.Verified.ID() {
			t.Fatalf("published %d, resolved %v, %v", i, r.Version, err)
		}
		visible = append(visible, time.Since(began))
	}
	var worst, spent time.Duration
	largest := int64(0)
	for i := 0; i < n; {
		var batch []index.Item
		for len(batch) < 500 && i < n {
			a := newAuthor(t, fmt.Sprint("stranger ", i))
			for range 10 {
				r := described(records.Name(fmt.Sprint("spam-", i)), "1.0.0", "buy this now, it is cheap and good", "cheap", "good")
				batch = append(batch, a.says(r))
				i++
			}
		}
		added := make(chan error)
		began := time.Now()
		go func() {
			_, err := x.AddAll(ctx, strange(batch...))
			added <- err
		}()
		publish(len(visible)) // waits for the batch, if that came first
		if err := <-added; err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		worst, spent = max(worst, took), spent+took
		if info, err := os.Stat(path); err == nil {
			largest = max(largest, info.Size())
		}
	}
	c := must[index.Counts](t)(x.Counts(ctx))
	most := limit.Records
	if most == 0 {
		most = index.MaxStrangerRecords
	}
	if c.Strangers > most || c.StrangerBytes > index.MaxStrangerBytes || c.Records != c.Strangers+int64(len(visible)) {
		t.Errorf("counts %+v", c)
	}
	if rs := must[[]index.Release](t)(x.Releases(ctx, "left-pad")); len(rs) != len(visible) {
		t.Errorf("%d of %d trusted records are left", len(rs), len(visible))
	}
	if err := fsck.Check(ctx, x); err != nil {
		t.Error(err)
	}
	slices.Sort(visible)
	t.Logf("%d records in %v, worst batch %v; publish to visible p50 %v, p99 %v; %d strangers with %d bytes, file %d bytes",
		n, spent, worst, visible[len(visible)/2], visible[len(visible)*99/100], c.Strangers, c.StrangerBytes, largest)
}
