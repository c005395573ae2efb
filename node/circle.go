package node

import (
	"context"
	"sync"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// circleAge is how long it may take until a delegation that another process has
// stored counts here.
const circleAge = 10 * time.Second

// circle is whom the user trusts, delegates included, as it was found out last: it
// is too dear to ask for each record.
type circle struct {
	mu      sync.Mutex
	file    *trust.File
	at      time.Time // zero when something is known to have changed
	view    *trust.View
	members map[records.Fingerprint]bool // whose records are pulled
}

// current returns the view, and finds it out again when it may be out of date.
func (c *circle) current(ctx context.Context, j *judge) (*trust.View, error) {
	f, now := j.trust(), j.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.view != nil && c.file == f && !c.at.IsZero() && now.Sub(c.at) < circleAge && !now.Before(c.at) {
		return c.view, nil
	}
	view, err := j.home.ViewOf(f, now)
	if err != nil {
		return nil, err
	}
	authors, err := j.home.AuthorsOf(ctx, f, now)
	if err != nil {
		return nil, err
	}
	c.file, c.at, c.view, c.members = f, now, view, map[records.Fingerprint]bool{}
	for _, a := range authors {
		c.members[a] = true
	}
	return view, nil
}

// has reports whether the author was a member when that was found out last. It
// asks nobody.
func (c *circle) has(author records.Fingerprint) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.members[author]
}

// learn is told of a record that was stored. Only what members say of keys changes
// who is one, or takes it back.
func (c *circle) learn(r *records.Record) {
	switch r.Body.(type) {
	case *records.Delegate, *records.Successor, *records.Notice:
		c.mu.Lock()
		if c.members[r.Author] {
			c.at = time.Time{}
		}
		c.mu.Unlock()
	}
}
