package resolve

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/authorlog"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// MaxClaimants is how many keys a search and a refusal name of a name: keys cost nothing.
const MaxClaimants = 5

// A Claimant is a key that released versions of a name, with what a user can judge it
// by. Nothing of it but Endorsers and FirstSeen is more than the key's own word.
type Claimant struct {
	Key       records.Fingerprint
	UserID    string          // as the key itself says: anybody can write anything there
	Releases  int             // of those that were asked about
	Newest    records.Version // of these; pre-releases last
	FirstSeen time.Time       // when the first of them came here
	// Endorsers are keys of the trust files, and the user's own, that endorse one of
	// them as the key released it. Sorted.
	Endorsers []records.Fingerprint

	// Record is the release of Newest; undefined for those that were not looked at closer.
	Record cid.Cid

	first int64 // the first of these records
	place int
}

// claimants returns the keys that released the name, in the versions that wanted takes or
// in any: those that decide, those that somebody endorsed whom the user believes, others,
// those that are denied, each by the day of arrival. No version that a key claims, and no
// text of it, changes its place. Of those that decide and of the first MaxClaimants others it is known
// that a signature counts, and FirstSeen; the rest is read from the list alone, since there
// may be any number of them. UserID is left empty.
func (x *Resolver) claimants(ctx context.Context, name records.Name, evaluator *trust.Evaluator, wanted func(records.Version) bool) ([]Claimant, error) {
	ruling, err := evaluator.Ruling(ctx, name)
	if err != nil {
		return nil, err
	}
	listed, err := x.index.ListReleases(ctx, name)
	if err != nil {
		return nil, err
	}
	by := map[records.Fingerprint]*Claimant{}
	for _, r := range listed {
		if wanted != nil && !wanted(r.Version) {
			continue
		}
		c := by[r.Author]
		if c == nil {
			c = &Claimant{Key: r.Author, first: r.Order}
			by[r.Author] = c
		}
		c.Releases++
		c.first = min(c.first, r.Order)
	}
	if len(by) > 0 {
		if err := x.addEndorsers(ctx, name, evaluator, by); err != nil {
			return nil, err
		}
	}
	all := make([]Claimant, 0, len(by))
	for _, c := range by {
		switch {
		case ruling.Decides(c.Key):
			c.place = placeDecides
		case evaluator.Denied(c.Key):
			c.place = placeDenied
		case len(c.Endorsers) > 0:
			c.place = placeEndorsed
		default:
			c.place = placeOther
		}
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b Claimant) int { return cmp.Or(a.place-b.place, cmp.Compare(a.first, b.first)) })
	return x.validSigners(ctx, name, all, wanted)
}

// Places of claimants.
const (
	placeDecides = iota
	placeEndorsed
	placeOther
	placeDenied
)

func (c *Claimant) decides() bool { return c.place == placeDecides }

// validSigners looks closer at the first claimants and drops those whose signatures do not
// count.
func (x *Resolver) validSigners(ctx context.Context, name records.Name, all []Claimant, wanted func(records.Version) bool) ([]Claimant, error) {
	kept := all[:0]
	others := 0
	for i, c := range all {
		if !c.decides() && others == MaxClaimants {
			rest := all[i:]
			sortByArrival(kept)
			return append(kept, rest...), nil
		}
		releases, err := x.releasesBy(ctx, name, c.Key)
		if err != nil {
			return nil, err
		}
		if wanted != nil {
			releases = slices.DeleteFunc(releases, func(r index.ReleaseRow) bool { return !wanted(r.Version) })
		}
		if len(releases) == 0 {
			continue
		}
		first := slices.MinFunc(releases, func(a, b index.ReleaseRow) int { return cmp.Compare(a.Order, b.Order) })
		c.Releases, c.Newest, c.Record, c.FirstSeen = len(releases), releases[0].Version, releases[0].ID, first.FirstSeen
		kept = append(kept, c)
		if !c.decides() {
			others++
		}
	}
	sortByArrival(kept)
	return kept, nil
}

// sortByArrival orders claimants by the day on which they came here: what came on one day
// may have come by one exchange, whose order means nothing.
func sortByArrival(all []Claimant) {
	day := func(c *Claimant) time.Time { return c.FirstSeen.Truncate(24 * time.Hour) }
	slices.SortFunc(all, func(a, b Claimant) int {
		return cmp.Or(a.place-b.place, day(&a).Compare(day(&b)), a.Key.Compare(b.Key))
	})
}

// maxEndorsements is how many endorsements of a name by keys that the user believes are
// looked at for claimants.
const maxEndorsements = 1000

// addEndorsers fills in who endorsed what the claimants released.
func (x *Resolver) addEndorsers(ctx context.Context, name records.Name, evaluator *trust.Evaluator, by map[records.Fingerprint]*Claimant) error {
	believed := evaluator.ListedKeys()
	if len(believed) == 0 || len(believed) > maxDeciders {
		return nil
	}
	c := &nameClaims{name: name, authors: believed}
	all, err := x.index.StatementsAbout(ctx, "endorse", index.Filter{Name: c.name, Authors: c.authors})
	if err != nil {
		return err
	}
	retracted, backdating := map[records.Fingerprint]map[cid.Cid]bool{}, authorlog.New(x.index).Backdating()
	for _, s := range all[:min(len(all), maxEndorsements)] {
		body, ok := s.Record.Body.(*records.Endorse)
		if !ok || s.Invalid != "" {
			continue
		}
		if retracted[s.Author] == nil {
			if retracted[s.Author], err = backdating.Retracted(ctx, s.Author); err != nil {
				return err
			}
		}
		if retracted[s.Author][s.ID] {
			continue
		}
		authors, err := x.index.ReleasersOf(ctx, name, body.Version, body.Module, maxOthers)
		if err != nil {
			return err
		}
		for _, author := range authors {
			if to := by[author]; to != nil && author != s.Author && !slices.Contains(to.Endorsers, s.Author) {
				to.Endorsers = append(to.Endorsers, s.Author)
				slices.SortFunc(to.Endorsers, records.Fingerprint.Compare)
			}
		}
	}
	return nil
}

// Claimants returns who released versions of the name, at most MaxClaimants, and how many
// keys did.
func (x *Resolver) Claimants(ctx context.Context, name records.Name, evaluator *trust.Evaluator) (all []Claimant, keys int, err error) {
	if all, err = x.claimants(ctx, name, evaluator, nil); err != nil {
		return nil, 0, err
	}
	keys = len(all)
	all, err = x.describe(ctx, all)
	return all, keys, err
}

// releasesBy returns an author's releases of a name that count, the newest first.
func (x *Resolver) releasesBy(ctx context.Context, name records.Name, author records.Fingerprint) ([]index.ReleaseRow, error) {
	all, err := x.index.ReleaseRows(ctx, index.Filter{Name: name, Authors: []records.Fingerprint{author}, Valid: true})
	slices.SortStableFunc(all, func(a, b index.ReleaseRow) int { return b.Version.CompareStable(a.Version) })
	return all, err
}

// describe returns the first of the claimants with what they say of themselves.
func (x *Resolver) describe(ctx context.Context, all []Claimant) ([]Claimant, error) {
	shown := slices.Clone(all[:min(len(all), MaxClaimants)])
	for i := range shown {
		key, err := x.index.Key(ctx, shown[i].Key)
		if err != nil {
			return nil, err
		}
		if key != nil {
			shown[i].UserID = key.UserID()
		}
	}
	return shown, nil
}
