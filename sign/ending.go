package sign

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/everythingstays/es/sign/internal/openpgp"
)

// An end is the strictest reading of when the primary key ends and whether it signs.
type end struct {
	expires int64
	signs   bool
	uid     *string // whose certification says so, if a block can hold it
}

// strictestEnd reads all statements about the primary key as each program does that
// people use, and takes the earliest end ([S151]): that of the newest direct-key
// signature; and of the newest certifications of each user id and attribute that is
// not revoked, that of the newest one, of the newest one with an end (GnuPG), and
// of the main user id (Sequoia).
func (imp *keyImport) strictestEnd(chosen *string) end {
	strictest := end{expires: math.MaxInt64, signs: true}
	for _, st := range newestStatements(imp.statements, openpgp.RoleDirectKey) {
		strictest.take(st, imp.primary.Version == 6 || st.hasFlags)
	}
	certs := imp.newestCertifications(imp.isPlainlyRevoked)
	last, lastEnd := newestTime(certs), newestTime(withoutEndless(certs))
	mains := imp.mainCertifications()
	// Of two that say the same, the one that stays anyway.
	slices.SortStableFunc(mains, func(a, b statement) int { return trueFirst(a.isOf(chosen), b.isOf(chosen)) })
	for _, st := range mains {
		strictest.take(st, imp.primary.Version == 4 || st.hasFlags)
	}
	for _, st := range certs {
		switch {
		case st.created >= last:
			strictest.take(st, imp.primary.Version == 4 || st.hasFlags)
		case st.created >= lastEnd && st.expires != math.MaxInt64:
			strictest.take(st, false)
		}
	}
	return strictest
}

