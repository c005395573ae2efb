package index_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/fsck"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// downgrade makes a file of version 1 of the schema with what the index at path
// holds.
func downgrade(t *testing.T, path string) string {
	t.Helper()
	schema, err := os.ReadFile("testdata/schema1.sql")
	if err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(t.TempDir(), "index")
	db, err := sql.Open("sqlite", old)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	queries := []string{string(schema), fmt.Sprintf("ATTACH '%s' AS new", path),
		"INSERT INTO keys SELECT fingerprint, block, first_seen FROM new.keys", "INSERT INTO names SELECT name, substr(name, instr(name, '/') + 1) FROM new.names"}
	queries = append(queries, `INSERT INTO main.records SELECT num, id, author, kind, seq, time, signed, first_seen, own, referenced, peer,
		CASE invalid WHEN '' THEN '' ELSE 'key AAAA: was revoked, in other words' END, envelope_id, envelope FROM new.records`,
		"INSERT INTO main.remarks SELECT * FROM new.annotations")
	for _, table := range []string{"prev", "releases", "tags", "equivocations", "outbox", "texts"} {
		queries = append(queries, fmt.Sprintf("INSERT INTO main.%s SELECT * FROM new.%s", table, table))
	}
	queries = append(queries, "INSERT INTO words (rowid, name, description, keywords) SELECT num, name, '', '' FROM texts")
	for _, q := range queries {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(q, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return old
}

// toVersion5 takes back what versions 6 and 7 of the schema changed.
const toVersion5 = toVersion6 + `
	ALTER TABLE records RENAME COLUMN referenced TO named; ALTER TABLE records RENAME COLUMN invalid TO void;
	ALTER TABLE records RENAME COLUMN envelope_id TO sealed; ALTER TABLE records DROP COLUMN invalid_key; ALTER TABLE records DROP COLUMN invalid_since;
	ALTER TABLE annotations RENAME TO remarks; DROP INDEX annotations_by_name; CREATE INDEX remarks_by_name ON remarks(name, kind);`

// toVersion6 takes back what version 7 changed.
const toVersion6 = `
	DROP TABLE dependents; DROP INDEX names_by_folded; DROP INDEX names_by_place; DROP INDEX names_by_place_folded;
	ALTER TABLE names RENAME COLUMN folded TO base; ALTER TABLE names DROP COLUMN related; ALTER TABLE names DROP COLUMN place;
	CREATE INDEX names_by_base ON names(base); DROP TABLE words;
	CREATE VIRTUAL TABLE words USING fts5(name, description, keywords, content='', contentless_delete=1, prefix='3', tokenize='unicode61 remove_diacritics 2');`

// TestMigration opens a store that an older es made, by several processes at
// once: everything is there, and so is the set.
func TestMigration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x := openAt(t, path)
	a, b := newAuthor(t, "ann"), newAuthor(t, "bob")
	revoked := a.revoked(packet.KeyRetired, start.Add(time.Hour))
	var items []index.Item
	for i := range 300 {
		items = append(items, a.says(release(records.Name(fmt.Sprint("pkg-", i)), "1.0.0", "X")))
	}
	a.now = start.Add(2 * time.Hour)
	items = append(items, a.says(release("left-pad", "2.0.0", "X")), b.says(release("left-pad", "1.0.0", "X")))
	items[0].Source.Own = true
	add(t, x, items...)
	if _, _, err := x.AddKey(t.Context(), revoked); err != nil { // so that one does not count
		t.Fatal(err)
	}
	want := must[[]records.Element](t)(x.Elements(t.Context(), records.Range{}, 1000))
	if len(want) != 303 {
		t.Fatalf("%d elements", len(want))
	}
	old := downgrade(t, path)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			y, err := index.Open(t.Context(), old)
			if err != nil {
				t.Error(err)
				return
			}
			got, err := y.Elements(t.Context(), records.Range{}, 1000)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%d elements, want %d, %v", len(got), len(want), err)
			}
			if err := y.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	y := openAt(t, old)
	if err := fsck.Check(t.Context(), y); err != nil {
		t.Error(err)
	}
	if codes := invalidCodes(t, old); !slices.Equal(codes, []string{"revoked"}) {
		t.Errorf("signatures do not count for %q", codes)
	}
	counts := must[index.Counts](t)(x.Counts(t.Context()))
	if c := must[index.Counts](t)(y.Counts(t.Context())); c != counts {
		t.Errorf("counts %+v, want %+v", c, counts)
	}
	if got := searched(t, y, "pkg 42", 10, trusting(t, a)); !slices.Equal(got, []string{"pkg-42"}) {
		t.Errorf("found %v", got)
	}
	add(t, y, b.says(release("left-pad", "1.0.1", "X")))
	if err := fsck.Check(t.Context(), y); err != nil {
		t.Error(err)
	}
}

