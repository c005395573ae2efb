package api

import (
	"slices"
	"time"

	"github.com/everythingstays/es/records"
)

// Holders says who has a module besides this home.
type Holders struct {
	Asked int `json:"asked"` // connected es nodes that could be asked
	Have  int `json:"have"`  // of them, by their own word, have all of it
	// Idle is how long ago this node last sent a block or a record to anybody.
	Idle time.Duration `json:"idle"`
}

// SyncOptions say what Sync asks for.
type SyncOptions struct {
	All bool `json:"all"` // strangers' records too, as far as they are kept
	// Authors, if any, are whose records are asked for, and nobody else's.
	Authors []records.Fingerprint `json:"authors,omitempty"`
	// Search has a node for one command look for somebody when nobody is connected.
	Search bool `json:"search,omitempty"`
}

// Synced is what Sync has brought.
type Synced struct {
	Peers    int   `json:"peers"`    // that answered
	Failed   int   `json:"failed"`   // that did not
	Refusing int   `json:"refusing"` // that accept no more connections from this address
	Records  int64 `json:"records"`  // new here
	Keys     int64 `json:"keys"`     // key blocks that brought news
	Refused  int64 `json:"refused"`  // records and key blocks that were not kept
	Bytes    int64 `json:"bytes"`    // received
	Complete bool  `json:"complete"` // none of these peers has more that this node asks for
}

// An Agreement is how a peer's records of an author compare with those here.
type Agreement string

const (
	SameRecords Agreement = "same"
	MoreThere   Agreement = "more" // the peer has more than this node
	MoreHere    Agreement = "less"
	Differ      Agreement = "differs"
)

// An Answer is what a peer says to a survey.
type Answer struct {
	Peer    string                            `json:"peer"`
	Offset  time.Duration                     `json:"offset"` // how far its clock is ahead, in ns
	Authors map[records.Fingerprint]Agreement `json:"authors"`
}

// MedianOffset returns how far the peers' clocks are ahead of this one, and how
// many there are.
func MedianOffset(answers []Answer) (time.Duration, int) {
	var all []time.Duration
	for _, a := range answers {
		all = append(all, a.Offset)
	}
	slices.Sort(all)
	if len(all) == 0 {
		return 0, 0
	}
	return all[len(all)/2], len(all)
}

// CompareAuthor counts the peers that have the same records of an author as this node,
// and those that have some that are not here.
func CompareAuthor(author records.Fingerprint, answers []Answer) (same, more int) {
	for _, peer := range answers {
		switch peer.Authors[author] {
		case SameRecords:
			same++
		case MoreThere, Differ:
			more++
		}
	}
	return same, more
}
