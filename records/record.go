package records

import (
	"maps"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime/datamodel"
)

// A Record is one statement by one author (SPEC.md section 4).
type Record struct {
	Author Fingerprint
	Seq    int64     // 0 without Prev, else 1 + the highest Seq among Prev
	Prev   []cid.Cid // the author's earlier records that this one follows, sorted
	Time   int64     // Unix seconds
	Body   Body
}

// A Body says what a record is about. It is one of *Release, *Tag, *Notice,
// *Endorse, *Delegate, *Successor and *Heartbeat.
type Body interface {
	// Kind returns the body's key in the keyed union: "release", "tag", ...
	Kind() string

	encode(datamodel.MapAssembler)
	// check holds the body of r against every rule that its bytes alone decide.
	check(path string, r *Record) error
}

// kinds are the bodies that there are, by their kinds.
var kinds = map[string]struct {
	zero func() Body
	read func(*mapReader) Body
}{
	"release":   {func() Body { return &Release{} }, readRelease},
	"tag":       {func() Body { return &Tag{} }, readTag},
	"notice":    {func() Body { return &Notice{} }, readNotice},
	"endorse":   {func() Body { return &Endorse{} }, readEndorse},
	"delegate":  {func() Body { return &Delegate{} }, readDelegate},
	"successor": {func() Body { return &Successor{} }, readSuccessor},
	"heartbeat": {func() Body { return &Heartbeat{} }, readHeartbeat},
}

// Bodies returns an empty body of each kind, by kind. Whoever does something else for
// each kind tests with it that none is left out.
func Bodies() []Body {
	var all []Body
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		all = append(all, kinds[kind].zero())
	}
	return all
}

// Context returns the value of the notation that a signature over a record with
// this body carries (SPEC.md section 6.2): "es/1/release" and so on.
func Context(b Body) string { return "es/1/" + b.Kind() }
