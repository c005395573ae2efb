package ingest

import (
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// maxBlocks is how many key blocks of one author a session may bring. A set has one,
// and another when it changes meanwhile; each that brings news has all records of
// the author looked at again.
const maxBlocks = 4

// MaxAnnounced is how many records a session may bring that are announced to others:
// when it is few, they may have missed them too. When it is more, all are pulling.
const MaxAnnounced = 32

// A Session is what this node asks one peer, or reads from one file (docs/program.md [N42]):
// the batches of a session bring the key block of an author before their records. The
// zero value is one that has brought nothing.
type Session struct {
	mu sync.Mutex
	// The last key block of an author with no record here: the author's records come
	// next, and until then it is not worth keeping.
	pendingKey *sign.Key
	// How many key blocks came of the author whose items come now.
	author   records.Fingerprint
	blocks   int
	announce []cid.Cid // at most one more than MaxAnnounced
}

// Announce returns the records of the session that others may have missed.
func (s *Session) Announce() []cid.Cid {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.announce) > MaxAnnounced {
		return nil
	}
	return s.announce
}

// withinKeyLimit counts one more key block of an author, and reports whether it is
// looked at.
func (s *Session) withinKeyLimit(author records.Fingerprint) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.author != author {
		s.author, s.blocks = author, 0
	}
	s.blocks++
	return s.blocks <= maxBlocks
}

func (s *Session) setPendingKey(key *sign.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pendingKey = key
}

// pendingKeyOf returns the key that waits for its author's records, or nil.
func (s *Session) pendingKeyOf(author records.Fingerprint) *sign.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pendingKey == nil || s.pendingKey.Fingerprint() != author {
		return nil
	}
	return s.pendingKey
}

// addAnnounced adds a record that is worth announcing if charge, which is asked only
// while that may matter, lets it.
func (s *Session) addAnnounced(id cid.Cid, charge func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.announce) <= MaxAnnounced && charge() {
		s.announce = append(s.announce, id)
	}
}
