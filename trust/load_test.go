package trust_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// loading is the inputs with its facts behind Load.
func loading(in trust.Inputs, by func(trust.Facts, []records.Fingerprint) (trust.Facts, error)) trust.Inputs {
	all := in.Facts
	in.Facts = trust.Facts{}
	in.Load = func(_ context.Context, authors []records.Fingerprint) (trust.Facts, error) { return by(all, authors) }
	return in
}

func factsBy(f trust.Facts, authors []records.Fingerprint) (trust.Facts, error) {
	var some trust.Facts
	for _, d := range f.Delegations {
		if slices.Contains(authors, d.Author) {
			some.Delegations = append(some.Delegations, d)
		}
	}
	for _, s := range f.Successions {
		if slices.Contains(authors, s.Author) {
			some.Successions = append(some.Successions, s)
		}
	}
	for _, k := range f.Equivocated {
		if slices.Contains(authors, k) {
			some.Equivocated = append(some.Equivocated, k)
		}
	}
	return some, nil
}

// An answer is all that an evaluator says of a name.
type answer struct {
	decision trust.Decision
	deciders []trust.Grant
	rule     trust.Rule
}

func ask(ctx context.Context, evaluator *trust.Evaluator, name string, claims []trust.Claim) (answer, error) {
	r, err := evaluator.Ruling(ctx, records.Name(name))
	if err != nil {
		return answer{}, err
	}
	return answer{r.Decide("1.0.0", claims), r.Deciders(), r.Rule}, nil
}

// anyModel draws a world of any kind, and the name that it is about.
func anyModel(r *rand.Rand, i int) (*model, string) {
	name := universe[r.IntN(len(universe))]
	switch {
	case i%100 == 99:
		return wideModel(r), name
	case i%10 == 9:
		return denseModel(r), "left-pad"
	}
	return randomModel(r, name), name
}

// elsewhere is the model for a name that it has no pin for.
func (m *model) elsewhere() *model {
	other := *m
	other.pin = ""
	return &other
}

// TestLoadedFacts asks, in 1,000 random worlds (ES_FULL: 10,000), for every name of
// the universe, in random order: an evaluator that loads what it needs answers
// as one that is given all facts, in every field, and both as the model does. The
// loading evaluator is asked by four goroutines, and in every third world
// reading fails now and then: then there is no answer, and the next one is right.
// SPEC T25, T29 and T30.
func TestLoadedFacts(t *testing.T) {
	worlds := 1000
	if full {
		worlds = 10_000
	}
	r := rand.New(rand.NewPCG(15, 16))
	var asked, of, failed int
	for i := range worlds {
		m, about := anyModel(r, i)
		inputs := m.inputs(t, r, about)
		for range r.IntN(3) {
			inputs.Facts.Equivocated = append(inputs.Facts.Equivocated, testKey(r.IntN(7)))
		}
		claims := aged(r, m.trustClaims())
		want := map[string]answer{}
		for _, name := range universe {
			a, err := ask(t.Context(), inputs.Evaluator(), name, claims)
			if err != nil {
				t.Fatal(err)
			}
			model := m
			if name != about {
				model = m.elsewhere()
			}
			v := model.decide(name)
			if a.decision.State.String() != v.state || a.decision.Voices != v.voices || v.module != "" && a.decision.Module != moduleCID(v.module) {
				t.Fatalf("world %d: %s is %+v, want %+v", i, name, a.decision, v)
			}
			want[name] = a
		}
		w := &worldAsked{inputs: inputs, claims: claims, want: want, names: shuffleNames(r), failing: i%3 == 0, seed: uint64(i)}
		w.ask(t, i)
		asked, failed = asked+len(w.loaded), failed+w.failures
		of += len(testKeysOf(inputs))
	}
	if failed < worlds/10 {
		t.Errorf("only %d readings failed", failed)
	}
	t.Logf("%d worlds: %d readings failed; facts of %d keys loaded, of %d keys there", worlds, failed, asked, of)
}

func shuffleNames(r *rand.Rand) []string {
	names := slices.Clone(universe)
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names
}

func testKeysOf(in trust.Inputs) map[records.Fingerprint]bool {
	keys := map[records.Fingerprint]bool{}
	for _, d := range in.Facts.Delegations {
		keys[d.Author], keys[d.To] = true, true
	}
	for _, s := range in.Facts.Successions {
		keys[s.Author] = true
	}
	return keys
}

// worldAsked is one world, behind a Load that may fail.
type worldAsked struct {
	inputs  trust.Inputs
	claims  []trust.Claim
	want    map[string]answer
	names   []string
	failing bool
	seed    uint64

	mu       sync.Mutex
	loaded   map[records.Fingerprint]bool
	failures int
}

var errRead = errors.New("cannot read")

func (w *worldAsked) load(all trust.Facts, authors []records.Fingerprint) (trust.Facts, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range authors {
		if w.loaded[a] {
			return trust.Facts{}, fmt.Errorf("key %s is asked for twice", a)
		}
	}
	if w.failing {
		if w.seed = w.seed*6364136223846793005 + 1442695040888963407; w.seed>>62 == 0 {
			w.failures++
			some, _ := factsBy(all, authors) // must not be used
			return some, errRead
		}
	}
	for _, a := range authors {
		w.loaded[a] = true
	}
	facts, err := factsBy(all, authors)
	// What nobody asked for is no reason to believe that it is all.
	if len(all.Delegations) > 0 {
		facts.Delegations = append(facts.Delegations, all.Delegations[0])
	}
	return facts, err
}

// ask asks an evaluator for every name, from four goroutines that begin at different ones.
func (w *worldAsked) ask(t *testing.T, world int) {
	t.Helper()
	w.loaded = map[records.Fingerprint]bool{}
	evaluator := loading(w.inputs, w.load).Evaluator()
	ctx := t.Context()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range w.names {
				name := w.names[(i+3*g)%len(w.names)]
				got, err := ask(ctx, evaluator, name, w.claims)
				for tries := 0; errors.Is(err, errRead) && tries < 100; tries++ {
					got, err = ask(ctx, evaluator, name, w.claims)
				}
				if err != nil {
					t.Errorf("world %d: %s: %v", world, name, err)
				} else if !reflect.DeepEqual(got, w.want[name]) {
					t.Errorf("world %d: %s\ngot  %+v\nwant %+v", world, name, got, w.want[name])
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// TestChangesOfLoadedFacts is that the edits of a trust file that would change
// something are the same when facts are loaded, in 100 random worlds (ES_FULL: 3,000).
func TestChangesOfLoadedFacts(t *testing.T) {
	worlds := 100
	if full {
		worlds = 3000
	}
	r := rand.New(rand.NewPCG(17, 18))
	for i := range worlds {
		m, name := anyModel(r, i)
		in, claims := m.inputs(t, r, name), m.trustClaims()
		want := changes(t, in, records.Name(name), "1.0.0", claims)
		if got := changes(t, loading(in, factsBy), records.Name(name), "1.0.0", claims); !reflect.DeepEqual(got, want) {
			t.Fatalf("world %d: %s\ngot  %+v\nwant %+v", i, name, got, want)
		}
		broken := loading(in, func(trust.Facts, []records.Fingerprint) (trust.Facts, error) { return trust.Facts{}, errRead })
		if got, err := broken.Changes(t.Context(), records.Name(name), "1.0.0", claims); err == nil {
			if !reflect.DeepEqual(got, want) || len(m.deciders(name)) > 0 {
				t.Fatalf("world %d: %s: %+v though nothing can be read", i, name, got)
			}
		} else if !errors.Is(err, errRead) {
			t.Fatal(err)
		}
	}
}
