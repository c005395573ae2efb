package trust

import (
	"cmp"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/records/npmrange"
)

// A Notice is what somebody says about versions of a name, or about one record.
type Notice struct {
	Statement
	Name  records.Name
	Kind  string  // records.Deprecated, records.Yanked or records.Advisory
	Range string  // of versions; or
	About cid.Cid // a record
	Text  string  // "" takes back what the author said of the same before

	Severity, Fixed string // of an advisory; Fixed is a range
	Refs            []string
}

// VersionNotices are the notices about one version that count, of each kind sorted by
// author and then by record.
type VersionNotices struct {
	Deprecated, Yanked, Advisories []Notice
	// Strangers are notices about the version by keys that neither decide nor
	// released it: to be shown as what they are, if at all.
	Strangers []Notice
}

// Notices says which of the notices, by anybody and in any order, are about the
// version of the decision. A range that cannot be read holds no version.
func (r *Ruling) Notices(d Decision, notices []Notice) VersionNotices {
	var a VersionNotices
	authors, releases := d.released()
	for _, n := range newestNotices(r.name, notices) {
		switch {
		case r.evaluator.Denied(n.Author) || n.Text == "" || !n.isAbout(d.Version, releases):
		case !authors[n.Author] && !r.Decides(n.Author):
			a.Strangers = append(a.Strangers, n)
		case n.Kind == records.Deprecated:
			a.Deprecated = append(a.Deprecated, n)
		case n.Kind == records.Yanked:
			a.Yanked = append(a.Yanked, n)
		case n.Kind == records.Advisory:
			a.Advisories = append(a.Advisories, n)
		}
	}
	return a
}

// released returns the releases that the decision is about and whose authors may
// say more of it: of a trusted module only the one of the record that is used,
// since anybody can release what somebody else did.
func (d *Decision) released() (authors map[records.Fingerprint]bool, releases map[cid.Cid]bool) {
	authors, releases = map[records.Fingerprint]bool{}, map[cid.Cid]bool{}
	for _, c := range d.Claims {
		takesPart := c.Invalid == "" && c.Effect != ByDenied && c.Endorse == ""
		if d.State == Trusted {
			takesPart = takesPart && c.Module == d.Module && (c.Effect == Counts || c.Effect == Pinned)
		}
		if takesPart {
			releases[c.Record] = true
			authors[c.Author] = d.State != Trusted || c.Author == d.Signer
		}
	}
	return authors, releases
}

func (n *Notice) isAbout(version records.Version, releases map[cid.Cid]bool) bool {
	if n.Range == "" {
		if !releases[n.About] {
			return false
		}
	} else if !npmrange.Contains(n.Range, version) {
		return false
	}
	return n.Kind != records.Advisory || n.Fixed == "" || !npmrange.Contains(n.Fixed, version)
}

// newestNotices returns of each author's notices about the name, kind and range
// or record the newest, sorted by author and record.
func newestNotices(name records.Name, notices []Notice) []Notice {
	type topic struct {
		author    records.Fingerprint
		kind, rng string
		about     cid.Cid
	}
	newest := map[topic]Notice{}
	for _, n := range notices {
		// A backdated notice that warns or holds back does no harm; one that retracts does.
		if n.Name != name || !n.takesPart() || n.Backdated && n.Text == "" {
			continue
		}
		t := topic{n.Author, n.Kind, n.Range, n.About}
		if old, ok := newest[t]; !ok || n.compareNewest(&old.Statement) > 0 {
			newest[t] = n
		}
	}
	list := make([]Notice, 0, len(newest))
	for _, n := range newest {
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b Notice) int {
		return cmp.Or(a.Author.Compare(b.Author), cmp.Compare(a.Record.KeyString(), b.Record.KeyString()))
	})
	return list
}
