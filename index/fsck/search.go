package fsck

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"hash/fnv"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/index/internal/texts"
	"github.com/everythingstays/es/records"
)

// textBatch is how many texts are cut into words at once.
const textBatch = 500

// search compares what search reads with the newest release of each author under
// each name. The words of a text are compared by the sum of their hashes.
func (v *verifier) search(ctx context.Context) error {
	have, err := wordSums(ctx, v.Tx, "temp.vocabulary")
	if err != nil {
		return err
	}
	cut, err := newWordCutter(ctx)
	if err != nil {
		return err
	}
	defer cut.db.Close()
	s := &searchCheck{verifier: v, have: have, cut: cut, dependents: map[string]int64{}}
	err = v.Each(ctx, "SELECT name, author, version, record FROM releases ORDER BY name, author", nil, func(rows *sql.Rows) error {
		var c shown
		if err := rows.Scan(&c.name, &c.author, &c.version, &c.record); err != nil {
			return err
		}
		return s.release(ctx, c)
	})
	if err == nil {
		err = s.release(ctx, shown{}) // ends the last name
	}
	if err == nil {
		err = s.compare(ctx)
	}
	if err == nil {
		err = s.compareDependents(ctx)
	}
	if err != nil {
		return err
	}
	if len(s.have) > 0 {
		v.derived("search has words of texts that are not here: %d", len(s.have))
	}
	var texts, names int64
	if _, err := v.Get(ctx, "SELECT (SELECT count(*) FROM texts), (SELECT count(*) FROM names)", nil, &texts, &names); err != nil {
		return err
	}
	if texts != s.texts || names != s.names {
		v.derived("search has %d texts under %d names, and must have %d under %d", texts, names, s.texts, s.names)
	}
	return nil
}

// shown is a release that search may show.
type shown struct {
	name    string
	author  []byte
	version string
	record  int64
}

// A searchCheck goes through the releases by name and author.
type searchCheck struct {
	*verifier
	have  map[int64]uint64 // the words of each text, by its number
	cut   *wordCutter
	texts int64
	names int64

	dependents map[string]int64 // how many texts name it

	newest  shown // so far, of the name and author that are looked at
	waiting []searchText
}

type searchText struct {
	num     int64
	author  records.Fingerprint
	release *records.Release
}

func (s *searchCheck) release(ctx context.Context, c shown) error {
	if c.name == s.newest.name && bytes.Equal(c.author, s.newest.author) {
		// Of equal versions the one that came last is shown.
		if n := records.Version(c.version).CompareStable(records.Version(s.newest.version)); n > 0 || n == 0 && c.record > s.newest.record {
			s.newest = c
		}
		return nil
	}
	before := s.newest
	s.newest = c
	if before.name != "" {
		if err := s.text(ctx, before); err != nil {
			return err
		}
	}
	if c.name == before.name || c.name == "" {
		return nil
	}
	s.names++
	return s.name(ctx, records.Name(c.name))
}

// name checks what search has of a name.
func (s *searchCheck) name(ctx context.Context, n records.Name) error {
	var folded, skeleton string
	var related, place, dependents, want int64
	known, err := s.Get(ctx, "SELECT folded, skeleton, related, place, coalesce(n, 0) FROM names LEFT JOIN dependents USING (name) WHERE name = ?",
		[]any{string(n)}, &folded, &skeleton, &related, &place, &dependents)
	if err != nil {
		return err
	}
	if _, err := s.Get(ctx, "SELECT "+texts.RelatedQuery, texts.RelatedArguments(n), &want); err != nil {
		return err
	}
	if !known || folded != texts.Folded(n) || skeleton != n.Skeleton() || related != want || place != texts.Place(n, related, dependents) {
		s.derived("search has the name %q wrongly", index.Printable(string(n)))
	}
	return nil
}

// compareDependents compares the table dependents with what the texts say.
func (s *searchCheck) compareDependents(ctx context.Context) error {
	err := s.Each(ctx, "SELECT name, n FROM dependents", nil, func(rows *sql.Rows) error {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return err
		}
		if s.dependents[name] != n {
			s.derived("search counts %d dependents of %q, and must count %d", n, index.Printable(name), s.dependents[name])
		}
		delete(s.dependents, name)
		return nil
	})
	if err == nil && len(s.dependents) > 0 {
		s.derived("search does not count the dependents of names: %d", len(s.dependents))
	}
	return err
}

