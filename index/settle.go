package index

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// settleKeys looks again at all records of the keys that changed.
func (b *batch) settleKeys(ctx context.Context) error {
	for _, f := range slices.SortedFunc(maps.Keys(b.changed), func(a, b records.Fingerprint) int { return strings.Compare(a.String(), b.String()) }) {
		if err := b.recheck(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// recheck opens each of the author's envelopes with the key as it is known now,
// so that what counts depends on the records and the key alone, and not on which
// of them came first.
func (b *batch) recheck(ctx context.Context, author records.Fingerprint) error {
	voids, err := b.reopen(ctx, author)
	if err != nil || len(voids) == 0 {
		return err
	}
	for num, v := range voids {
		if _, err := b.Exec(ctx, "UPDATE records SET void = ? WHERE num = ?", v.void, num); err != nil {
			return err
		}
		b.set[records.RecordElement(author, v.id)] = v.void == ""
	}
	if _, err := b.Exec(ctx, `UPDATE records SET named = EXISTS (
			SELECT 1 FROM prev JOIN records AS later ON later.num = prev.record
			WHERE prev.id = records.id AND later.author = ?1 AND later.void = '')
		WHERE author = ?1`, author.Bytes()); err != nil {
		return err
	}
	if _, err := b.Exec(ctx, "DELETE FROM equivocations WHERE author = ?", author.Bytes()); err != nil {
		return err
	}
	_, err = b.Exec(ctx, `INSERT INTO equivocations (author, name, version)
		SELECT releases.author, name, version FROM records JOIN releases ON record = num
		WHERE records.author = ? AND kind = 'release' AND void = ''
		GROUP BY name, version HAVING count(DISTINCT module) > 1`, author.Bytes())
	return err
}

type verdict struct {
	id   cid.Cid
	void string
}

// reopen returns the records whose void column is out of date, with its new value.
func (b *batch) reopen(ctx context.Context, author records.Fingerprint) (map[int64]verdict, error) {
	key := b.keys[author]
	var known map[int64]string
	if f := b.foreseen[author]; f != nil && bytes.Equal(f.block, key.Block()) {
		known = f.voids
	}
	voids := map[int64]verdict{}
	err := b.Each(ctx, "SELECT num, id, void FROM records WHERE author = ?", []any{author.Bytes()}, func(rows *sql.Rows) error {
		var num int64
		var id db.CID
		var was string
		if err := rows.Scan(&num, &id, &was); err != nil {
			return err
		}
		now, ok := known[num]
		if !ok {
			var envelope []byte
			if _, err := b.Get(ctx, "SELECT envelope FROM records WHERE num = ?", []any{num}, &envelope); err != nil {
				return err
			}
			now = void(envelope, key)
		}
		if now != was {
			voids[num] = verdict{id.Cid, now}
		}
		return nil
	})
	return voids, err
}

// void says why a signature does not count by the author's key; "" when it does.
func void(envelope []byte, key *sign.Key) string {
	if _, err := sign.Open(envelope, sign.KeyRing{key.Fingerprint(): key}); err != nil {
		return err.Error()
	}
	return ""
}

// foreseeFrom is how many records an author must have for the work to be done
// before the transaction: fewer do not hold up other writers for long.
const foreseeFrom = 200

// Foreseen verdicts are those by a key block that is about to be stored.
type foreseen struct {
	block []byte
	voids map[int64]string // by number
}

// foresee opens the stored records of those authors whose key blocks the given
// keys will change, so that other writers need not wait for it. What has changed
// when the transaction begins is opened there.
func (x *Index) foresee(ctx context.Context, keys map[records.Fingerprint]*sign.Key) (map[records.Fingerprint]*foreseen, error) {
	all := map[records.Fingerprint]*foreseen{}
	for f, key := range keys {
		merged, err := x.foreseeKey(ctx, f, key)
		if err != nil {
			return nil, err
		}
		if merged == nil {
			continue
		}
		voids, err := x.openAll(ctx, merged)
		if err != nil {
			return nil, err
		}
		all[f] = &foreseen{merged.Block(), voids}
	}
	return all, nil
}

// foreseeKey returns the key as it will be known, or nil when it does not change
// or few records depend on it.
func (x *Index) foreseeKey(ctx context.Context, f records.Fingerprint, key *sign.Key) (*sign.Key, error) {
	var block []byte
	var many bool
	err := x.file.Readers.QueryRowContext(ctx, `SELECT block, EXISTS (SELECT 1 FROM records WHERE author = ?1 LIMIT 1 OFFSET ?2)
		FROM keys WHERE fingerprint = ?1 AND block <> ?3`, f.Bytes(), foreseeFrom-1, key.Block()).Scan(&block, &many)
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

// openAll opens all records of the key's owner, on all processors.
func (x *Index) openAll(ctx context.Context, key *sign.Key) (map[int64]string, error) {
	type job struct {
		num      int64
		envelope []byte
	}
	jobs := make(chan job)
	voids := map[int64]string{}
	var mu sync.Mutex
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for j := range jobs {
				v := void(j.envelope, key)
				mu.Lock()
				voids[j.num] = v
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
	return voids, err
}
