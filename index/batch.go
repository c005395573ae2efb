package index

import (
	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/index/internal/texts"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// A batch is a write transaction.
type batch struct {
	*db.Tx
	x           *Index
	limit       StrangersLimit
	keys        map[records.Fingerprint]*sign.Key    // as stored by now
	charged     map[records.Fingerprint]int64        // of those, the bytes counted as a stranger's
	changed     map[records.Fingerprint]bool         // keys that were known differently before
	precomputed map[records.Fingerprint]*precomputed // may be nil
	set         map[records.Element]bool             // elements to put in (true) or take out at the end
	merged      []records.Element                    // key blocks that say nothing beyond what is stored
	records     int64                                // by how many the strangers' records change
	bytes       int64                                // and their bytes
	texts       *texts.Writer
	used        int64 // the last use of a stranger's record, once it is asked for
}

func newBatch(x *Index, tx *db.Tx) *batch {
	return &batch{
		Tx:      tx,
		x:       x,
		limit:   x.strangersLimit(),
		keys:    map[records.Fingerprint]*sign.Key{},
		charged: map[records.Fingerprint]int64{},
		changed: map[records.Fingerprint]bool{},
		set:     map[records.Element]bool{},
		texts:   texts.NewWriter(tx),
	}
}
