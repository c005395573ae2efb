package sign

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"time"
)

// An end is the strictest reading of when the primary key ends and whether it signs.
type end struct {
	expires int64
	signs   bool
	uid     *string // whose certification says so, if a block can hold it
}

// ending reads all that the owner said of the primary key as each program does that
// people use, and takes the earliest end ([S151]): that of the newest direct-key
// signature; and of the newest certifications of each user id and attribute that is
// not taken back, that of the newest one, of the newest one with an end (GnuPG), and
// of the main user id (Sequoia).
func (imp *imported) ending(chosen *string) end {
	strictest := end{expires: math.MaxInt64, signs: true}
	for _, st := range newest(imp.said, roleDirect) {
		strictest.take(st, imp.primary.version == 6 || st.hasFlags)
	}
	certs := imp.heeded(imp.isRelieved)
	last, lastEnd := newestOf(certs), newestOf(allWithEnd(certs))
	mains := imp.mains()
	// Of two that say the same, the one that stays anyway.
	slices.SortStableFunc(mains, func(a, b statement) int { return compareBool(a.isOf(chosen), b.isOf(chosen)) })
	for _, st := range mains {
		strictest.take(st, imp.primary.version == 4 || st.hasFlags)
	}
	for _, st := range certs {
		switch {
		case st.created >= last:
			strictest.take(st, imp.primary.version == 4 || st.hasFlags)
		case st.created >= lastEnd && st.expires != math.MaxInt64:
			strictest.take(st, false)
		}
	}
	return strictest
}

