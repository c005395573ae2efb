package index

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// Discard is what Rebuild takes out: key blocks, with all records of their authors, and
// records by their number.
type Discard struct {
	Keys    []records.Fingerprint
	Records []int64
}

// Rebuild takes out of the store what has wrong bytes, so that peers bring it again,
// and makes everything anew that is derived from what is left. A key block goes with the
// records of its author, which nothing can be said of without it. aside gets the name
// and the bytes of each thing before it goes; when it fails, nothing is changed. It is
// one transaction: others who write wait for it.
func (x *Index) Rebuild(ctx context.Context, d Discard, aside func(name string, b []byte) error) error {
	err := x.write(ctx, true, func(b *batch) error {
		r := &rebuild{b, aside}
		for _, f := range d.Keys {
			if err := r.discardKey(ctx, f); err != nil {
				return err
			}
		}
		for _, num := range d.Records {
			if err := r.discardRecords(ctx, "num = ?", num); err != nil {
				return err
			}
		}
		return r.derive(ctx)
	})
	x.forgetKeys()
	if err != nil {
		return x.explain("repair index", err)
	}
	return nil
}

type rebuild struct {
	*batch
	aside func(name string, b []byte) error
}

func (r *rebuild) discardKey(ctx context.Context, f records.Fingerprint) error {
	block, _, err := r.storedBlock(ctx, f)
	if err != nil || block == nil {
		return err
	}
	if err := r.aside(fmt.Sprintf("key-%s.pgp", f), block); err != nil {
		return err
	}
	if err := r.discardRecords(ctx, "author = ?", f.Bytes()); err != nil {
		return err
	}
	_, err = r.Exec(ctx, "DELETE FROM keys WHERE fingerprint = ?", f.Bytes())
	return err
}

func (r *rebuild) discardRecords(ctx context.Context, where string, arg any) error {
	err := r.Each(ctx, "SELECT num, envelope FROM records WHERE "+where, []any{arg}, func(rows *sql.Rows) error {
		var num int64
		var envelope []byte
		if err := rows.Scan(&num, &envelope); err != nil {
			return err
		}
		return r.aside(fmt.Sprintf("record-%d.cbor", num), envelope)
	})
	if err == nil {
		_, err = r.Exec(ctx, "DELETE FROM records WHERE "+where, arg)
	}
	return err
}

// derive makes anew all that follows from the records and keys.
func (r *rebuild) derive(ctx context.Context) error {
	for _, q := range []string{
		"DELETE FROM prev", "DELETE FROM equivocations",
		"DELETE FROM names", "DELETE FROM dependents", "DELETE FROM texts", "INSERT INTO words(words) VALUES('delete-all')",
		"DELETE FROM outbox WHERE record NOT IN (SELECT num FROM records)",
		"DELETE FROM strangers WHERE record NOT IN (SELECT num FROM records)",
	} {
		if _, err := r.Exec(ctx, q); err != nil {
			return err
		}
	}
	for _, t := range BodyTables {
		if _, err := r.Exec(ctx, "DELETE FROM "+t.Name); err != nil {
			return err
		}
	}
	if err := r.deriveRecords(ctx); err != nil {
		return err
	}
	for _, q := range []string{
		"UPDATE records SET referenced = " + ReferencedQuery,
		"INSERT INTO equivocations (author, name, version) " + EquivocationsQuery,
		"UPDATE keys SET charged = length(block) WHERE charged <> 0",
		`UPDATE strangers_total SET records = (SELECT count(*) FROM strangers),
			bytes = (SELECT coalesce(sum(size), 0) FROM strangers) + (SELECT coalesce(sum(charged), 0) FROM keys)`,
	} {
		if _, err := r.Exec(ctx, q); err != nil {
			return err
		}
	}
	return r.fillSet(ctx)
}

// deriveAtOnce is how many records are in memory at once.
const deriveAtOnce = 200

func (r *rebuild) deriveRecords(ctx context.Context) error {
	type stored struct {
		num      int64
		envelope []byte
	}
	for after := int64(0); ; {
		var page []stored
		err := r.Each(ctx, "SELECT num, envelope FROM records WHERE num > ? ORDER BY num LIMIT ?", []any{after, deriveAtOnce}, func(rows *sql.Rows) error {
			var s stored
			err := rows.Scan(&s.num, &s.envelope)
			page = append(page, s)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, s := range page {
			if err := r.deriveRecord(ctx, s.num, s.envelope); err != nil {
				return fmt.Errorf("stored record %d: %w", s.num, err)
			}
			after = s.num
		}
	}
}

func (r *rebuild) deriveRecord(ctx context.Context, num int64, envelope []byte) error {
	e, err := records.DecodeEnvelope(envelope)
	if err != nil {
		return err
	}
	_, signed, err := sign.SignedBy(envelope)
	if err != nil {
		return err
	}
	author := e.Record.Author
	block, _, err := r.storedBlock(ctx, author)
	if err != nil {
		return err
	}
	key, err := r.x.parseKey(author, block)
	if err != nil {
		return err
	}
	invalid, _ := Validate(envelope, key) // beside an error it has a problem too
	_, err = r.Exec(ctx, "UPDATE records SET id = ?, author = ?, kind = ?, seq = ?, time = ?, signed = ?, envelope_id = ?, invalid = ?, invalid_key = ?, invalid_since = ? WHERE num = ?",
		append(append([]any{records.ID(e.RecordBytes).Bytes(), author.Bytes(), e.Record.Body.Kind(), e.Record.Seq, e.Record.Time, signed.Unix(),
			records.EnvelopeID(envelope).Bytes()}, invalid.columns()...), num)...)
	if err != nil {
		return err
	}
	for _, p := range e.Record.Prev {
		if _, err := r.Exec(ctx, "INSERT INTO prev (id, record) VALUES (?, ?)", p.Bytes(), num); err != nil {
			return err
		}
	}
	if _, err := r.Exec(ctx, "UPDATE strangers SET author = ?, size = ? WHERE record = ?", author.Bytes(), len(envelope), num); err != nil {
		return err
	}
	return r.insertBody(ctx, num, e.Record)
}

// What the derived columns and tables must hold.
const (
	// ReferencedQuery is the value of records.referenced.
	ReferencedQuery = `EXISTS (SELECT 1 FROM prev JOIN records AS later ON later.num = prev.record
		WHERE prev.id = records.id AND later.author = records.author AND later.invalid = '')`
	// EquivocationsQuery selects the rows of equivocations.
	EquivocationsQuery = `SELECT releases.author, name, version FROM records JOIN releases ON record = num
		WHERE kind = 'release' AND invalid = '' GROUP BY releases.author, name, version HAVING count(DISTINCT module) > 1`
)
