package texts

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
)

// A key is what search reads one text of.
type key struct {
	name   records.Name
	author records.Fingerprint
}

func (k key) compare(o key) int {
	if k.name != o.name {
		return strings.Compare(string(k.name), string(o.name))
	}
	return k.author.Compare(o.author)
}

// A text is an author's newest release of a name.
type text struct {
	record  int64
	release *records.Release // nil where it is read when it is needed
	was     int64            // its number so far; 0 where search had none
	old     *records.Release // what search had
}

// A Writer keeps, in a transaction, what search reads. The words table takes texts fast
// only by rising numbers, so they wait for Store.
type Writer struct {
	*db.Tx
	waiting map[key]*text
	touched map[records.Name]bool // names whose place may change by others
}

// NewWriter returns a Writer in the transaction.
func NewWriter(tx *db.Tx) *Writer {
	return &Writer{tx, map[key]*text{}, map[records.Name]bool{}}
}

// textsAtOnce is how many texts are in memory at once.
const textsAtOnce = 5000

// Insert has search read the release if it is its author's newest under the name.
func (b *Writer) Insert(ctx context.Context, num int64, author records.Fingerprint, r *records.Release) error {
	k := key{r.Name, author}
	if t := b.waiting[k]; t != nil {
		if r.Version.CompareStable(t.release.Version) >= 0 {
			t.record, t.release = num, r
		}
		return nil
	}
	t := &text{record: num, release: r}
	var old records.Version
	known, err := b.Get(ctx, "SELECT num, version FROM texts WHERE name = ? AND author = ?", []any{string(r.Name), author.Bytes()}, &t.was, &old)
	if err != nil || known && r.Version.CompareStable(old) < 0 {
		return err
	}
	if known {
		if t.old, err = b.Stored(ctx, Record(t.was)); err != nil {
			return err
		}
	}
	b.waiting[k] = t
	return nil
}

// Stored reads a release record.
func (b *Writer) Stored(ctx context.Context, num int64) (*records.Release, error) {
	var envelope []byte
	if _, err := b.Get(ctx, "SELECT envelope FROM records WHERE num = ?", []any{num}, &envelope); err != nil {
		return nil, err
	}
	e, err := records.DecodeEnvelope(envelope)
	if err != nil {
		return nil, fmt.Errorf("stored record %d: %w", num, err)
	}
	body, ok := e.Record.Body.(*records.Release)
	if !ok {
		return nil, fmt.Errorf("stored record %d is no release", num)
	}
	return body, nil
}

// Room stores the texts that wait when they are many.
func (b *Writer) Room(ctx context.Context) error {
	if len(b.waiting) < textsAtOnce {
		return nil
	}
	return b.Store(ctx)
}

// Store gives search the texts that wait, and brings names and texts to the place
// that they have now.
func (b *Writer) Store(ctx context.Context) error {
	if len(b.waiting) == 0 && len(b.touched) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(b.waiting), key.compare)
	for _, k := range keys {
		t := b.waiting[k]
		if err := b.countDependents(ctx, t.old, -1); err != nil {
			return err
		}
		if err := b.countDependents(ctx, t.release, 1); err != nil {
			return err
		}
		if t.was == 0 {
			if err := b.insertName(ctx, k.name); err != nil {
				return err
			}
		}
	}
	w := &wordsWriter{Writer: b, rows: map[int64]*wordsRow{}, levels: map[records.Name]int64{}}
	for _, name := range slices.Sorted(maps.Keys(b.touched)) {
		if err := w.move(ctx, name); err != nil {
			return err
		}
	}
	for _, k := range keys {
		if err := w.put(ctx, k, b.waiting[k]); err != nil {
			return err
		}
	}
	clear(b.waiting)
	clear(b.touched)
	return w.write(ctx)
}

// fillAtOnce is how many records Fill asks for at once.
const fillAtOnce = 200

// Fill has search read the newest releases of all.
func (b *Writer) Fill(ctx context.Context) error {
	for after := int64(0); ; {
		var page []int64
		err := b.Each(ctx, "SELECT record FROM releases WHERE record > ? ORDER BY record LIMIT ?", []any{after, fillAtOnce}, func(rows *sql.Rows) error {
			err := rows.Scan(&after)
			page = append(page, after)
			return err
		})
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return b.Store(ctx)
		}
		for _, num := range page {
			var author db.Fingerprint
			if _, err := b.Get(ctx, "SELECT author FROM releases WHERE record = ?", []any{num}, &author); err != nil {
				return err
			}
			body, err := b.Stored(ctx, num)
			if err != nil {
				return err
			}
			if err := b.Insert(ctx, num, author.Fingerprint, body); err != nil {
				return err
			}
		}
		if err := b.Room(ctx); err != nil {
			return err
		}
	}
}
