package index_test

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/fsck"
	"github.com/everythingstays/es/records"
)

func verify(t *testing.T, x *index.Index) []fsck.Damage {
	t.Helper()
	var all []fsck.Damage
	looked, err := fsck.Verify(t.Context(), x, func(done, total int64) {
		if done > total {
			t.Errorf("%d of %d done", done, total)
		}
	}, func(d fsck.Damage) { all = append(all, d) })
	if err != nil {
		t.Fatal(err)
	}
	if c := must[index.Counts](t)(x.Counts(t.Context())); looked.Keys != c.Keys || looked.Records != c.Records {
		t.Errorf("looked at %+v of %+v", looked, c)
	}
	return all
}

// everything fills a store with records of all kinds by several authors: some invalid,
// some strangers', an equivocation, links, and texts of all sorts.
func everything(t *testing.T, x *index.Index) {
	t.Helper()
	ann, bob, eve, ted := newAuthor(t, "ann"), newAuthor(t, "bob"), newAuthor(t, "eve"), newAuthor(t, "ted")
	until := start.AddDate(1, 0, 0).Unix()
	first := ann.says(described("left-pad", "1.0.0", "Pads strings, crème brûlée 🚀", "pad", "string", "left"))
	items := []index.Item{
		first,
		ann.says(described("left-pad", "1.1.0", "Pads strings on the left", "pad")),
		ann.says(described("@ann/right-pad", "0.1.0-beta", "Pads \"quoted\" words; DROP TABLE")),
		ann.says(&records.Tag{Name: "left-pad", Tag: "latest", Version: "1.0.0"}),
		ann.says(&records.Notice{Name: "left-pad", Range: "<1", NoticeOf: records.Deprecated, Text: "too old"}),
		ann.says(&records.Delegate{To: bob.fpr(), Scopes: []records.Scope{"left-*"}, Until: until}),
		ann.says(&records.Heartbeat{Next: until}),
		bob.says(&records.Endorse{Name: "left-pad", Version: "1.0.0", Module: module("m"), Claim: records.Reviewed}),
		bob.says(&records.Successor{To: ann.fpr()}),
		bob.says(release("two-faced", "1.0.0", "X")),
		bob.says(release("two-faced", "1.0.0", "Y")),
		ted.says(release("gone", "1.0.0", "Z")),
	}
	own := ann.says(release("mine", "1.0.0", "M"))
	own.Source.Own = true
	add(t, x, append(items, own)...)
	add(t, x, strange(eve.says(release("strange", "1.0.0", "S")), eve.says(&records.Heartbeat{Next: until}))...)
	if _, _, err := x.AddKey(t.Context(), ted.revoked(packet.KeyCompromised, start.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
}

// A cell is one value of the store, in a row that SQL names.
type cell struct{ table, column, where string }

// cells are all values that follow from records and keys, or are these.
func cells(t *testing.T, db *sql.DB) []cell {
	t.Helper()
	var all []cell
	for table, columns := range map[string][]string{
		"keys":          {"fingerprint", "block", "block", "block", "block"},
		"records":       {"id", "author", "kind", "seq", "time", "signed", "referenced", "invalid", "invalid_key", "invalid_since", "envelope_id", "envelope", "envelope", "envelope", "envelope", "envelope"},
		"prev":          {"id", "record"},
		"releases":      {"name", "version", "author", "module"},
		"tags":          {"name", "tag", "version", "author"},
		"annotations":   {"name", "kind"},
		"equivocations": {"author", "name", "version"},
		"names":         {"name", "folded", "skeleton", "related", "place"},
		"dependents":    {"name", "n"},
		"texts":         {"num", "name", "author", "version"},
		"elements":      {"element"},
		"sums":          {"sum", "first"},
		"strangers":     {"size", "author"},
		"words_docsize": {"sz"},
	} {
		var keys []string
		switch table {
		case "keys":
			keys = []string{"fingerprint"}
		case "records", "texts":
			keys = []string{"num"}
		case "prev":
			keys = []string{"id", "record"}
		case "words_docsize":
			keys = []string{"id"}
		case "equivocations":
			keys = []string{"author", "name", "version"}
		case "names", "dependents":
			keys = []string{"name"}
		case "elements":
			keys = []string{"element"}
		case "sums":
			keys = []string{"level", "first"}
		default:
			keys = []string{"record"}
		}
		expr := ""
		for i, k := range keys {
			if i > 0 {
				expr += " || ' AND ' || "
			}
			expr += "'" + k + " = ' || quote(" + k + ")"
		}
		rows, err := db.Query("SELECT " + expr + " FROM " + table)
		if err != nil {
			t.Fatal(table, err)
		}
		for rows.Next() {
			var where string
			if err := rows.Scan(&where); err != nil {
				t.Fatal(err)
			}
			for _, c := range columns {
				all = append(all, cell{table, c, where})
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(all, func(a, b cell) int {
		return slices.Compare([]string{a.table, a.column, a.where}, []string{b.table, b.column, b.where})
	})
	return all
}

// spoil changes one byte of the cell, or adds to a number, and returns how to undo it.
func (c cell) spoil(t *testing.T, db *sql.DB, r *rand.Rand) (undo string, changed bool) {
	t.Helper()
	var rowid, was string
	var value any
	key := "rowid"
	if slices.Contains([]string{"keys", "prev", "equivocations", "names", "dependents", "elements", "sums"}, c.table) {
		key = "" // without rowid: the row is found by its key, which may be what changes
	}
	if err := db.QueryRow("SELECT quote("+c.column+"), "+c.column+" FROM "+c.table+" WHERE "+c.where).Scan(&was, &value); err != nil {
		t.Fatal(c, err)
	}
	now := ""
	switch v := value.(type) {
	case []byte:
		if len(v) == 0 {
			return "", false
		}
		v[r.IntN(len(v))] ^= byte(1 + r.IntN(255))
		now = fmt.Sprintf("X'%x'", v)
	case string:
		b := []byte(v)
		if len(b) == 0 {
			b = []byte("x")
		} else {
			b[r.IntN(len(b))] ^= byte(1 + r.IntN(31)) // stays ASCII
		}
		now = fmt.Sprintf("CAST(X'%x' AS TEXT)", b)
	case int64:
		now = fmt.Sprint(v + 1 + r.Int64N(9))
		if c.column == "referenced" {
			now = fmt.Sprint(1 - v)
		}
	}
	find := c.where
	if key != "" {
		if err := db.QueryRow("SELECT rowid FROM " + c.table + " WHERE " + c.where).Scan(&rowid); err != nil {
			t.Fatal(c, err)
		}
		find = "rowid = " + rowid
	}
	res, err := db.Exec("UPDATE OR IGNORE " + c.table + " SET " + c.column + " = " + now + " WHERE " + find)
	if err != nil {
		t.Fatal(c, err)
	}
	if n, err := res.RowsAffected(); n == 0 || err != nil {
		return "", false // another row has this key already
	}
	// The row is found again by what it says now.
	for _, part := range []string{"num", "record"} {
		if c.column == part && key != "" {
			find = part + " = " + now
		}
	}
	if key == "" {
		find = replaced(c.where, c.column, was, now)
	}
	return "UPDATE " + c.table + " SET " + c.column + " = " + was + " WHERE " + find, true
}

// replaced returns a condition in which one column has another value.
func replaced(where, column, was, now string) string {
	old := column + " = " + was
	for i := 0; i+len(old) <= len(where); i++ {
		if where[i:i+len(old)] == old && (i == 0 || where[i-1] == ' ') {
			return where[:i] + column + " = " + now + where[i+len(old):]
		}
	}
	return where
}

// TestThreat25OneByteAtATime: one byte of one record, key block or row is changed at a
// time, and each time Verify says so; with all as it was it says nothing. 100 times by
// default, 5,000 with ES_FULL. (The block store has a test of the same name.)
func TestThreat25OneByteAtATime(t *testing.T) {
	times := 100
	if full {
		times = 5000
	}
	path := filepath.Join(t.TempDir(), "index")
	x := openAt(t, path)
	everything(t, x)
	if d := verify(t, x); len(d) > 0 {
		t.Fatalf("damage in a good store: %+v", d)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	all := cells(t, db)
	r := rand.New(rand.NewPCG(25, 0))
	caught, tried := 0, 0
	for tried < times {
		c := all[r.IntN(len(all))]
		undo, changed := c.spoil(t, db, r)
		if !changed {
			continue
		}
		tried++
		if d := verify(t, x); len(d) > 0 {
			caught++
		} else {
			t.Errorf("not caught: %s.%s where %s", c.table, c.column, c.where)
		}
		if res, err := db.Exec(undo); err != nil {
			t.Fatal(undo, err)
		} else if n, _ := res.RowsAffected(); n != 1 {
			t.Fatalf("%s: undone %d times", undo, n)
		}
	}
	if d := verify(t, x); len(d) > 0 {
		t.Errorf("damage after all was undone: %+v", d)
	}
	t.Logf("%d of %d caught, of %d values", caught, tried, len(all))
}

// TestVerifyWords: a word that search lost or that no release has is found. (Its
// table for prefixes and the averages for ranking are SQLite's own to check.)
func TestVerifyWords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x := openAt(t, path)
	everything(t, x)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const one = "(SELECT min(num) FROM texts WHERE name = 'left-pad')"
	if _, err := db.Exec("DELETE FROM words WHERE rowid = " + one + "; INSERT INTO words (rowid, name, description, keywords) VALUES (" + one + ", 'left-pad', 'Pads strings on the write', 'pad')"); err != nil {
		t.Fatal(err)
	}
	if d := verify(t, x); len(d) != 1 || d[0].Lost() {
		t.Errorf("other words: %+v", d)
	}
	if _, err := db.Exec("DELETE FROM words WHERE rowid = " + one + "; INSERT INTO words (rowid, name, description, keywords) VALUES (99, 'left-pad', 'mine', '')"); err != nil {
		t.Fatal(err)
	}
	if d := verify(t, x); len(d) != 2 {
		t.Errorf("lost and found words: %+v", d)
	}
}

// TestRepair: what is spoilt goes, with a copy of it, and everything that is left is as
// if it had never come; and what can be made again from the rest is as it was.
func TestRepair(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 1))
	for i := range 30 {
		path := filepath.Join(t.TempDir(), "index")
		x := openAt(t, path)
		everything(t, x)
		before := dump(t, path)
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		all := cells(t, db)
		c := all[r.IntN(len(all))]
		if i%2 == 0 { // half of them in what cannot be made again
			for c.column != "envelope" && c.column != "block" {
				c = all[r.IntN(len(all))]
			}
		}
		_, changed := c.spoil(t, db, r)
		db.Close()
		if !changed {
			continue
		}
		found := verify(t, x)
		aside := map[string][]byte{}
		if err := fsck.Repair(t.Context(), x, found, func(name string, b []byte) error { aside[name] = b; return nil }); err != nil {
			t.Errorf("%s.%s: %v", c.table, c.column, err)
			continue
		}
		if d := verify(t, x); len(d) > 0 {
			t.Errorf("%s.%s: after the repair: %+v", c.table, c.column, d)
		}
		lost := slices.ContainsFunc(found, fsck.Damage.Lost)
		if lost != (len(aside) > 0) {
			t.Errorf("%s.%s: %d set aside of %+v", c.table, c.column, len(aside), found)
		}
		if after := dump(t, path); !lost && !slices.Equal(before, after) {
			t.Errorf("%s.%s: the store is another", c.table, c.column)
		}
	}
}

// TestRepairAside: when nothing can be kept, nothing is changed.
func TestRepairAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x := openAt(t, path)
	everything(t, x)
	if err := x.ExecOnWriter(t.Context(), "UPDATE records SET envelope = zeroblob(9) WHERE num = 1"); err != nil {
		t.Fatal(err)
	}
	found := verify(t, x)
	full := errors.New("the disk is full")
	if err := fsck.Repair(t.Context(), x, found, func(string, []byte) error { return full }); !errors.Is(err, full) {
		t.Errorf("repair: %v", err)
	}
	if again := verify(t, x); len(again) != len(found) {
		t.Errorf("damage %+v, then %+v", found, again)
	}
}
