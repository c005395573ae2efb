package index

import (
	"cmp"
	"context"
	"database/sql"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
)

// The bounds of what is kept of strangers, unless LimitStrangers sets others.
const (
	MaxStrangerRecords = 100_000
	MaxStrangerBytes   = 50 << 20 // of envelopes and key blocks; the file has about three times as many
)

// A StrangersLimit bounds what is kept of authors whom nobody here trusts.
type StrangersLimit struct {
	Records int64 // 0 stands for MaxStrangerRecords
	Bytes   int64 // of envelopes and key blocks; 0 stands for MaxStrangerBytes
	// Keep reports whether an author has been found trusted since: whose records
	// are no stranger's any more. It is asked before a record is removed, in a
	// write transaction, so it must not call the index. Nil stands for nobody.
	Keep func(records.Fingerprint) bool
}

// slack is which part of a limit is made free at once: little, since whoever
// publishes may have to wait for it.
const slack = 1000

// LimitStrangers sets the bounds for what this Index adds from now on. When a
// record of a stranger goes over one, the least recently used ones are removed in
// the same transaction, and key blocks with the last record that needs them.
// Records that came without Source.Stranger are never removed, and not counted.
func (x *Index) LimitStrangers(l StrangersLimit) {
	x.limitMu.Lock()
	defer x.limitMu.Unlock()
	x.limit = l
}

func (x *Index) strangersLimit() StrangersLimit {
	x.limitMu.Lock()
	defer x.limitMu.Unlock()
	return x.limit
}

func (l StrangersLimit) records() int64 { return cmp.Or(l.Records, MaxStrangerRecords) }
func (l StrangersLimit) bytes() int64   { return cmp.Or(l.Bytes, MaxStrangerBytes) }

// full reports whether there is room for nothing more.
func (l StrangersLimit) full(records, bytes int64) bool {
	return records > l.records() || bytes > l.bytes()
}

// high reports whether so much is there that removing must go on.
func (l StrangersLimit) high(records, bytes int64) bool {
	return records > l.records()-l.records()/slack || bytes > l.bytes()-l.bytes()/slack
}

// StrangersFull reports whether nine tenths of a bound are reached: whoever fetches
// more of strangers now only replaces what others have said.
func (x *Index) StrangersFull(ctx context.Context) (bool, error) {
	l := x.strangersLimit()
	var n, bytes int64
	if err := x.file.Readers.QueryRowContext(ctx, "SELECT records, bytes FROM strangers_total").Scan(&n, &bytes); err != nil {
		return false, x.explain("count strangers", err)
	}
	return n >= l.records()/10*9 || bytes >= l.bytes()/10*9, nil
}

