package home

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/everythingstays/es/blocks"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/index/fsck"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/trust"
)

// Health is what can be told about a home without asking anybody.
type Health struct {
	Records    int64
	Strangers  int64  // records of authors who are not trusted
	IndexError string // what is wrong with the index, or ""
	IndexBytes int64  // on disk
	BlockBytes int64  // on disk
	Free       int64  // bytes for this user on the file system of the home
	OwnKeys    []KeyHealth
	Authors    []AuthorHealth // whose records are pulled, sorted by fingerprint
}

// KeyHealth is the state of one key.
type KeyHealth struct {
	Fingerprint records.Fingerprint
	Expires     time.Time // zero for never
	Revoked     string    // why, or ""
}

// AuthorHealth is how much is known of an author.
type AuthorHealth struct {
	KeyHealth
	Freshness
	Label   string // the trust file's
	Known   bool   // a key block is here
	Records int64
}

// CheckHealth looks at the disk, the index and the keys of a home.
func CheckHealth(ctx context.Context, h *Home, now time.Time) (Health, error) {
	var c Health
	if err := fsck.Check(ctx, h.index); err != nil {
		c.IndexError = err.Error()
	}
	counts, err := h.index.Counts(ctx)
	if err != nil {
		return c, err
	}
	c.Records, c.Strangers = counts.Records, counts.Strangers
	if err := c.measure(h); err != nil {
		return c, err
	}
	own, err := h.Keys(ctx)
	if err != nil {
		return c, err
	}
	for _, k := range own {
		c.OwnKeys = append(c.OwnKeys, checkKey(k.Key))
	}
	return c, c.authors(ctx, h, now)
}

// measure finds how much the home takes, and how much it may take.
func (c *Health) measure(h *Home) (err error) {
	place, err := existing(h.dir) // of a home that is not made yet, where it would be
	if err != nil {
		return err
	}
	if c.Free, err = blocks.FreeSpace(place); err != nil {
		return fmt.Errorf("ask for free space: %w", err)
	}
	for _, name := range []string{"index.db", "index.db-wal"} {
		info, err := os.Stat(filepath.Join(h.dir, name))
		if err == nil {
			c.IndexBytes += info.Size()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return filepath.WalkDir(filepath.Join(h.dir, "blocks"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err == nil {
			c.BlockBytes += info.Size()
		}
		return ignoreGone(err)
	})
}

// ignoreGone passes over files that another process has removed meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func checkKey(k *sign.Key) KeyHealth {
	c := KeyHealth{Fingerprint: k.Fingerprint()}
	if at, ok := k.Expires(); ok {
		c.Expires = at
	}
	if r, ok := k.Revocation(); ok {
		c.Revoked = "since " + r.At.UTC().Format(time.DateOnly)
		if r.Hard {
			c.Revoked = "with all that it ever signed"
		}
		if r.Text != "" {
			c.Revoked += ": " + r.Text
		}
	}
	return c
}

func (c *Health) authors(ctx context.Context, h *Home, now time.Time) error {
	p, err := h.Trust()
	if err != nil {
		return err
	}
	all, err := h.AuthorsOf(ctx, p, now)
	if err != nil {
		return err
	}
	own, err := h.OwnFingerprints()
	if err != nil {
		return err
	}
	labels := trust.NewEvaluator(p, nil, now)
	for _, key := range all {
		if slices.Contains(own, key) {
			continue
		}
		a := AuthorHealth{KeyHealth: KeyHealth{Fingerprint: key}, Label: labels.Label(key)}
		known, err := h.index.Key(ctx, key)
		if err != nil {
			return err
		}
		if known != nil {
			a.KeyHealth, a.Known = checkKey(known), true
		}
		if err := a.news(ctx, h); err != nil {
			return err
		}
		c.Authors = append(c.Authors, a)
	}
	return nil
}

// news fills in how much an author has said, and promised to say.
func (a *AuthorHealth) news(ctx context.Context, h *Home) error {
	sum, err := h.index.Sum(ctx, records.AuthorRange(a.Fingerprint))
	if err != nil {
		return err
	}
	if a.Records = int64(sum.Count); a.Known {
		a.Records-- // the key block
	}
	a.Freshness, err = h.Fresh(ctx, a.Fingerprint)
	return err
}

// Freshness says whether news of an author seem to be missing.
type Freshness struct {
	Missing  int       // records that others of the author name and that are not here
	Newest   time.Time // of the newest record, as it says
	Promised time.Time // when the newest heartbeat promised news; zero when something came after it
}

// Overdue reports whether a promise of the author has passed, and for how many whole
// days.
func (f Freshness) Overdue(now time.Time) (days int, overdue bool) {
	if f.Promised.IsZero() || !f.Promised.Before(now) {
		return 0, false
	}
	return int(now.Sub(f.Promised) / (24 * time.Hour)), true
}

// Fresh says how news of an author stand.
func (h *Home) Fresh(ctx context.Context, author records.Fingerprint) (f Freshness, err error) {
	if f.Missing, err = authorlog.New(h.index).Incomplete(ctx, author); err != nil {
		return f, err
	}
	newest, err := authorlog.New(h.index).Newest(ctx, author)
	if err != nil || !newest.Record.Defined() {
		return f, err
	}
	f.Newest = newest.Time
	last, err := h.index.Statement(ctx, newest.Record)
	if err != nil {
		return f, err
	}
	if beat, ok := last.Record.Body.(*records.Heartbeat); ok {
		f.Promised = time.Unix(beat.Next, 0).UTC()
	}
	return f, nil
}

// AuthorKeys returns the fingerprints of the authors.
func (c Health) AuthorKeys() []records.Fingerprint {
	var all []records.Fingerprint
	for _, a := range c.Authors {
		all = append(all, a.Fingerprint)
	}
	return all
}
