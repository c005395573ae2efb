package index

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// revalidateKeys looks again at all records of the keys that changed.
func (b *batch) revalidateKeys(ctx context.Context) error {
	for _, f := range slices.SortedFunc(maps.Keys(b.changed), records.Fingerprint.Compare) {
		if err := b.revalidate(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// revalidate opens each of the author's envelopes with the key as it is known now,
// so that what counts depends on the records and the key alone, and not on which
// of them came first.
func (b *batch) revalidate(ctx context.Context, author records.Fingerprint) error {
	changed, err := b.revalidated(ctx, author)
	if err != nil || len(changed) == 0 {
		return err
	}
	for num, v := range changed {
		if _, err := b.Exec(ctx, "UPDATE records SET invalid = ?, invalid_key = ?, invalid_since = ? WHERE num = ?", append(v.columns(), num)...); err != nil {
			return err
		}
		b.set[records.RecordElement(author, v.id)] = v.Problem == ""
	}
	if _, err := b.Exec(ctx, "UPDATE records SET referenced = "+ReferencedQuery+" WHERE author = ?", author.Bytes()); err != nil {
		return err
	}
	if _, err := b.Exec(ctx, "DELETE FROM equivocations WHERE author = ?", author.Bytes()); err != nil {
		return err
	}
	_, err = b.Exec(ctx, `INSERT INTO equivocations (author, name, version)
		SELECT releases.author, name, version FROM records JOIN releases ON record = num
		WHERE records.author = ? AND kind = 'release' AND invalid = ''
		GROUP BY name, version HAVING count(DISTINCT module) > 1`, author.Bytes())
	return err
}

type validity struct {
	Invalid
	id cid.Cid
}

// revalidated returns the records whose columns are out of date, with what they are now.
func (b *batch) revalidated(ctx context.Context, author records.Fingerprint) (map[int64]validity, error) {
	key := b.keys[author]
	var known map[int64]Invalid
	if p := b.precomputed[author]; p != nil && bytes.Equal(p.block, key.Block()) {
		known = p.invalid
	}
	changed := map[int64]validity{}
	err := b.Each(ctx, "SELECT num, id, "+InvalidColumns+" FROM records WHERE author = ?", []any{author.Bytes()}, func(rows *sql.Rows) error {
		var num int64
		var id db.CID
		var was InvalidScanner
		if err := rows.Scan(append([]any{&num, &id}, was.To()...)...); err != nil {
			return err
		}
		now, ok := known[num]
		if !ok {
			var envelope []byte
			if _, err := b.Get(ctx, "SELECT envelope FROM records WHERE num = ?", []any{num}, &envelope); err != nil {
				return err
			}
			now, _ = Validate(envelope, key) // beside an error it has a problem too
		}
		if !was.Is(now) {
			changed[num] = validity{now, id.Cid}
		}
		return nil
	})
	return changed, err
}

// precomputeFrom is how many records an author must have for the work to be done
// before the transaction: fewer do not hold up other writers for long.
const precomputeFrom = 200

// precomputed is what a key block that is about to be stored makes of the records.
type precomputed struct {
	block   []byte
	invalid map[int64]Invalid // by number
}

// precompute opens the stored records of those authors whose key blocks the given
// keys will change, so that other writers need not wait for it. What has changed
// when the transaction begins is opened there.
func (x *Index) precompute(ctx context.Context, keys map[records.Fingerprint]*sign.Key) (map[records.Fingerprint]*precomputed, error) {
	all := map[records.Fingerprint]*precomputed{}
	for f, key := range keys {
		merged, err := x.keyAfterMerge(ctx, f, key)
		if err != nil {
			return nil, err
		}
		if merged == nil {
			continue
		}
		invalid, err := x.validateAll(ctx, merged)
		if err != nil {
			return nil, err
		}
		all[f] = &precomputed{merged.Block(), invalid}
	}
	return all, nil
}

// keyAfterMerge returns the key as it will be known, or nil when it does not change
// or few records depend on it.
func (x *Index) keyAfterMerge(ctx context.Context, f records.Fingerprint, key *sign.Key) (*sign.Key, error) {
	var block []byte
	var many bool
	err := x.file.Readers.QueryRowContext(ctx, `SELECT block, EXISTS (SELECT 1 FROM records WHERE author = ?1 LIMIT 1 OFFSET ?2)
		FROM keys WHERE fingerprint = ?1 AND block <> ?3`, f.Bytes(), precomputeFrom-1, key.Block()).Scan(&block, &many)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !many {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	known, err := x.parseKey(f, block)
	if err != nil {
		return nil, err
	}
	merged, err := known.Merge(key)
	if err != nil || bytes.Equal(merged.Block(), block) {
		return nil, nil // an error comes again when it is merged
	}
	return merged, nil
}

// validateAll opens all records of the key's owner, on all processors.
func (x *Index) validateAll(ctx context.Context, key *sign.Key) (map[int64]Invalid, error) {
	type job struct {
		num      int64
		envelope []byte
	}
	jobs := make(chan job)
	invalid := map[int64]Invalid{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for j := range jobs {
				v, _ := Validate(j.envelope, key) // beside an error it has a problem too
				mu.Lock()
				invalid[j.num] = v
				mu.Unlock()
			}
		})
	}
	err := x.file.View(ctx, func(q *db.Tx) error {
		return q.Each(ctx, "SELECT num, envelope FROM records WHERE author = ?", []any{key.Fingerprint().Bytes()}, func(rows *sql.Rows) error {
			var j job
			if err := rows.Scan(&j.num, &j.envelope); err != nil {
				return err
			}
			jobs <- j
			return nil
		})
	})
	close(jobs)
	group.Wait()
	return invalid, err
}
