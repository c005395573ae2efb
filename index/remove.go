package index

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
)

// A removal takes records out of the store. What follows from the records that
// are left is found at its end, once for each thing, since an attacker can hang
// any number of records on one name, version or link.
type removal struct {
	*batch
	links  map[link]bool              // what removed records link to
	texts  map[claim]*records.Release // without a version: what search has of them
	proofs map[claim]bool
}

// A link is a record that another record of the author has in prev.
type link struct {
	id     cid.Cid
	author records.Fingerprint
}

// A claim is what releases are about.
type claim struct {
	author  records.Fingerprint
	name    records.Name
	version records.Version
}

func newRemoval(b *batch) *removal {
	return &removal{b, map[link]bool{}, map[claim]*records.Release{}, map[claim]bool{}}
}

// record removes a record, and what belongs to it alone.
func (r *removal) record(ctx context.Context, num int64) error {
	var id db.CID
	var invalid string
	var envelope []byte
	if _, err := r.Get(ctx, "SELECT id, invalid, envelope FROM records WHERE num = ?", []any{num}, &id, &invalid, &envelope); err != nil {
		return err
	}
	e, err := records.DecodeEnvelope(envelope)
	if err != nil {
		return fmt.Errorf("stored record %s: %w", id, err)
	}
	author := e.Record.Author
	r.set[records.RecordElement(author, id.Cid)] = false
	if invalid == "" {
		for _, p := range e.Record.Prev {
			r.links[link{p, author}] = true
		}
	}
	if body, ok := e.Record.Body.(*records.Release); ok {
		r.proofs[claim{author, body.Name, body.Version}] = true
		shown, err := r.Get(ctx, "SELECT 1 FROM texts WHERE name = ? AND author = ? AND version = ?",
			[]any{string(body.Name), author.Bytes(), string(body.Version)}, new(int))
		if err != nil {
			return err
		}
		if shown {
			r.texts[claim{author, body.Name, ""}] = body
		}
	}
	// The tables that refer to records are cleared with it.
	_, err = r.Exec(ctx, "DELETE FROM records WHERE num = ?", num)
	return err
}

// finish brings to the state without the removed records what is told of several.
func (r *removal) finish(ctx context.Context) error {
	for n := range r.links {
		_, err := r.Exec(ctx, `UPDATE records SET referenced = EXISTS (
				SELECT 1 FROM prev JOIN records AS later ON later.num = prev.record
				WHERE prev.id = ?1 AND later.author = ?2 AND later.invalid = '')
			WHERE id = ?1 AND author = ?2`, n.id.Bytes(), n.author.Bytes())
		if err != nil {
			return err
		}
	}
	for c := range r.proofs {
		if err := r.dropProof(ctx, c); err != nil {
			return err
		}
	}
	for c, had := range r.texts {
		if err := r.replaceText(ctx, c, had); err != nil {
			return err
		}
	}
	return nil
}

// dropProof forgets an equivocation of which one module is left, or none.
func (r *removal) dropProof(ctx context.Context, c claim) error {
	args := []any{c.author.Bytes(), string(c.name), string(c.version)}
	if known, err := r.Get(ctx, "SELECT 1 FROM equivocations WHERE author = ? AND name = ? AND version = ?", args, new(int)); err != nil || !known {
		return err
	}
	_, err := r.Exec(ctx, `DELETE FROM equivocations WHERE author = ?1 AND name = ?2 AND version = ?3 AND 2 > (
		SELECT count(*) FROM (SELECT DISTINCT module FROM releases JOIN records ON num = record
			WHERE name = ?2 AND version = ?3 AND releases.author = ?1 AND invalid = '' LIMIT 2))`, args...)
	return err
}

// replaceText gives search the words of an author's newest release under a name
// anew, or nothing when none is left.
func (r *removal) replaceText(ctx context.Context, c claim, had *records.Release) error {
	var newest records.Version
	var num int64
	err := r.Each(ctx, "SELECT version, record FROM releases WHERE name = ? AND author = ? ORDER BY record", []any{string(c.name), c.author.Bytes()},
		func(rows *sql.Rows) error {
			var v records.Version
			var n int64
			if err := rows.Scan(&v, &n); err != nil {
				return err
			}
			if newest == "" || v.CompareStable(newest) >= 0 {
				newest, num = v, n
			}
			return nil
		})
	if err != nil {
		return err
	}
	if err := r.batch.texts.Drop(ctx, c.author, had); err != nil {
		return err
	}
	if newest == "" {
		return r.batch.texts.DropName(ctx, c.name)
	}
	body, err := r.batch.texts.Stored(ctx, num)
	if err != nil {
		return err
	}
	return r.batch.texts.Insert(ctx, num, c.author, body)
}
