package index

import (
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// A Source says where a record came from.
type Source struct {
	// Own marks a record that was made here. It is on the disk before Add
	// returns, and waits in the outbox until Announced names it.
	Own bool
	// Stranger marks a record whose author nobody here trusts. All that strangers
	// say is bounded (see LimitStrangers). It means nothing beside Own.
	Stranger bool
	// Peer is the id of the peer that sent the record, as text; it may have the
	// module too. Empty when unknown.
	Peer string
	// At is when the record arrived; the zero value stands for the present.
	At time.Time
}

// An Item is one record to add, with a key block of its author.
type Item struct {
	Verified sign.Verified
	Key      *sign.Key
	Source   Source
}

// Outcome is what became of a record that was offered.
type Outcome int

const (
	Refused      Outcome = iota // not stored, see the error
	Known                       // stored before
	Stored                      // new
	Equivocation                // new, and the first proof that its author named two modules as one version: spread both
	Frozen                      // new, about a version that was frozen by such a proof before: do not spread
)

// A Result is the outcome for one item of AddAll. Err is set when Outcome is
// Refused, and is a *sign.KeyError, a *ReleasedError or an *EquivocationError.
type Result struct {
	Outcome Outcome
	Err     error
}

// Meta is what the index knows of any record.
type Meta struct {
	ID        cid.Cid
	Author    records.Fingerprint
	Seq       int64
	Time      time.Time // as the record says
	SignedAt  time.Time // as the signature says
	FirstSeen time.Time // by this node's clock, to the millisecond
	Order     int64     // counts up by arrival in this index; no clock changes it
	Own       bool
	Peer      string // who sent it first, as text; may be empty
	// Invalid says why the signature does not count under what is known of the
	// author's key by now; "" when it counts.
	Invalid string
}

// A Statement is any record.
type Statement struct {
	Meta
	Record *records.Record
}

// A Release is a release record.
type Release struct {
	Meta
	Body *records.Release
}

// A Tag is a tag record.
type Tag struct {
	Meta
	Body *records.Tag
}

// A Notice is a notice record.
type Notice struct {
	Meta
	Body *records.Notice
}

// An Endorsement is an endorse record.
type Endorsement struct {
	Meta
	Body *records.Endorse
}

// SignedRecord is a record as it travels: its envelope, and its author's key block.
type SignedRecord struct {
	ID       cid.Cid
	Author   records.Fingerprint
	Envelope []byte
	Key      []byte
}

// A Proof shows that one author named different modules as one version: two or
// more release records with a different module each.
type Proof struct {
	Author  records.Fingerprint
	Name    records.Name
	Version records.Version
	Records []SignedRecord // sorted by record id
}

// Counts says how much an index holds.
type Counts struct {
	Authors  int64 // who signed at least one of the records
	Keys     int64
	Records  int64
	Releases int64
	Names    int64
	Pending  int64 // own records that nobody was told of yet

	Strangers     int64 // records that count towards the limit of strangers
	StrangerBytes int64 // what they have, with the key blocks that are there for their sake
}
