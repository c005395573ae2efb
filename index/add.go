package index

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// Has reports whether the record is stored. It is cheap: ask before verifying.
func (x *Index) Has(ctx context.Context, id cid.Cid) (bool, error) {
	var found bool
	err := x.file.Readers.QueryRowContext(ctx, "SELECT EXISTS(SELECT 1 FROM records WHERE id = ?)", id.Bytes()).Scan(&found)
	if err != nil {
		return false, x.explain("find record", err)
	}
	return found, nil
}

// Add stores a record and its author's key block, which is merged with what is
// known of the key. The error is a *sign.KeyError when the merged key says that
// the signature does not count. Of our own records it is a *ReleasedError when
// one would be the second module under one version, and an *EquivocationError when
// it is about a frozen one.
func (x *Index) Add(ctx context.Context, v sign.Verified, key *sign.Key, from Source) (Outcome, error) {
	results, err := x.AddAll(ctx, []Item{{v, key, from}})
	if err != nil {
		return Refused, err
	}
	return results[0].Outcome, results[0].Err
}

// AddAll stores many records in one transaction: all that are not refused, or
// none when err is set. Batches of 100 to 500 are fast. A key may be nil when a
// block of it is stored already.
func (x *Index) AddAll(ctx context.Context, items []Item) (results []Result, err error) {
	full := false
	keys := map[records.Fingerprint]*sign.Key{}
	for _, it := range items {
		if it.Key != nil {
			keys[it.Key.Fingerprint()] = it.Key
			if it.Key.Fingerprint() != it.Verified.Record().Author {
				return nil, fmt.Errorf("add record: key %s is not that of its author %s", it.Key.Fingerprint(), it.Verified.Record().Author)
			}
			_, revoked := it.Key.Revocation()
			full = full || revoked
		}
		full = full || it.Source.Own
	}
	seen, err := x.precompute(ctx, keys)
	if err != nil {
		return nil, x.explain("add records", err)
	}
	err = x.write(ctx, full, func(b *batch) error {
		b.precomputed = seen
		results = make([]Result, 0, len(items))
		for _, it := range items {
			r, err := b.add(ctx, it)
			if err != nil {
				return err
			}
			results = append(results, r)
		}
		return b.revalidateKeys(ctx)
	})
	if err != nil {
		return nil, x.explain("add records", err)
	}
	return results, nil
}

func (b *batch) add(ctx context.Context, it Item) (Result, error) {
	r := it.Verified.Record()
	key, err := b.mergeKey(ctx, r.Author, it.Key, it.Source)
	if err != nil {
		return Result{}, err
	}
	if !it.Source.stranger() && b.charged[r.Author] > 0 {
		if err := b.promote(ctx, r.Author); err != nil {
			return Result{}, err
		}
	}
	id := it.Verified.ID().Bytes()
	var old int64
	var was string
	var envelopeID []byte
	known, err := b.Get(ctx, "SELECT num, invalid, envelope_id FROM records WHERE id = ?", []any{id}, &old, &was, &envelopeID)
	if err != nil || known && (was == "" || bytes.Equal(envelopeID, it.Verified.EnvelopeID().Bytes())) {
		return Result{Outcome: Known}, err
	}
	// The caller may have opened the envelope with an older key block.
	if err := it.Verified.Check(key); known && err != nil {
		return Result{Outcome: Known}, nil
	} else if err != nil {
		return Result{Outcome: Refused, Err: err}, b.dropUnusedKey(ctx, r.Author)
	}
	outcome := Stored
	release, isRelease := r.Body.(*records.Release)
	if isRelease {
		if outcome, err = b.checkEquivocation(ctx, r.Author, release); err != nil {
			return Result{}, err
		}
		switch {
		case it.Source.Own && outcome == Equivocation:
			return Result{Refused, &ReleasedError{release.Name, release.Version, r.Author, release.Module}}, nil
		case it.Source.Own && outcome == Frozen:
			return Result{Refused, &EquivocationError{Name: release.Name, Version: release.Version, Author: r.Author}}, nil
		}
	}
	if known {
		err = b.replace(ctx, old, it)
	} else {
		err = b.insertWhole(ctx, it)
	}
	if err != nil {
		return Result{}, err
	}
	if outcome == Equivocation {
		_, err = b.Exec(ctx, "INSERT INTO equivocations (author, name, version) VALUES (?, ?, ?)",
			r.Author.Bytes(), string(release.Name), string(release.Version))
	}
	return Result{Outcome: outcome}, err
}