// allWithEnd leaves out what is about a user id of which one of several statements has no
// end: that may be the one that a program heeds.
func allWithEnd(certs []statement) []statement {
	endless := map[string]bool{}
	for _, st := range certs {
		if st.expires == math.MaxInt64 {
			endless[st.certified] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(certs), func(st statement) bool { return endless[st.certified] })
}

func (st statement) isOf(uid *string) bool { return uid != nil && st.uid != nil && *st.uid == *uid }

// mains returns the newest certifications of the user id that is the main one, and of
// those that are for a program that heeds weaker signatures than es.
func (imp *imported) mains() (list []statement) {
	notUID := func(st statement) bool { return !st.isUID }
	for _, taken := range []func(statement) bool{imp.isTakenBack, imp.isRelieved} {
		certs := slices.DeleteFunc(imp.heeded(taken), notUID)
		if len(certs) == 0 { // Sequoia heeds one that was taken back if there is no other
			certs = slices.DeleteFunc(newest(imp.said, roleCert), notUID)
		}
		if len(certs) == 0 {
			continue
		}
		main := slices.MinFunc(certs, func(a, b statement) int {
			return cmp.Or(compareBool(a.usable, b.usable), compareBool(a.plain, b.plain), preferStatement(a, b))
		})
		for _, st := range certs {
			if preferStatement(st, main) <= 0 || st.certified == main.certified {
				list = append(list, st)
			}
		}
	}
	return list
}

// preferStatement is preferUID for statements, whatever the user id is.
func preferStatement(a, b statement) int {
	return cmp.Or(compareBool(a.primaryUID, b.primaryUID), cmp.Compare(b.created, a.created))
}

// take makes the end stricter by a statement, whose word on signing counts if flags.
func (e *end) take(st statement, flags bool) {
	if st.expires < e.expires {
		e.expires, e.uid = st.expires, st.uid
	}
	if flags && !st.signs {
		e.signs = false
		if e.uid == nil {
			e.uid = st.uid
		}
	}
}

// newest returns, of what was said in a role about each thing, the newest that es can
// keep and all that is as new or newer: which of those counts depends on the program.
func newest(said []statement, r role) []statement {
	about := func(st statement) string {
		if st.subkey != nil {
			return string(st.subkey.fpr.Bytes())
		}
		return st.certified
	}
	each := map[string][]statement{}
	for _, st := range said {
		if st.role == r {
			each[about(st)] = append(each[about(st)], st)
		}
	}
	last := map[string]uint32{}
	for thing, sayings := range each {
		last[thing] = newestOf(sayings)
	}
	var list []statement
	for _, st := range said {
		if st.role == r && st.created >= last[about(st)] {
			list = append(list, st)
		}
	}
	return list
}

// newestOf returns when the newest was made that es can keep; if there is none, that
// some program surely heeds; or 0.
func newestOf(list []statement) (last uint32) {
	for _, heeds := range []func(statement) bool{func(st statement) bool { return st.usable }, func(st statement) bool { return st.plain }} {
		for _, st := range list {
			if heeds(st) {
				last = max(last, st.created)
			}
		}
		if last > 0 {
			break
		}
	}
	return last
}

// heeded is newest of certifications, without what is taken back.
func (imp *imported) heeded(taken func(statement) bool) []statement {
	return slices.DeleteFunc(newest(imp.said, roleCert), taken)
}

// isTakenBack reports whether the owner took back what st is about, in any form and
// in the same second at the earliest.
func (imp *imported) isTakenBack(st statement) bool {
	at, taken := imp.takenBack[st.certified]
	return taken && at >= st.created
}

// isRelieved reports whether every program heeds that the owner took it back.
func (imp *imported) isRelieved(st statement) bool { return imp.relieved[st.certified] > st.created }

// checkEnds refuses a key whose owner says in the file that it ends, or is not for
// signing, and whose block cannot say so.
func (imp *imported) checkEnds(k *Key, primary end) error {
	if k.revocation(nil) != nil {
		return nil
	}
	if at, ok := k.primaryExpiry(); primary.expires != math.MaxInt64 && (!ok || primary.expires < at) {
		return tooGood("the key", primary.expires)
	}
	if !primary.signs && k.primarySigns(math.MaxInt64) {
		return badKey("S151", "has a newer self-signature that takes signing from the key, in a form that es cannot keep: have your OpenPGP program sign the user ids again with SHA-256")
	}
	for _, st := range newest(imp.said, roleBinding) {
		if k.signingSubkey(st.subkey.fpr) == nil || k.revocation(st.subkey) != nil {
			continue
		}
		if at, ok := k.expiry(st.subkey, roleBinding); st.expires != math.MaxInt64 && (!ok || st.expires < at) {
			return tooGood("subkey "+st.subkey.fpr.String(), st.expires)
		}
		if !st.signs {
			return badKey("S152", "has a newer binding that takes signing from subkey %s: export the key without that subkey", st.subkey.fpr)
		}
	}
	return nil
}

func tooGood(what string, at int64) error {
	when := "at once"
	if at > 0 {
		when = unixTime(at).Format(time.DateOnly)
	}
	return badKey("S151", "has a self-signature that ends %s (%s) in a form that es cannot keep, such as SHA-1: have your OpenPGP program set the expiry again with SHA-256", what, when)
}

// maxAstray is how many pairs of a signature and what it may be about are tried, for
// signatures that do not stand behind what they are about.
const maxAstray = 10_000

// strayed keeps a signature that is not about what it stands behind.
func (imp *imported) strayed(body []byte) { imp.astray = append(imp.astray, body) }

// place finds what the signatures are about that stand elsewhere ([S171]): Sequoia
// heeds them. A block takes only what they say against the key.
func (imp *imported) place() error {
	if len(imp.astray)*len(imp.places) > maxAstray {
		return badKey("S171", "has %d signatures that are not about what they stand behind, too many to look for what they are about", len(imp.astray))
	}
	for _, body := range imp.astray {
		for _, at := range imp.places {
			imp.tryAt(body, at)
		}
	}
	return nil
}

func (imp *imported) tryAt(body []byte, at place) {
	kind := signatureKind(body)
	if kind == sigCertRevocation && at.certified != nil {
		if made, when, _ := imp.whoRevoked(body, imp.primary.hashed(), at.certified); made == ownerMade {
			imp.takenBackAt(string(at.certified), nil, when)
		}
		return
	}
	st, data, ok := imp.about(kind, at)
	if !ok || st.role == roleDirect {
		return
	}
	s, err := parseSignature(body)
	if err != nil {
		s = nil
	}
	if s != nil {
		// The tag is looked at first: to hash is cheap.
		if h, ok := anyHash(s.hash); !ok || !bytes.Equal(s.digest(h, data...)[:2], s.tag) {
			return
		}
	}
	if imp.madeByOwner(body, s, data) != ownerMade {
		return
	}
	imp.noteAt(st, body, s, false)
}

// checkSubkeys refuses a signing subkey that stands in two places: GnuPG reads each with
// its own signatures ([S171]).
func (imp *imported) checkSubkeys() error {
	seen := map[string]int{}
	for _, at := range imp.places {
		if at.subkey != nil {
			seen[string(at.subkey.fpr.Bytes())]++
		}
	}
	for _, e := range imp.elements {
		if e.role == roleBinding && seen[string(e.subkey.fpr.Bytes())] > 1 {
			return badKey("S171", "has subkey %s twice", e.subkey.fpr)
		}
	}
	return nil
}

// checkClock refuses a key whose owner speaks from the future ([S172]): programs
// disagree about what such a statement hides.
func (imp *imported) checkClock() error {
	at := imp.primary.created
	for _, st := range imp.said {
		if !st.unreadable {
			at = max(at, st.created)
		}
	}
	for _, e := range imp.elements {
		if e.isRevocation() && !e.hard() { // a hard one counts at all times
			at = max(at, e.sig.created)
		}
	}
	if at > imp.last {
		return badKey("S172", "is dated %s, which is in the future: is the clock right?", unixTime(int64(at)).Format(time.DateOnly))
	}
	return nil
}
