package index

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

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

	first, newest int64 // the first of these records, and that of Newest
	place         int
}

// claimants returns the keys that released the name, in the versions that wanted takes or
// in any: those that decide, those that somebody endorsed whom the user believes, others,
// those that are denied, each by the day of arrival. No version that a key claims, and no
// text of it, changes its place. Of those that decide and of the first MaxClaimants others it is known
// that a signature counts, and FirstSeen; the rest is read from the list alone, since there
// may be any number of them. UserID is left empty.
func (x *Index) claimants(ctx context.Context, name records.Name, view *trust.View, wanted func(records.Version) bool) ([]Claimant, error) {
	ruling, err := view.Ruling(ctx, name)
	if err != nil {
		return nil, err
	}
	listed, err := x.listed(ctx, name)
	if err != nil {
		return nil, err
	}
	by := map[records.Fingerprint]*Claimant{}
	for _, r := range listed {
		if wanted != nil && !wanted(r.version) {
			continue
		}
		c := by[r.author]
		if c == nil {
			c = &Claimant{Key: r.author, first: r.num}
			by[r.author] = c
		}
		c.Releases++
		c.first = min(c.first, r.num)
	}
	if len(by) > 0 {
		if err := x.addEndorsers(ctx, name, view, by); err != nil {
			return nil, err
		}
	}
	all := make([]Claimant, 0, len(by))
	for _, c := range by {
		switch {
		case ruling.Decides(c.Key):
			c.place = placeDecides
		case view.Denied(c.Key):
			c.place = placeDenied
		case len(c.Endorsers) > 0:
			c.place = placeEndorsed
		default:
			c.place = placeOther
		}
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b Claimant) int { return cmp.Or(a.place-b.place, cmp.Compare(a.first, b.first)) })
	return x.standing(ctx, name, all, wanted)
}

// Places of claimants.
const (
	placeDecides = iota
	placeEndorsed
	placeOther
	placeDenied
)

func (c *Claimant) decides() bool { return c.place == placeDecides }

// standing looks closer at the first claimants and drops those whose signatures do not
// count.
func (x *Index) standing(ctx context.Context, name records.Name, all []Claimant, wanted func(records.Version) bool) ([]Claimant, error) {
	kept := all[:0]
	others := 0
	for i, c := range all {
		if !c.decides() && others == MaxClaimants {
			rest := all[i:]
			sortStanding(kept)
			return append(kept, rest...), nil
		}
		releases, err := x.releasesBy(ctx, name, c.Key)
		if err != nil {
			return nil, err
		}
		if wanted != nil {
			releases = slices.DeleteFunc(releases, func(r brief) bool { return !wanted(r.version) })
		}
		if len(releases) == 0 {
			continue
		}
		first := slices.MinFunc(releases, func(a, b brief) int { return cmp.Compare(a.num, b.num) })
		c.Releases, c.Newest, c.newest, c.FirstSeen = len(releases), releases[0].version, releases[0].num, first.seen
		kept = append(kept, c)
		if !c.decides() {
			others++
		}
	}
	sortStanding(kept)
	return kept, nil
}

// sortStanding orders claimants by the day on which they came here: what came on one day
// may have come by one exchange, whose order means nothing.
func sortStanding(all []Claimant) {
	day := func(c *Claimant) time.Time { return c.FirstSeen.Truncate(24 * time.Hour) }
	slices.SortFunc(all, func(a, b Claimant) int {
		return cmp.Or(a.place-b.place, day(&a).Compare(day(&b)), a.Key.Compare(b.Key))
	})
}

// listed returns the releases of a name, void ones too, as one index of the table has
// them: no record is read.
func (x *Index) listed(ctx context.Context, name records.Name) ([]brief, error) {
	rows, err := x.r.QueryContext(ctx, "SELECT record, author, version FROM releases WHERE name = ? ORDER BY author, version, record", string(name))
	if err != nil {
		return nil, x.explain("find who released", err)
	}
	defer rows.Close()
	var all []brief
	for rows.Next() {
		var r brief
		var author fingerprint
		if err := rows.Scan(&r.num, &author, &r.version); err != nil {
			return nil, x.explain("find who released", err)
		}
		r.author = author.Fingerprint
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		return nil, x.explain("find who released", err)
	}
	return all, nil
}

// maxEndorsements is how many endorsements of a name by keys that the user believes are
// looked at for claimants.
const maxEndorsements = 1000

// addEndorsers fills in who endorsed what the claimants released.
func (x *Index) addEndorsers(ctx context.Context, name records.Name, view *trust.View, by map[records.Fingerprint]*Claimant) error {
	believed := view.Believed()
	if len(believed) == 0 || len(believed) > maxDeciders {
		return nil
	}
	c := &claimed{name: name, authors: believed}
	all, err := x.remarksOf(ctx, c, "endorse")
	if err != nil {
		return err
	}
	withdrawn, late := map[records.Fingerprint]map[cid.Cid]bool{}, x.lateness()
	for _, s := range all[:min(len(all), maxEndorsements)] {
		body, ok := s.Record.Body.(*records.Endorse)
		if !ok || s.Void != "" {
			continue
		}
		if withdrawn[s.Author] == nil {
			if withdrawn[s.Author], err = x.withdrawn(ctx, late, s.Author); err != nil {
				return err
			}
		}
		if withdrawn[s.Author][s.ID] {
			continue
		}
		authors, err := x.authorsOf(ctx, "SELECT author FROM releases WHERE name = ? AND version = ? AND module = ? LIMIT ?",
			[]any{string(name), string(body.Version), body.Module.Bytes(), maxOthers})
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

// introduce returns the first of the claimants with what they say of themselves.
func (x *Index) introduce(ctx context.Context, all []Claimant) ([]Claimant, error) {
	shown := slices.Clone(all[:min(len(all), MaxClaimants)])
	for i := range shown {
		key, err := x.Key(ctx, shown[i].Key)
		if err != nil {
			return nil, err
		}
		if key != nil {
			shown[i].UserID = key.UserID()
		}
	}
	return shown, nil
}
