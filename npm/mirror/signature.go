package mirror

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/everythingstays/es/npm"
	"github.com/everythingstays/es/npm/guard"
	"github.com/everythingstays/es/npm/registry"
	"github.com/everythingstays/es/records"
)

// keysFresh is how long a registry's keys are not asked for again.
const keysFresh = time.Hour

// registryKeys are those that registries say they sign with, by their URLs.
type registryKeys struct {
	mu    sync.Mutex
	byURL map[string]saidKeys
}

type saidKeys struct {
	keys  []npm.SigningKey
	until time.Time
}

// keysOf returns the keys that a registry says it signs with; none where it has none, or
// is not reached.
func (m *Mirror) keysOf(ctx context.Context, base string) ([]npm.SigningKey, error) {
	m.keys.mu.Lock()
	said, ok := m.keys.byURL[base]
	m.keys.mu.Unlock()
	if ok && m.cfg.Now().Before(said.until) {
		return said.keys, nil
	}
	err := m.flights.do(ctx, "keys "+base, func(ctx context.Context) error {
		keys, err := m.cfg.Registries.Keys(ctx, base)
		until := m.cfg.Now().Add(keysFresh)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case registry.Missing(err):
		case registry.MayPass(err):
			until = m.cfg.Now().Add(pause)
		case err != nil:
			return err
		}
		m.keys.mu.Lock()
		defer m.keys.mu.Unlock()
		if m.keys.byURL == nil {
			m.keys.byURL = make(map[string]saidKeys)
		}
		m.keys.byURL[base] = saidKeys{keys, until}
		return nil
	})
	if err != nil {
		return nil, err
	}
	m.keys.mu.Lock()
	defer m.keys.mu.Unlock()
	return m.keys.byURL[base].keys, nil
}

// speaks returns why a release is refused by what registries have signed: those that the
// user named, where there are any for its name.
func (m *Mirror) speaks(ctx context.Context, judge *guard.Judge, r *release) (*guard.Refusal, error) {
	if judge.NeedsRegistry() {
		return m.vouched(ctx, judge, r)
	}
	return m.signed(ctx, r)
}

// signed returns why the registry's signatures over a release speak against it: one by a
// key of the registry that is over something else, or that had ended. Who signs nothing,
// or by keys that the registry does not name, says nothing.
func (m *Mirror) signed(ctx context.Context, r *release) (*guard.Refusal, error) {
	if m.cfg.Registries == nil || len(r.dist.Signatures) == 0 {
		return nil, nil
	}
	hash, err := npm.ParseIntegrity(r.dist.Integrity)
	if err != nil {
		return nil, nil // there is nothing that it could have signed
	}
	base, err := m.cfg.Registries.Base(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	keys, err := m.keysOf(ctx, base)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	_, err = npm.Verify(keys, npm.Tarball{Name: r.Name, Version: r.Version, SHA512: hash}, r.dist.Signatures, r.claimed)
	var problem *npm.SignatureError
	if !errors.As(err, &problem) || problem.Problem != npm.WrongSignature && problem.Problem != npm.KeyExpired {
		return nil, nil
	}
	return &guard.Refusal{Kind: guard.Signature, Why: problem.Error(), Typed: "take another version, and ask who runs the registry at " + base}, nil
}

// vouched returns why none of the registries that the user named speaks for a release, by
// what its packument says and what was said when its tarball was taken.
func (m *Mirror) vouched(ctx context.Context, judge *guard.Judge, r *release) (*guard.Refusal, error) {
	origin := &records.Origin{Signatures: slices.Clone(r.dist.Signatures)}
	if hash, err := npm.ParseIntegrity(r.dist.Integrity); err == nil {
		origin.SHA512 = hash[:]
	}
	if !r.claimed.IsZero() {
		origin.Published = r.claimed.Unix()
	}
	var takenFrom []string
	if r.here != nil {
		origin.SHA512 = r.here.SHA512[:]
		for _, t := range r.here.Taken {
			takenFrom = append(takenFrom, t.Registry)
			origin.Signatures = append(origin.Signatures, t.Signatures...)
			if origin.Published == 0 {
				origin.Published = t.Published
			}
		}
	} else if m.cfg.Registries != nil { // from which it is about to be taken
		base, err := m.cfg.Registries.Base(ctx, r.Name)
		if err != nil {
			return nil, err
		}
		takenFrom = []string{base}
	}
	return judge.Vouched(&records.Release{Name: records.Name(r.Name), Version: r.Version, Origin: origin}, takenFrom), nil
}
