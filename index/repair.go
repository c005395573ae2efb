package index

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// Repair takes out of the store what Verify found to have wrong bytes, so that peers
// bring it again, and makes everything anew that is derived from what is left. A key
// block goes with the records of its author, which nothing can be said of without it.
// aside gets the name and the bytes of each thing before it goes; when it fails,
// nothing is changed. It is one transaction: others who write wait for it.
func (x *Index) Repair(ctx context.Context, damage []Damage, aside func(name string, b []byte) error) error {
	err := x.write(ctx, true, func(b *batch) error {
		r := &repair{b, aside}
		for _, d := range damage {
			if err := r.takeOut(ctx, d); err != nil {
				return err
			}
		}
		return r.derive(ctx)
	})
	x.keyMu.Lock()
	clear(x.keys)
	clear(x.merged)
	x.keyMu.Unlock()
	if err != nil {
		return x.explain("repair index", err)
	}
	return nil
}

type repair struct {
	*batch
	aside func(name string, b []byte) error
}

func (r *repair) takeOut(ctx context.Context, d Damage) error {
	if d.key {
		block, _, err := r.storedBlock(ctx, d.Key)
		if err != nil || block == nil {
			return err
		}
		if err := r.aside(fmt.Sprintf("key-%s.pgp", d.Key), block); err != nil {
			return err
		}
		if err := r.takeRecords(ctx, "author = ?", d.Key.Bytes()); err != nil {
			return err
		}
		_, err = r.exec(ctx, "DELETE FROM keys WHERE fingerprint = ?", d.Key.Bytes())
		return err
	}
	if d.num != 0 {
		return r.takeRecords(ctx, "num = ?", d.num)
	}
	return nil
}

func (r *repair) takeRecords(ctx context.Context, where string, arg any) error {
	err := r.each(ctx, "SELECT num, envelope FROM records WHERE "+where, []any{arg}, func(rows *sql.Rows) error {
		var num int64
		var envelope []byte
		if err := rows.Scan(&num, &envelope); err != nil {
			return err
		}
		return r.aside(fmt.Sprintf("record-%d.cbor", num), envelope)
	})
	if err == nil {
		_, err = r.exec(ctx, "DELETE FROM records WHERE "+where, arg)
	}
	return err
}

// derive makes anew all that follows from the records and keys.
func (r *repair) derive(ctx context.Context) error {
	for _, q := range []string{
		"DELETE FROM prev", "DELETE FROM releases", "DELETE FROM tags", "DELETE FROM remarks", "DELETE FROM equivocations",
		"DELETE FROM names", "DELETE FROM texts", "INSERT INTO words(words) VALUES('delete-all')",
		"DELETE FROM elements", "DELETE FROM sums",
		"DELETE FROM outbox WHERE record NOT IN (SELECT num FROM records)",
		"DELETE FROM strangers WHERE record NOT IN (SELECT num FROM records)",
	} {
		if _, err := r.exec(ctx, q); err != nil {
			return err
		}
	}
	if err := r.deriveRecords(ctx); err != nil {
		return err
	}
	for _, q := range []string{
		`UPDATE records SET named = EXISTS (SELECT 1 FROM prev JOIN records AS later ON later.num = prev.record
			WHERE prev.id = records.id AND later.author = records.author AND later.void = '')`,
		"INSERT INTO equivocations (author, name, version) " + equivocated,
		"UPDATE keys SET charged = length(block) WHERE charged <> 0",
		`UPDATE strangers_total SET records = (SELECT count(*) FROM strangers),
			bytes = (SELECT coalesce(sum(size), 0) FROM strangers) + (SELECT coalesce(sum(charged), 0) FROM keys)`,
	} {
		if _, err := r.exec(ctx, q); err != nil {
			return err
		}
	}
	return r.fillSet(ctx)
}

// deriveAtOnce is how many records are in memory at once.
const deriveAtOnce = 200

func (r *repair) deriveRecords(ctx context.Context) error {
	type stored struct {
		num      int64
		envelope []byte
	}
	for after := int64(0); ; {
		var page []stored
		err := r.each(ctx, "SELECT num, envelope FROM records WHERE num > ? ORDER BY num LIMIT ?", []any{after, deriveAtOnce}, func(rows *sql.Rows) error {
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

func (r *repair) deriveRecord(ctx context.Context, num int64, envelope []byte) error {
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
	_, err = r.exec(ctx, "UPDATE records SET id = ?, author = ?, kind = ?, seq = ?, time = ?, signed = ?, void = ?, sealed = ? WHERE num = ?",
		records.ID(e.RecordBytes).Bytes(), author.Bytes(), e.Record.Body.Kind(), e.Record.Seq, e.Record.Time, signed.Unix(),
		void(envelope, key), records.EnvelopeID(envelope).Bytes(), num)
	if err != nil {
		return err
	}
	for _, p := range e.Record.Prev {
		if _, err := r.exec(ctx, "INSERT INTO prev (id, record) VALUES (?, ?)", p.Bytes(), num); err != nil {
			return err
		}
	}
	if _, err := r.exec(ctx, "UPDATE strangers SET author = ?, size = ? WHERE record = ?", author.Bytes(), len(envelope), num); err != nil {
		return err
	}
	return r.insertBody(ctx, num, e.Record)
}