// Touch says that somebody has looked at records, so that those of strangers among
// them stay longer than others. Unknown ids are passed over.
func (x *Index) Touch(ctx context.Context, ids ...cid.Cid) error {
	err := x.write(ctx, false, func(b *batch) error {
		for _, id := range ids {
			used, err := b.nextUse(ctx)
			if err != nil {
				return err
			}
			if _, err := b.Exec(ctx, "UPDATE strangers SET used = ? WHERE record = (SELECT num FROM records WHERE id = ?)", used, id.Bytes()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return x.explain("touch records", err)
	}
	return nil
}

// Promote says that an author is no stranger any more: the records that are stored
// stay. Without it, that is found out when one of them would have to go and
// StrangersLimit.Keep knows the author.
func (x *Index) Promote(ctx context.Context, author records.Fingerprint) error {
	err := x.write(ctx, false, func(b *batch) error { return b.promote(ctx, author) })
	if err != nil {
		return x.explain("keep an author's records", err)
	}
	return nil
}

func (b *batch) insertStranger(ctx context.Context, num int64, it Item) error {
	size := int64(len(it.Verified.Envelope()))
	b.records++
	b.bytes += size
	used, err := b.nextUse(ctx)
	if err != nil {
		return err
	}
	_, err = b.Exec(ctx, "INSERT INTO strangers (record, author, used, size) VALUES (?, ?, ?, ?)",
		num, it.Verified.Record().Author.Bytes(), used, size)
	return err
}

func (b *batch) nextUse(ctx context.Context) (int64, error) {
	if b.used == 0 {
		if _, err := b.Get(ctx, "SELECT coalesce(max(used), 0) FROM strangers", nil, &b.used); err != nil {
			return 0, err
		}
	}
	b.used++
	return b.used, nil
}

// charge says how many bytes of a key are counted as a stranger's.
func (b *batch) charge(ctx context.Context, f records.Fingerprint, bytes int64) error {
	b.bytes += bytes - b.charged[f]
	b.charged[f] = bytes
	_, err := b.Exec(ctx, "UPDATE keys SET charged = ? WHERE fingerprint = ?", bytes, f.Bytes())
	return err
}

func (b *batch) promote(ctx context.Context, author records.Fingerprint) error {
	var n, bytes int64
	if _, err := b.Get(ctx, "SELECT count(*), coalesce(sum(size), 0) FROM strangers WHERE author = ?", []any{author.Bytes()}, &n, &bytes); err != nil {
		return err
	}
	if _, err := b.Exec(ctx, "DELETE FROM strangers WHERE author = ?", author.Bytes()); err != nil {
		return err
	}
	b.records -= n
	b.bytes -= bytes
	if _, err := b.loadCharge(ctx, author); err != nil {
		return err
	}
	if err := b.charge(ctx, author, 0); err != nil || n == 0 {
		return err
	}
	return b.texts.Touch(ctx, author)
}

// loadCharge returns the bytes of a key that are counted as a stranger's.
func (b *batch) loadCharge(ctx context.Context, f records.Fingerprint) (int64, error) {
	var charged int64
	_, err := b.Get(ctx, "SELECT charged FROM keys WHERE fingerprint = ?", []any{f.Bytes()}, &charged)
	b.charged[f] = charged
	return charged, err
}

// dropUnusedKey removes the key of a stranger no record of whom is left.
func (b *batch) dropUnusedKey(ctx context.Context, author records.Fingerprint) error {
	if charged, err := b.loadCharge(ctx, author); err != nil || charged == 0 {
		return err
	}
	var one int
	if needed, err := b.Get(ctx, "SELECT 1 FROM records WHERE author = ? LIMIT 1", []any{author.Bytes()}, &one); err != nil || needed {
		return err
	}
	block, _, err := b.storedBlock(ctx, author)
	if err != nil {
		return err
	}
	if err := b.charge(ctx, author, 0); err != nil {
		return err
	}
	b.set[records.KeyElement(author, block)] = false
	delete(b.keys, author)
	delete(b.changed, author)
	_, err = b.Exec(ctx, "DELETE FROM keys WHERE fingerprint = ?", author.Bytes())
	return err
}

// enforceStrangersLimit makes room if the batch went over a limit, and counts.
func (b *batch) enforceStrangersLimit(ctx context.Context) error {
	if b.records == 0 && b.bytes == 0 {
		return nil
	}
	var n, bytes int64
	if _, err := b.Get(ctx, "SELECT records, bytes FROM strangers_total", nil, &n, &bytes); err != nil {
		return err
	}
	if b.limit.full(n+b.records, bytes+b.bytes) {
		if err := b.evict(ctx, n, bytes); err != nil {
			return err
		}
	}
	_, err := b.Exec(ctx, "UPDATE strangers_total SET records = ?, bytes = ?", n+b.records, bytes+b.bytes)
	return err
}

// evict removes the least recently used records of strangers until there is some
// room; n and bytes are what was there before the batch.
func (b *batch) evict(ctx context.Context, n, bytes int64) error {
	if err := b.texts.Store(ctx); err != nil {
		return err
	}
	r := newRemoval(b)
	kept := map[records.Fingerprint]bool{}
	for b.limit.high(n+b.records, bytes+b.bytes) {
		oldest, err := b.oldest(ctx)
		if err != nil {
			return err
		}
		if len(oldest) == 0 {
			break
		}
		for _, s := range oldest {
			if !b.limit.high(n+b.records, bytes+b.bytes) {
				break
			}
			if _, asked := kept[s.author]; !asked {
				kept[s.author] = b.limit.Keep != nil && b.limit.Keep(s.author)
				if kept[s.author] {
					if err := b.promote(ctx, s.author); err != nil {
						return err
					}
				}
			}
			if kept[s.author] {
				continue
			}
			if err := r.record(ctx, s.num); err != nil {
				return err
			}
			b.records--
			b.bytes -= s.size
			if err := b.dropUnusedKey(ctx, s.author); err != nil {
				return err
			}
		}
	}
	return r.finish(ctx)
}

type stranger struct {
	num    int64
	author records.Fingerprint
	size   int64
}

// oldest returns some of the least recently used records.
func (b *batch) oldest(ctx context.Context) ([]stranger, error) {
	var all []stranger
	err := b.Each(ctx, "SELECT record, author, size FROM strangers ORDER BY used, record LIMIT 500", nil, func(rows *sql.Rows) error {
		var s stranger
		var f db.Fingerprint
		if err := rows.Scan(&s.num, &f, &s.size); err != nil {
			return err
		}
		s.author = f.Fingerprint
		all = append(all, s)
		return nil
	})
	return all, err
}