// text checks what search has of an author's newest release under a name.
func (s *searchCheck) text(ctx context.Context, c shown) error {
	s.texts++
	var num, related, dependents int64
	var version string
	var strange bool
	known, err := s.Get(ctx, `SELECT num, version, related, coalesce(n, 0), EXISTS (SELECT 1 FROM strangers WHERE record = ?3)
		FROM texts JOIN names USING (name) LEFT JOIN dependents USING (name) WHERE name = ?1 AND author = ?2`,
		[]any{c.name, c.author, c.record}, &num, &version, &related, &dependents, &strange)
	if err != nil {
		return err
	}
	if !known || version != c.version || num != texts.Number(c.record, texts.Level(related, dependents), strange) {
		s.derived("search does not show %q in the version %q of key %X in its place", index.Printable(c.name), index.Printable(c.version), c.author)
		return nil
	}
	var envelope []byte
	if _, err := s.Get(ctx, "SELECT envelope FROM records WHERE num = ?", []any{c.record}, &envelope); err != nil {
		return err
	}
	e, err := records.DecodeEnvelope(envelope)
	if err != nil {
		delete(s.have, num)
		return nil // told of the record
	}
	body, ok := e.Record.Body.(*records.Release)
	if !ok {
		delete(s.have, num)
		return nil
	}
	texts.DependentsIn(s.dependents, body)
	s.waiting = append(s.waiting, searchText{num, e.Record.Author, body})
	if len(s.waiting) == textBatch {
		return s.compare(ctx)
	}
	return nil
}

func (s *searchCheck) compare(ctx context.Context) error {
	want, err := s.cut.sums(ctx, s.waiting)
	if err != nil {
		return err
	}
	for _, t := range s.waiting {
		if s.have[t.num] != want[t.num] {
			s.derived("search has other words of %q than its release", index.Printable(string(t.release.Name)))
		}
		delete(s.have, t.num)
	}
	s.waiting = s.waiting[:0]
	return nil
}

// wordSums adds up the hashes of the words of each text with their places, and of how
// many there are.
func wordSums(ctx context.Context, q *db.Tx, vocabulary string) (map[int64]uint64, error) {
	sums := map[int64]uint64{}
	var size sql.RawBytes
	err := q.Each(ctx, "SELECT id, sz FROM words_docsize", nil, func(rows *sql.Rows) error {
		var doc int64
		if err := rows.Scan(&doc, &size); err != nil {
			return err
		}
		h := fnv.New64a()
		h.Write(size)
		sums[doc] += h.Sum64()
		return nil
	})
	if err != nil {
		return nil, err
	}
	var term sql.RawBytes
	var column sql.RawBytes
	err = q.Each(ctx, "SELECT term, doc, col, offset FROM "+vocabulary, nil, func(rows *sql.Rows) error {
		var doc, offset int64
		if err := rows.Scan(&term, &doc, &column, &offset); err != nil {
			return err
		}
		h := fnv.New64a()
		h.Write(term)
		h.Write([]byte{0})
		h.Write(column)
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(offset)))
		sums[doc] += h.Sum64()
		return nil
	})
	return sums, err
}

// A wordCutter cuts texts into words as the index does, in memory.
type wordCutter struct{ db *sql.DB }

func newWordCutter(ctx context.Context) (*wordCutter, error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, texts.WordsSchema+"CREATE VIRTUAL TABLE vocabulary USING fts5vocab('words', 'instance');"); err != nil {
		db.Close()
		return nil, err
	}
	return &wordCutter{db}, nil
}

func (c *wordCutter) sums(ctx context.Context, waiting []searchText) (map[int64]uint64, error) {
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() // which forgets the texts
	q := db.NewTx(tx)
	for _, t := range waiting {
		if err := texts.InsertWords(ctx, q, t.num, t.author, t.release); err != nil {
			return nil, err
		}
	}
	return wordSums(ctx, q, "vocabulary")
}