// replace puts another envelope in the place of one whose signature does not count:
// whoever had the secret of a subkey for a while could sign the owner's records again,
// and must not take those away by it (SPEC.md [X2]).
func (b *batch) replace(ctx context.Context, num int64, it Item) error {
	v, author := it.Verified, it.Verified.Record().Author
	if _, err := b.Exec(ctx, "UPDATE records SET signed = ?, envelope_id = ?, envelope = ?, invalid = '', invalid_key = x'', invalid_since = 0 WHERE num = ?",
		v.SignedAt().Unix(), v.EnvelopeID().Bytes(), v.Envelope(), num); err != nil {
		return err
	}
	if _, err := b.Exec(ctx, "UPDATE records SET referenced = 1 WHERE author = ? AND id IN (SELECT id FROM prev WHERE record = ?)", author.Bytes(), num); err != nil {
		return err
	}
	b.set[records.RecordElement(author, v.ID())] = true
	if f := b.precomputed[author]; f != nil {
		delete(f.invalid, num)
	}
	var size int64
	stranger, err := b.Get(ctx, "SELECT size FROM strangers WHERE record = ?", []any{num}, &size)
	if err != nil {
		return err
	}
	if stranger {
		b.bytes += int64(len(v.Envelope())) - size
		if _, err := b.Exec(ctx, "UPDATE strangers SET size = ? WHERE record = ?", len(v.Envelope()), num); err != nil {
			return err
		}
	}
	return nil
}

func (s Source) arrival() time.Time {
	if s.At.IsZero() {
		return time.Now()
	}
	return s.At
}

func (s Source) stranger() bool { return s.Stranger && !s.Own }

// checkEquivocation finds whether a release that is about to be stored is a second module
// under one version by its author.
func (b *batch) checkEquivocation(ctx context.Context, author records.Fingerprint, r *records.Release) (Outcome, error) {
	args := []any{string(r.Name), string(r.Version), author.Bytes()}
	var one int
	frozen, err := b.Get(ctx, "SELECT 1 FROM equivocations WHERE name = ? AND version = ? AND author = ?", args, &one)
	if err != nil || frozen {
		return Frozen, err
	}
	second, err := b.Get(ctx, `SELECT 1 FROM releases JOIN records ON num = record
		WHERE name = ? AND version = ? AND releases.author = ? AND module <> ? AND invalid = '' LIMIT 1`,
		append(args, r.Module.Bytes()), &one)
	if err != nil || !second {
		return Stored, err
	}
	return Equivocation, nil
}

func (b *batch) insertWhole(ctx context.Context, it Item) error {
	num, err := b.insert(ctx, it)
	if err != nil {
		return err
	}
	if err := b.insertBody(ctx, num, it.Verified.Record()); err != nil {
		return err
	}
	if it.Source.stranger() {
		return b.insertStranger(ctx, num, it)
	}
	return nil
}

func (b *batch) insert(ctx context.Context, it Item) (num int64, err error) {
	v, r := it.Verified, it.Verified.Record()
	id, author := v.ID().Bytes(), r.Author.Bytes()
	// Another record may have this one in prev already.
	res, err := b.Exec(ctx, `INSERT INTO records (id, author, kind, seq, time, signed, first_seen, own, referenced, peer, invalid, envelope_id, envelope)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,
			EXISTS (SELECT 1 FROM prev JOIN records AS later ON later.num = prev.record WHERE prev.id = ?1 AND later.author = ?2 AND later.invalid = ''),
			?9, '', ?10, ?11)`,
		id, author, r.Body.Kind(), r.Seq, r.Time, v.SignedAt().Unix(), it.Source.arrival().UnixMilli(), it.Source.Own, it.Source.Peer, v.EnvelopeID().Bytes(), v.Envelope())
	if err != nil {
		return 0, err
	}
	if num, err = res.LastInsertId(); err != nil {
		return 0, err
	}
	b.set[records.RecordElement(r.Author, v.ID())] = true
	for _, p := range r.Prev {
		if _, err := b.Exec(ctx, "INSERT INTO prev (id, record) VALUES (?, ?)", p.Bytes(), num); err != nil {
			return 0, err
		}
		if _, err := b.Exec(ctx, "UPDATE records SET referenced = 1 WHERE id = ? AND author = ?", p.Bytes(), author); err != nil {
			return 0, err
		}
	}
	if it.Source.Own {
		_, err = b.Exec(ctx, "INSERT INTO outbox (record) VALUES (?)", num)
	}
	return num, err
}