// withoutEndless leaves out what is about a user id of which one of several statements has no
// end: that may be the one that a program heeds.
func withoutEndless(certs []statement) []statement {
	endless := map[string]bool{}
	for _, st := range certs {
		if st.expires == math.MaxInt64 {
			endless[st.certified] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(certs), func(st statement) bool { return endless[st.certified] })
}

func (st statement) isOf(uid *string) bool { return uid != nil && st.uid != nil && *st.uid == *uid }

// mainCertifications returns the newest certifications of the user id that is the main one, and of
// those that are for a program that heeds weaker signatures than es.
func (imp *keyImport) mainCertifications() (list []statement) {
	notUID := func(st statement) bool { return !st.isUID }
	for _, taken := range []func(statement) bool{imp.isRevoked, imp.isPlainlyRevoked} {
		certs := slices.DeleteFunc(imp.newestCertifications(taken), notUID)
		if len(certs) == 0 { // Sequoia takes one that was revoked if there is no other
			certs = slices.DeleteFunc(newestStatements(imp.statements, openpgp.RoleCertification), notUID)
		}
		if len(certs) == 0 {
			continue
		}
		main := slices.MinFunc(certs, func(a, b statement) int {
			return cmp.Or(trueFirst(a.usable, b.usable), trueFirst(a.plain, b.plain), comparePrimaryUserID(a, b))
		})
		for _, st := range certs {
			if comparePrimaryUserID(st, main) <= 0 || st.certified == main.certified {
				list = append(list, st)
			}
		}
	}
	return list
}

// comparePrimaryUserID is compareUserIDs for statements, whatever the user id is.
func comparePrimaryUserID(a, b statement) int {
	return cmp.Or(trueFirst(a.primaryUID, b.primaryUID), cmp.Compare(b.created, a.created))
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

// newestStatements returns, of the statements in a role about each thing, the newest that es can
// keep and all that is as new or newer: which of those counts depends on the program.
func newestStatements(all []statement, r openpgp.Role) []statement {
	about := func(st statement) string {
		if st.subkey != nil {
			return string(st.subkey.Fingerprint.Bytes())
		}
		return st.certified
	}
	each := map[string][]statement{}
	for _, st := range all {
		if st.role == r {
			each[about(st)] = append(each[about(st)], st)
		}
	}
	last := map[string]uint32{}
	for thing, sameThing := range each {
		last[thing] = newestTime(sameThing)
	}
	var list []statement
	for _, st := range all {
		if st.role == r && st.created >= last[about(st)] {
			list = append(list, st)
		}
	}
	return list
}

// newestTime returns when the newest was made that es can keep; if there is none, that
// some program surely heeds; or 0.
func newestTime(list []statement) (last uint32) {
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

// newestCertifications is newestStatements of certifications that are not revoked.
func (imp *keyImport) newestCertifications(taken func(statement) bool) []statement {
	return slices.DeleteFunc(newestStatements(imp.statements, openpgp.RoleCertification), taken)
}

// isRevoked reports whether what st is about was revoked, in any form, not before st was made.
func (imp *keyImport) isRevoked(st statement) bool {
	at, taken := imp.certRevoked[st.certified]
	return taken && at >= st.created
}

// isPlainlyRevoked reports whether what st is about was revoked later, in a form that every
// program takes.
func (imp *keyImport) isPlainlyRevoked(st statement) bool {
	return imp.certRevokedPlainly[st.certified] > st.created
}

// checkEnds refuses a key whose owner says in the file that it ends, or is not for
// signing, and whose block cannot say so.
func (imp *keyImport) checkEnds(k *Key, primary end) error {
	if k.revocation(nil) != nil {
		return nil
	}
	if at, ok := k.primaryExpiry(); primary.expires != math.MaxInt64 && (!ok || primary.expires < at) {
		return endsLater("the key", primary.expires)
	}
	if !primary.signs && k.primarySigns(math.MaxInt64) {
		return badKey("S151", "has a newer self-signature that takes signing from the key, in a form that es cannot keep: have your OpenPGP program sign the user ids again with SHA-256")
	}
	for _, st := range newestStatements(imp.statements, openpgp.RoleSubkeyBinding) {
		if k.signingSubkey(st.subkey.Fingerprint) == nil || k.revocation(st.subkey) != nil {
			continue
		}
		if at, ok := k.expiry(st.subkey, openpgp.RoleSubkeyBinding); st.expires != math.MaxInt64 && (!ok || st.expires < at) {
			return endsLater("subkey "+st.subkey.Fingerprint.String(), st.expires)
		}
		if !st.signs {
			return badKey("S152", "has a newer binding that takes signing from subkey %s: export the key without that subkey", st.subkey.Fingerprint)
		}
	}
	return nil
}

func endsLater(what string, at int64) error {
	when := "at once"
	if at > 0 {
		when = unixTime(at).Format(time.DateOnly)
	}
	return badKey("S151", "has a self-signature that ends %s (%s) in a form that es cannot keep, such as SHA-1: have your OpenPGP program set the expiry again with SHA-256", what, when)
}

// checkSubkeys refuses a signing subkey that stands in two places: GnuPG reads each with
// its own signatures ([S171]).
func (imp *keyImport) checkSubkeys() error {
	seen := map[string]int{}
	for _, at := range imp.positions {
		if at.subkey != nil {
			seen[string(at.subkey.Fingerprint.Bytes())]++
		}
	}
	for _, e := range imp.elements {
		if e.Role == openpgp.RoleSubkeyBinding && seen[string(e.Subkey.Fingerprint.Bytes())] > 1 {
			return badKey("S171", "has subkey %s twice", e.Subkey.Fingerprint)
		}
	}
	return nil
}

// checkClock refuses a key whose owner speaks from the future ([S172]): programs
// disagree about what such a statement hides.
func (imp *keyImport) checkClock() error {
	at := imp.primary.Created
	for _, st := range imp.statements {
		if !st.unreadable {
			at = max(at, st.created)
		}
	}
	for _, e := range imp.elements {
		if e.IsRevocation() && !e.IsHard() { // a hard one counts at all times
			at = max(at, e.Signature.Created)
		}
	}
	if at > imp.latest {
		return badKey("S172", "is dated %s, which is in the future: is the clock right?", unixTime(int64(at)).Format(time.DateOnly))
	}
	return nil
}

// trueFirst orders true before false.
func trueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
