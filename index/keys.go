package index

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// cachedKeys is how many parsed key blocks an Index keeps.
const cachedKeys = 4096

// AddKey merges a key block into what is known of the key and returns the union.
// When that makes signatures of the key count no longer, or count again, every
// later answer says so. It is on the disk before AddKey returns.
func (x *Index) AddKey(ctx context.Context, key *sign.Key) (merged *sign.Key, changed bool, err error) {
	f := key.Fingerprint()
	seen, err := x.precompute(ctx, map[records.Fingerprint]*sign.Key{f: key})
	if err != nil {
		return nil, false, x.explain("add key", err)
	}
	err = x.write(ctx, true, func(b *batch) error {
		b.precomputed = seen
		old, _, err := b.storedBlock(ctx, f)
		if err != nil {
			return err
		}
		if merged, err = b.mergeKey(ctx, f, key, Source{}); err != nil {
			return err
		}
		changed = !bytes.Equal(old, merged.Block())
		return b.revalidateKeys(ctx)
	})
	if err != nil {
		return nil, false, x.explain("add key", err)
	}
	return merged, changed, nil
}

// Key returns what is known of the key, and nil when it is unknown.
func (x *Index) Key(ctx context.Context, f records.Fingerprint) (*sign.Key, error) {
	var block []byte
	err := x.file.Readers.QueryRowContext(ctx, "SELECT block FROM keys WHERE fingerprint = ?", f.Bytes()).Scan(&block)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, x.explain("find key", err)
	}
	key, err := x.parseKey(f, block)
	if err != nil {
		return nil, fmt.Errorf("find key: %w", err)
	}
	return key, nil
}

// AllKeys returns the fingerprints of all known keys, sorted.
func (x *Index) AllKeys(ctx context.Context) ([]records.Fingerprint, error) {
	return list(ctx, x, "list keys", "SELECT fingerprint FROM keys ORDER BY fingerprint", nil, scanFingerprint)
}

// parseKey parses a stored block, or finds it parsed.
func (x *Index) parseKey(f records.Fingerprint, block []byte) (*sign.Key, error) {
	x.keyMu.Lock()
	key := x.keys[f]
	x.keyMu.Unlock()
	if key != nil && bytes.Equal(key.Block(), block) {
		return key, nil
	}
	key, err := sign.ParseKey(block)
	if err != nil {
		return nil, fmt.Errorf("stored key %s: %w", f, err)
	}
	x.rememberKey(key)
	return key, nil
}

// forgetKeys drops what was parsed, since the store has changed beside it.
func (x *Index) forgetKeys() {
	x.keyMu.Lock()
	defer x.keyMu.Unlock()
	clear(x.keys)
	clear(x.merged)
}

func (x *Index) rememberKey(key *sign.Key) {
	x.keyMu.Lock()
	defer x.keyMu.Unlock()
	if len(x.keys) >= cachedKeys {
		clear(x.keys)
	}
	x.keys[key.Fingerprint()] = key
}

// mergedBlocks is how many digests of key blocks an Index keeps that would bring
// nothing.
const mergedBlocks = 16_384

func (x *Index) rememberMerged(blocks []records.Element) {
	x.keyMu.Lock()
	defer x.keyMu.Unlock()
	for _, e := range blocks {
		if len(x.merged) >= mergedBlocks {
			clear(x.merged)
		}
		x.merged[e] = true
	}
}

func (x *Index) isMerged(e records.Element) bool {
	x.keyMu.Lock()
	defer x.keyMu.Unlock()
	return x.merged[e]
}

// Keys lets sign.Open find keys here. An error of the store is kept for Err, and
// the key counts as unknown.
func (x *Index) Keys(ctx context.Context) *Keys {
	return &Keys{find: func(f records.Fingerprint) (*sign.Key, error) { return x.Key(ctx, f) }}
}

// Keys implements sign.Keys over an Index for one goroutine.
type Keys struct {
	find func(records.Fingerprint) (*sign.Key, error)
	err  error
}

// Key returns what is known of the key.
func (k *Keys) Key(f records.Fingerprint) (*sign.Key, bool) {
	key, err := k.find(f)
	if err != nil && k.err == nil {
		k.err = err
	}
	return key, key != nil
}

// Err returns the first error of the store.
func (k *Keys) Err() error { return k.err }

func (b *batch) storedBlock(ctx context.Context, f records.Fingerprint) (block []byte, charged int64, err error) {
	_, err = b.Get(ctx, "SELECT block, charged FROM keys WHERE fingerprint = ?", []any{f.Bytes()}, &block, &charged)
	return block, charged, err
}

// mergeKey stores the union of the known block and key, which may be nil, and
// returns it. A revocation is never lost: no block is ever replaced by less.
func (b *batch) mergeKey(ctx context.Context, f records.Fingerprint, key *sign.Key, from Source) (*sign.Key, error) {
	known := b.keys[f]
	if known == nil {
		block, charged, err := b.storedBlock(ctx, f)
		if err != nil {
			return nil, err
		}
		if block == nil {
			return b.firstKey(ctx, f, key, from)
		}
		if charged > 0 {
			b.charged[f] = charged
		}
		if key != nil && bytes.Equal(block, key.Block()) {
			known = key
		} else if known, err = b.x.parseKey(f, block); err != nil {
			return nil, err
		}
		b.keys[f] = known
	}
	if key == nil || key == known || bytes.Equal(key.Block(), known.Block()) {
		return known, nil
	}
	merged, err := known.Merge(key)
	if err != nil {
		return nil, err
	}
	given := records.KeyElement(f, key.Block())
	if bytes.Equal(merged.Block(), known.Block()) {
		b.merged = append(b.merged, given)
		return known, nil
	}
	if _, err := b.Exec(ctx, "UPDATE keys SET block = ? WHERE fingerprint = ?", merged.Block(), f.Bytes()); err != nil {
		return nil, err
	}
	if b.charged[f] > 0 {
		if err := b.charge(ctx, f, int64(len(merged.Block()))); err != nil {
			return nil, err
		}
	}
	old, union := records.KeyElement(f, known.Block()), records.KeyElement(f, merged.Block())
	b.set[old], b.set[union] = false, true
	b.merged = append(b.merged, old, given)
	b.keys[f], b.changed[f] = merged, true
	return merged, nil
}

func (b *batch) firstKey(ctx context.Context, f records.Fingerprint, key *sign.Key, from Source) (*sign.Key, error) {
	if key == nil {
		return nil, &sign.UnknownKeyError{Fingerprint: f}
	}
	_, err := b.Exec(ctx, "INSERT INTO keys (fingerprint, block, first_seen) VALUES (?, ?, ?)", f.Bytes(), key.Block(), from.arrival().UnixMilli())
	if err == nil && from.stranger() {
		err = b.charge(ctx, f, int64(len(key.Block())))
	}
	b.keys[f] = key
	b.set[records.KeyElement(f, key.Block())] = true
	return key, err
}
