package mirror

import (
	"crypto/sha512"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/everythingstays/es/npm/unpacked"
	"github.com/everythingstays/es/records"
)

// lookEvery is how often a catalog looks for what other processes have imported.
const lookEvery = 5 * time.Second

// A catalog knows the tarballs that are here by what they are of. Their lists of files
// stay on the disk.
type catalog struct {
	dir unpacked.Dir
	now func() time.Time

	mu     sync.Mutex
	looked time.Time
	state  string
	byName map[string]map[records.Version]tree
	added  map[[sha512.Size]byte]tree // here, and not yet in dir
}

// A tree is a package that is here.
type tree struct {
	*unpacked.Package
	since time.Time
}

// of returns what is here of a package. The map is not to be changed.
func (c *catalog) of(name string) (map[records.Version]tree, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now().Sub(c.looked) >= lookEvery || c.byName == nil {
		if err := c.look(); err != nil {
			return nil, err
		}
		c.looked = c.now()
	}
	return c.byName[name], nil
}

// look reads the directory again if it has changed.
func (c *catalog) look() error {
	state, err := c.dir.State()
	if err != nil || state == c.state && c.byName != nil {
		return err
	}
	byName := make(map[string]map[records.Version]tree)
	err = c.dir.All(func(p *unpacked.Package) error {
		since, err := c.dir.Since(p.SHA512)
		if err != nil {
			return nil // removed just now
		}
		p.Entries = nil
		put(byName, tree{p, since})
		delete(c.added, p.SHA512)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look at what is imported: %w", err)
	}
	for _, t := range c.added {
		put(byName, t)
	}
	c.byName, c.state = byName, state
	return nil
}

func put(byName map[string]map[records.Version]tree, t tree) {
	if byName[t.Name] == nil {
		byName[t.Name] = make(map[records.Version]tree)
	}
	if other, ok := byName[t.Name][t.Version]; ok && other.since.Before(t.since) {
		return // two tarballs of one version: the first that came
	}
	byName[t.Name][t.Version] = t
}

// add takes a package that was imported just now.
func (c *catalog) add(p *unpacked.Package) {
	c.mu.Lock()
	defer c.mu.Unlock()
	short := *p
	short.Entries = nil
	t := tree{&short, c.now()}
	if c.byName == nil {
		c.byName = make(map[string]map[records.Version]tree)
	}
	if c.added == nil {
		c.added = make(map[[sha512.Size]byte]tree)
	}
	c.byName[p.Name] = maps.Clone(c.byName[p.Name]) // the other was given away
	put(c.byName, t)
	c.added[p.SHA512] = t
}

// drop forgets a package whose bytes are no longer here.
func (c *catalog) drop(p *unpacked.Package) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.added, p.SHA512)
	c.byName = nil
}
