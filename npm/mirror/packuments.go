package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/npm/endpoint"
	"github.com/everythingstays/es/npm/registry"
)

// keptFormat is that of the files of packuments; others are asked for again.
const keptFormat = 1

// kept is the first line of a file; the packument follows as the registry gave it. The
// file's time is when the registry last said that it is so.
type kept struct {
	Format       int                  `json:"format"`
	Registry     string               `json:"registry"`
	ETag         string               `json:"etag,omitempty"`
	LastModified string               `json:"lastModified,omitempty"`
	Seen         map[string]time.Time `json:"seen"` // versions, when this node first read of them
	read         time.Time
	body         []byte
}

func (k *kept) validators() registry.Validators {
	return registry.Validators{ETag: k.ETag, LastModified: k.LastModified}
}

// file is where a packument is kept.
func (m *Mirror) file(name string, form endpoint.Form) string {
	sum := sha256.Sum256([]byte(name))
	text, suffix := hex.EncodeToString(sum[:20]), ".short"
	if form == endpoint.Full {
		suffix = ".full"
	}
	return filepath.Join(m.cfg.Dir, text[:2], text[2:]+suffix)
}

// readKept returns the packument that is kept of a registry; nil without one.
func (m *Mirror) readKept(base, name string, form endpoint.Form) (*kept, error) {
	path := m.file(name, form)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the packument of %q: %w", name, err)
	}
	b, err := regularfile.Read(path, 2*registry.MaxPackument)
	if err != nil {
		return nil, fmt.Errorf("read the packument of %q: %w", name, err)
	}
	head, body, _ := bytes.Cut(b, []byte("\n"))
	var k kept
	if json.Unmarshal(head, &k) != nil || k.Format != keptFormat || base != "" && k.Registry != base {
		return nil, nil
	}
	k.read, k.body = info.ModTime(), body
	return &k, nil
}

func (m *Mirror) keep(name string, form endpoint.Form, k *kept) error {
	k.Format = keptFormat
	head, err := json.Marshal(k, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("keep the packument of %q: %w", name, err)
	}
	path := m.file(name, form)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keep the packument of %q: %w", name, err)
	}
	temp := path + atomicfile.TempPrefix
	if err := os.WriteFile(temp, append(append(head, '\n'), k.body...), 0o600); err != nil {
		return fmt.Errorf("keep the packument of %q: %w", name, err)
	}
	if err := errors.Join(os.Chtimes(temp, k.read, k.read), os.Rename(temp, path)); err != nil {
		return fmt.Errorf("keep the packument of %q: %w", name, err)
	}
	return nil
}

// errNotAsked says that no registry is asked, and nothing is known of a package here.
var errNotAsked = errors.New("no registry is asked")

// refresh has the packument of a package as its registry has it now, unless that was
// asked a short while ago. Whoever asks at the same time waits for the same answer.
func (m *Mirror) refresh(ctx context.Context, base, name string, form endpoint.Form) error {
	return m.flights.do(ctx, fmt.Sprint("packument ", name, form), func(ctx context.Context) error {
		old, err := m.readKept(base, name, form)
		if err != nil {
			return err
		}
		if old != nil && m.isFresh(old.read) {
			return nil
		}
		if old == nil {
			old = &kept{}
		}
		now := m.cfg.Now()
		body, validators, err := m.cfg.Registries.Packument(ctx, base, name, registry.Form(form), old.validators())
		if err != nil {
			return err
		}
		if body == nil {
			return os.Chtimes(m.file(name, form), now, now)
		}
		p, err := registry.ParsePackument(body)
		if err != nil {
			return fmt.Errorf("read the packument of %q: %w", name, err)
		}
		if p.Name != name {
			return fmt.Errorf("read the packument of %q: it is of %q", name, p.Name)
		}
		k := &kept{Registry: base, ETag: validators.ETag, LastModified: validators.LastModified, Seen: make(map[string]time.Time), read: now, body: body}
		for i := range p.Versions {
			v := p.Versions[i].Version
			k.Seen[v] = now.UTC().Truncate(time.Second)
			if before, ok := old.Seen[v]; ok {
				k.Seen[v] = before
			}
		}
		return m.keep(name, form, k)
	})
}

func (m *Mirror) isFresh(read time.Time) bool {
	age := m.cfg.Now().Sub(read)
	return age >= 0 && age < fresh
}

// ask refreshes what a client asks for. It reports false where the registry was not
// reached now, and what is here must do.
func (m *Mirror) ask(ctx context.Context, base, name string, form endpoint.Form) (reached bool, err error) {
	m.mu.Lock()
	rests := m.cfg.Now().Before(m.resting[base])
	m.mu.Unlock()
	if rests {
		return false, nil
	}
	err = m.refresh(ctx, base, name, form)
	if err == nil || registry.Missing(err) || ctx.Err() != nil || !registry.MayPass(err) {
		return true, err
	}
	m.mu.Lock()
	m.resting[base] = m.cfg.Now().Add(pause)
	m.mu.Unlock()
	m.cfg.Log.Warn("the registry is not reached; what is here must do", "err", err)
	return false, nil
}
