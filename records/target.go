package records

import "github.com/ipfs/go-cid"

// Target is a tree to be had: what it is called, how large it may be, and which
// record names it. It goes from the decision about a release to the peers that
// are asked. A Size or Files of zero or more must be met exactly, as a signed
// release states them; -1 allows up to MaxModuleSize and MaxFiles.
type Target struct {
	CID   cid.Cid
	Size  int64 // bytes of all files
	Files int64
	// Record, if defined, is the id of the record that names CID: the peers that
	// sent it are asked first (docs/program.md [N40]).
	Record cid.Cid
}

// Unbounded is the target of a tree that nobody has signed for: only the limits
// of the format hold.
func Unbounded(c cid.Cid) Target { return Target{CID: c, Size: -1, Files: -1} }

// Target is exactly what r states; record is r's id, or undefined.
func (r *Release) Target(record cid.Cid) Target {
	return Target{CID: r.Module, Size: r.Size, Files: r.Files, Record: record}
}
