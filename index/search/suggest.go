package search

import (
	"context"

	"github.com/everythingstays/es/records"
)

const (
	maxSuggestions = 5
	// suggestFrom is the shortest beginning of a text that suggests a name.
	suggestFrom = 3
)

// suggest returns names that may have been meant by a text that nothing was found for: by
// its words one by one, whole or with one edit, else by its beginning.
func (f *finding) suggest(ctx context.Context) (names []records.Name, err error) {
	have := map[records.Name]bool{}
	add := func(all []candidate, n int) {
		for _, c := range all[:min(len(all), n)] {
			if !have[c.name] && len(names) < maxSuggestions {
				have[c.name] = true
				names = append(names, c.name)
			}
		}
	}
	for _, word := range f.words {
		if len(f.words) == 1 && len(f.filters) == 0 {
			break // it was looked for
		}
		one := *f
		one.query = query{text: word, words: []string{word}}
		for _, find := range []func() ([]candidate, error){
			func() ([]candidate, error) { return one.same(ctx) },
			func() ([]candidate, error) { return one.edited(ctx, 0) },
			func() ([]candidate, error) { return one.longer(ctx) },
		} {
			all, err := find()
			if err != nil {
				return nil, err
			}
			add(all, 2)
		}
	}
	for n := len(f.text) - 1; n >= suggestFrom && len(names) == 0; n-- {
		one := *f
		one.query = query{text: f.text[:n]}
		all, err := one.longer(ctx)
		if err != nil {
			return nil, err
		}
		add(all, maxSuggestions)
	}
	return names, nil
}
