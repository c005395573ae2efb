package resolve

import (
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
)

// Info is what is said about one name.
type Info struct {
	Name     records.Name
	Versions []VersionInfo   // first those that are decided about, each newest first with pre-releases last
	Latest   records.Version // what Resolve chooses without a constraint; "" when nothing is trusted
	// Tags, Notices and Endorsements are each author's newest, of those who decide first.
	Tags         []index.Tag
	Notices      []index.Notice
	Endorsements []index.Endorsement
	// Claimants are who released versions, those that decide too, at most MaxClaimants of
	// Keys.
	Claimants []Claimant
	Keys      int
	Omitted   Omitted
}

// Omitted counts what an Info leaves out.
type Omitted struct {
	Decided int // versions that are decided about
	Claims  int // releases by keys that do not decide
	Keys    int // that such releases are by, and none of whose is shown
	Other   int // tags, notices and endorsements by keys that do not decide
}

// VersionInfo is what is said about one version.
type VersionInfo struct {
	Version  records.Version
	Decision trust.Decision
	Releases []index.Release
	Notices  trust.VersionNotices // about the version
}

// A Resolution is the answer to Resolve. Of a large name, its
// decisions and notices leave out what those say who do not decide: Resolver.DecideWithNotices has it.
type Resolution struct {
	Version  records.Version
	Release  index.Release
	Decision trust.Decision // its State is trust.Trusted
	// Skipped are decisions about newer versions that the constraint takes and
	// that were passed over: in conflict, frozen, held or yanked.
	Skipped []Skipped
	// Notices are those about the version that count.
	Notices trust.VersionNotices
}

// Skipped is a version that resolution passed over.
type Skipped struct {
	Version  records.Version
	Decision trust.Decision
	Yanked   []trust.Notice // why, when its state is trusted and it is not held
}