// TestMigrationToSearch opens a store of version 6: what search reads is made anew of the
// newest releases, with dependents and without what is older; keys, records and the set
// stay.
func TestMigrationToSearch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x := openAt(t, path)
	a, b := newAuthor(t, "ann"), newAuthor(t, "bob")
	needs := release("user", "1.0.0", "X")
	needs.Manifest.Dependencies = map[string]string{"left-pad": "1"}
	old := described("left-pad", "1.0.0", "ancient")
	add(t, x, a.says(old), a.says(described("left-pad", "1.1.0", "pads")), a.says(needs), a.says(release("@acme/left-pad", "1.0.0", "X")))
	add(t, x, strange(b.says(described("left-pads", "1.0.0", "pads too")))...)
	set := must[[]records.Element](t)(x.Elements(t.Context(), records.Range{}, 1000))
	counts := must[index.Counts](t)(x.Counts(t.Context()))
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{toVersion6, "PRAGMA user_version = 6"} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	y := openAt(t, path)
	if got := must[[]records.Element](t)(y.Elements(t.Context(), records.Range{}, 1000)); !slices.Equal(got, set) {
		t.Errorf("%d elements, want %d", len(got), len(set))
	}
	if got := must[index.Counts](t)(y.Counts(t.Context())); got != counts {
		t.Errorf("counts %+v, want %+v", got, counts)
	}
	for query, want := range map[string][]string{"leftpad": {"left-pad", "@acme/left-pad", "left-pads"}, "pads": {"left-pad", "left-pads"}, "ancient": nil, "depends:left-pad": {"user"}} {
		if got := searched(t, y, query, 10, trusting(t, a)); !slices.Equal(got, want) {
			t.Errorf("%q: found %v, want %v", query, got, want)
		}
	}
	if d := verify(t, y); len(d) != 0 {
		t.Errorf("damage %+v", d)
	}
}

// TestThreat63OlderSums opens a store of version 3, whose sums were modulo 2^512:
// they are made again, and keys, records and elements are kept.
func TestThreat63OlderSums(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x := openAt(t, path)
	a := newAuthor(t, "ann")
	var items []index.Item
	for i := range 300 {
		items = append(items, a.says(release(records.Name(fmt.Sprint("pkg-", i)), "1.0.0", "X")))
	}
	add(t, x, items...)
	want := must[records.Sum](t)(x.Sum(t.Context(), records.Range{}))
	counts := must[index.Counts](t)(x.Counts(t.Context()))
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"UPDATE sums SET sum = substr(sum, 1, 72)", toVersion5, "PRAGMA user_version = 3"} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	y := openAt(t, path)
	if got := must[records.Sum](t)(y.Sum(t.Context(), records.Range{})); got != want {
		t.Error("the sum is another one")
	}
	if got := must[index.Counts](t)(y.Counts(t.Context())); got != counts {
		t.Errorf("counts %+v, want %+v", got, counts)
	}
	if key, err := y.Key(t.Context(), a.fpr()); key == nil || err != nil {
		t.Errorf("the key is gone: %v", err)
	}
	if err := fsck.Check(t.Context(), y); err != nil {
		t.Error(err)
	}
	if _, err := y.Split(t.Context(), records.Range{}, 16); err != nil {
		t.Error(err)
	}
}

// invalidCodes returns what the store says of why signatures do not count.
func invalidCodes(t *testing.T, path string) (codes []string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT DISTINCT invalid FROM records WHERE invalid <> '' ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var code string
		if err := rows.Scan(&code); err != nil {
			t.Fatal(err)
		}
		codes = append(codes, code)
	}
	return codes
}

// TestInvalidCodes is that the store says by a code of package sign why a signature does
// not count, and not by a message, which a later es may word in another way.
func TestInvalidCodes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index")
	x := openAt(t, path)
	everything(t, x)
	codes := invalidCodes(t, path)
	if len(codes) == 0 {
		t.Fatal("every signature counts")
	}
	for _, c := range codes {
		if !slices.Contains([]sign.Problem{sign.Revoked, sign.Expired, sign.NotForSigning, sign.MissingSubkey, index.NotASignature}, sign.Problem(c)) {
			t.Errorf("a signature does not count for %q", c)
		}
	}
}
