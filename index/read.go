package index

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
)

const statementColumns = "num, id, records.author, signed, first_seen, own, peer, envelope, " + InvalidColumns

// statements runs a query for statementColumns and decodes the records.
func (x *Index) statements(ctx context.Context, op, query string, args ...any) ([]Statement, error) {
	rows, err := x.file.Readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, x.explain(op, err)
	}
	defer rows.Close()
	var all []Statement
	for rows.Next() {
		s, err := scanStatement(rows)
		if err != nil {
			return nil, x.explain(op, err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		return nil, x.explain(op, err)
	}
	return all, nil
}

func scanStatement(rows *sql.Rows) (Statement, error) {
	var s Statement
	var id db.CID
	var author db.Fingerprint
	var signed, seen int64
	var envelope []byte
	var invalid InvalidScanner
	err := rows.Scan(append([]any{&s.Order, &id, &author, &signed, &seen, &s.Own, &s.Peer, &envelope}, invalid.To()...)...)
	if err != nil {
		return s, err
	}
	e, err := records.DecodeEnvelope(envelope)
	if err != nil {
		return s, fmt.Errorf("stored record %s: %w", id, err)
	}
	s.Invalid = invalid.Invalid().String()
	s.ID, s.Author, s.Record = id.Cid, author.Fingerprint, e.Record
	s.Seq, s.Time = e.Record.Seq, time.Unix(e.Record.Time, 0).UTC()
	s.SignedAt, s.FirstSeen = time.Unix(signed, 0).UTC(), time.UnixMilli(seen).UTC()
	return s, nil
}

// Releases returns every release of the name, invalid ones included, by arrival.
func (x *Index) Releases(ctx context.Context, name records.Name) ([]Release, error) {
	all, err := x.statements(ctx, "list releases", "SELECT "+statementColumns+
		" FROM releases JOIN records ON num = record WHERE name = ? ORDER BY num", string(name))
	return releasesOf(all), err
}

// ReleasesOf returns every release of one version of the name, invalid ones included, by
// arrival.
func (x *Index) ReleasesOf(ctx context.Context, name records.Name, version records.Version) ([]Release, error) {
	all, err := x.statements(ctx, "list releases", "SELECT "+statementColumns+
		" FROM releases JOIN records ON num = record WHERE name = ? AND version = ? ORDER BY num", string(name), string(version))
	return releasesOf(all), err
}

func releasesOf(all []Statement) []Release {
	var rs []Release
	for _, s := range all {
		if body, ok := s.Record.Body.(*records.Release); ok {
			rs = append(rs, Release{s.Meta, body})
		}
	}
	return rs
}

// Release returns a release by its record id, or a *NotFoundError.
func (x *Index) Release(ctx context.Context, id cid.Cid) (Release, error) {
	s, err := x.Statement(ctx, id)
	if err != nil {
		return Release{}, err
	}
	body, ok := s.Record.Body.(*records.Release)
	if !ok {
		return Release{}, &NotFoundError{Record: id}
	}
	return Release{s.Meta, body}, nil
}

// Statement returns any record by its id, or a *NotFoundError.
func (x *Index) Statement(ctx context.Context, id cid.Cid) (Statement, error) {
	all, err := x.statements(ctx, "find record", "SELECT "+statementColumns+" FROM records WHERE id = ?", id.Bytes())
	if err != nil {
		return Statement{}, err
	}
	if len(all) == 0 {
		return Statement{}, &NotFoundError{Record: id}
	}
	return all[0], nil
}

// Tags returns each author's newest record about each tag of the name, by tag
// and author. Invalid records take no part.
func (x *Index) Tags(ctx context.Context, name records.Name) ([]Tag, error) {
	all, err := x.statements(ctx, "list tags", "SELECT "+statementColumns+
		" FROM tags JOIN records ON num = record WHERE name = ? AND invalid = '' ORDER BY num", string(name))
	return TagsOf(all), err
}

func TagsOf(all []Statement) []Tag {
	var ts []Tag
	for _, s := range Newest(all, func(s Statement) string {
		body, _ := s.Record.Body.(*records.Tag)
		return body.Tag + "\x00" + s.Author.String()
	}) {
		ts = append(ts, Tag{s.Meta, s.Record.Body.(*records.Tag)})
	}
	return ts
}

// Notices returns each author's newest notice of each kind about the same range
// or record of the name. Invalid records take no part.
func (x *Index) Notices(ctx context.Context, name records.Name) ([]Notice, error) {
	all, err := x.annotations(ctx, name, "notice")
	return NoticesOf(all), err
}

func NoticesOf(all []Statement) []Notice {
	var ns []Notice
	for _, s := range Newest(all, func(s Statement) string {
		body, _ := s.Record.Body.(*records.Notice)
		return strings.Join([]string{body.NoticeOf, body.Range, body.Record.KeyString(), s.Author.String()}, "\x00")
	}) {
		ns = append(ns, Notice{s.Meta, s.Record.Body.(*records.Notice)})
	}
	return ns
}

// Endorsements returns every endorsement of the name, by arrival. Invalid records
// take no part.
func (x *Index) Endorsements(ctx context.Context, name records.Name) ([]Endorsement, error) {
	all, err := x.annotations(ctx, name, "endorse")
	return EndorsementsOf(all), err
}

func EndorsementsOf(all []Statement) []Endorsement {
	var es []Endorsement
	for _, s := range all {
		if body, ok := s.Record.Body.(*records.Endorse); ok {
			es = append(es, Endorsement{s.Meta, body})
		}
	}
	return es
}

func (x *Index) annotations(ctx context.Context, name records.Name, kind string) ([]Statement, error) {
	return x.statements(ctx, "list "+kind+" records", "SELECT "+statementColumns+
		" FROM annotations JOIN records ON num = record WHERE name = ? AND annotations.kind = ? AND invalid = '' ORDER BY num", string(name), kind)
}

// Newest keeps, of the statements with equal keys, the one that counts, in the
// order of the keys (SPEC.md [X3]).
func Newest(all []Statement, key func(Statement) string) []Statement {
	best := map[string]Statement{}
	for _, s := range all {
		k := key(s)
		if old, ok := best[k]; !ok || compareAge(s.Meta, old.Meta) > 0 {
			best[k] = s
		}
	}
	keys := make([]string, 0, len(best))
	for k := range best {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	kept := make([]Statement, 0, len(keys))
	for _, k := range keys {
		kept = append(kept, best[k])
	}
	return kept
}

// compareAge orders records of one author, the newest highest: by seq, which a
// later record that knows the earlier one raises, then by time, then by id.
func compareAge(a, b Meta) int {
	return cmp.Or(cmp.Compare(a.Seq, b.Seq), a.Time.Compare(b.Time), bytes.Compare(a.ID.Bytes(), b.ID.Bytes()))
}

// Newer reports whether m takes the place of o, another record of its author about the
// same thing (SPEC.md [X3]).
func (m Meta) Newer(o Meta) bool { return compareAge(m, o) > 0 }

// Statements returns the author's records of the given kinds, or of all kinds
// when none is given, by arrival.
func (x *Index) Statements(ctx context.Context, author records.Fingerprint, kinds ...string) ([]Statement, error) {
	return x.StatementsOf(ctx, []records.Fingerprint{author}, kinds...)
}

// StatementsOf is Statements of several authors, at least one.
func (x *Index) StatementsOf(ctx context.Context, authors []records.Fingerprint, kinds ...string) ([]Statement, error) {
	query := "SELECT " + statementColumns + " FROM records WHERE author IN (?" + strings.Repeat(", ?", len(authors)-1) + ")"
	var args []any
	for _, a := range authors {
		args = append(args, a.Bytes())
	}
	if len(kinds) > 0 {
		query += " AND kind IN (?" + strings.Repeat(", ?", len(kinds)-1) + ")"
		for _, k := range kinds {
			args = append(args, k)
		}
	}
	return x.statements(ctx, "list records", query+" ORDER BY num", args...)
}

// LogKnown reports whether all records of an own key are here, as far as this home can
// know: SetLogKnown said so, or the key signed here before.
func (x *Index) LogKnown(ctx context.Context, author records.Fingerprint) (bool, error) {
	var known bool
	err := x.file.Readers.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM logs WHERE author = ?1)
		OR EXISTS (SELECT 1 FROM records WHERE author = ?1 AND own = 1)`, author.Bytes()).Scan(&known)
	if err != nil {
		return false, x.explain("find log", err)
	}
	return known, nil
}

// SetLogKnown notes that all records of an own key are here.
func (x *Index) SetLogKnown(ctx context.Context, author records.Fingerprint) error {
	err := x.write(ctx, true, func(b *batch) error {
		_, err := b.Exec(ctx, "INSERT OR IGNORE INTO logs (author) VALUES (?)", author.Bytes())
		return err
	})
	if err != nil {
		return x.explain("note log", err)
	}
	return nil
}

const envelopeColumns = "records.id, records.author, envelope, block"

func (x *Index) envelopes(ctx context.Context, op, query string, args ...any) ([]SignedRecord, error) {
	rows, err := x.file.Readers.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, x.explain(op, err)
	}
	defer rows.Close()
	var all []SignedRecord
	for rows.Next() {
		var s SignedRecord
		var id db.CID
		var author db.Fingerprint
		if err := rows.Scan(&id, &author, &s.Envelope, &s.Key); err != nil {
			return nil, x.explain(op, err)
		}
		s.ID, s.Author = id.Cid, author.Fingerprint
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		return nil, x.explain(op, err)
	}
	return all, nil
}

// Envelope returns the envelope of a record and its author's key block, or a
// *NotFoundError.
func (x *Index) Envelope(ctx context.Context, record cid.Cid) (envelope, key []byte, err error) {
	all, err := x.envelopes(ctx, "find envelope", "SELECT "+envelopeColumns+
		" FROM records JOIN keys ON fingerprint = author WHERE id = ?", record.Bytes())
	if err != nil {
		return nil, nil, err
	}
	if len(all) == 0 {
		return nil, nil, &NotFoundError{Record: record}
	}
	return all[0].Envelope, all[0].Key, nil
}

// Block returns the block that c names when it is a stored envelope, or a stored
// record without its signature, and otherwise nil. It is how IPFS reads them.
func (x *Index) Block(ctx context.Context, c cid.Cid) ([]byte, error) {
	var envelope []byte
	var id db.CID
	err := x.file.Readers.QueryRowContext(ctx, "SELECT envelope, id FROM records WHERE envelope_id = ?1 OR id = ?1", c.Bytes()).Scan(&envelope, &id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, x.explain("find block", err)
	}
	if id.Cid != c {
		return envelope, nil
	}
	e, err := records.DecodeEnvelope(envelope)
	if err != nil {
		return nil, fmt.Errorf("find block: %w", err)
	}
	return e.RecordBytes, nil
}

// Pending returns own records that nobody was told of yet, oldest first.
func (x *Index) Pending(ctx context.Context) ([]SignedRecord, error) {
	return x.envelopes(ctx, "read outbox", "SELECT "+envelopeColumns+
		" FROM outbox JOIN records ON num = record JOIN keys ON fingerprint = author ORDER BY num")
}

// Announced takes records out of the outbox. Unknown ids are passed over.
func (x *Index) Announced(ctx context.Context, ids ...cid.Cid) error {
	err := x.write(ctx, false, func(b *batch) error {
		for _, id := range ids {
			if _, err := b.Exec(ctx, "DELETE FROM outbox WHERE record = (SELECT num FROM records WHERE id = ?)", id.Bytes()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return x.explain("write outbox", err)
	}
	return nil
}

// Equivocations returns the proofs at hand, by author, name and version: of each
// module that the author named, the release with the lowest record id.
func (x *Index) Equivocations(ctx context.Context) ([]Proof, error) {
	const op = "list equivocations"
	rows, err := x.file.Readers.QueryContext(ctx, `SELECT e.author, e.name, e.version, min(records.id), envelope, block
		FROM equivocations AS e
		JOIN releases AS r ON r.name = e.name AND r.version = e.version AND r.author = e.author
		JOIN records ON num = r.record AND invalid = ''
		JOIN keys ON fingerprint = e.author
		GROUP BY e.author, e.name, e.version, r.module
		ORDER BY 1, 2, 3, 4`)
	if err != nil {
		return nil, x.explain(op, err)
	}
	defer rows.Close()
	var proofs []Proof
	for rows.Next() {
		var p Proof
		var s SignedRecord
		var author db.Fingerprint
		var id db.CID
		if err := rows.Scan(&author, &p.Name, &p.Version, &id, &s.Envelope, &s.Key); err != nil {
			return nil, x.explain(op, err)
		}
		p.Author, s.Author, s.ID = author.Fingerprint, author.Fingerprint, id.Cid
		if n := len(proofs); n == 0 || proofs[n-1].Author != p.Author || proofs[n-1].Name != p.Name || proofs[n-1].Version != p.Version {
			proofs = append(proofs, p)
		}
		last := &proofs[len(proofs)-1]
		last.Records = append(last.Records, s)
	}
	if err := rows.Err(); err != nil {
		return nil, x.explain(op, err)
	}
	return proofs, nil
}

// Counts returns how much the index holds.
func (x *Index) Counts(ctx context.Context) (Counts, error) {
	var c Counts
	err := x.file.Readers.QueryRowContext(ctx, `SELECT
		(SELECT count(DISTINCT author) FROM records), (SELECT count(*) FROM keys), (SELECT count(*) FROM records),
		(SELECT count(*) FROM releases), (SELECT count(*) FROM names), (SELECT count(*) FROM outbox),
		records, bytes FROM strangers_total`).
		Scan(&c.Authors, &c.Keys, &c.Records, &c.Releases, &c.Names, &c.Pending, &c.Strangers, &c.StrangerBytes)
	if err != nil {
		return Counts{}, x.explain("count records", err)
	}
	return c, nil
}
