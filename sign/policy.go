package sign

import (
	"slices"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
)

// check says whether the key named by signer could sign for this author at t, in
// Unix seconds. The error is a *KeyError. It depends on the block alone.
func (k *Key) check(signer records.Fingerprint, t int64) error {
	if err := checkRevoked(k.primary.Fingerprint, k.revocation(nil), t, "S21", "S22"); err != nil {
		return err
	}
	if at, ok := k.primaryExpiry(); ok && t >= at {
		return &KeyError{Fingerprint: k.primary.Fingerprint, Problem: Expired, Since: unixTime(at), Rule: "S23"}
	}
	if signer == k.primary.Fingerprint {
		if !k.primarySigns(t) {
			return &KeyError{Fingerprint: signer, Problem: NotForSigning, Rule: "S24"}
		}
		return nil
	}
	return k.checkSubkey(signer, t)
}

func (k *Key) checkSubkey(signer records.Fingerprint, t int64) error {
	subkey := k.signingSubkey(signer)
	if subkey == nil {
		return &KeyError{Fingerprint: signer, Problem: MissingSubkey, Rule: "S25"}
	}
	if err := checkRevoked(signer, k.revocation(subkey), t, "S26", "S26"); err != nil {
		return err
	}
	if at, ok := k.expiry(subkey, openpgp.RoleSubkeyBinding); ok && t >= at {
		return &KeyError{Fingerprint: signer, Problem: Expired, Since: unixTime(at), Rule: "S27"}
	}
	return nil
}

func checkRevoked(f records.Fingerprint, e *openpgp.Element, t int64, hardRule, softRule string) error {
	switch {
	case e == nil:
		return nil
	case e.IsHard():
		return &KeyError{Fingerprint: f, Problem: Revoked, Since: unixTime(int64(e.Signature.Created)), Rule: hardRule}
	case t >= int64(e.Signature.Created):
		return &KeyError{Fingerprint: f, Problem: Revoked, Since: unixTime(int64(e.Signature.Created)), Rule: softRule}
	}
	return nil
}

// signingSubkey finds a subkey that the owner has bound for signing.
func (k *Key) signingSubkey(f records.Fingerprint) *openpgp.PublicKey {
	for _, e := range k.elements {
		if e.Role == openpgp.RoleSubkeyBinding && e.Subkey.Fingerprint == f {
			return e.Subkey
		}
	}
	return nil
}

// primaryExpiry returns the first second at which the primary key is expired:
// by the newest certification or the newest direct-key signature, whichever is
// earlier.
func (k *Key) primaryExpiry() (int64, bool) {
	at, ok := k.expiry(k.primary, openpgp.RoleDirectKey)
	if cert, has := k.expiry(k.primary, openpgp.RoleCertification); has && (!ok || cert < at) {
		return cert, true
	}
	return at, ok
}

// expiry is what the newest element of a role says about when of expires. Of
// several equally new ones, the earliest expiry counts.
func (k *Key) expiry(of *openpgp.PublicKey, r openpgp.Role) (at int64, ok bool) {
	newest := int64(-1)
	for _, e := range k.elements {
		if e.Role != r || e.Subkey != nil && e.Subkey.Fingerprint != of.Fingerprint {
			continue
		}
		t := int64(e.Signature.Created)
		if t < newest {
			continue
		}
		if t > newest {
			newest, at, ok = t, 0, false
		}
		if l := int64(e.Signature.KeyLifetime); l != 0 && (!ok || int64(of.Created)+l < at) {
			at, ok = int64(of.Created)+l, true
		}
	}
	return at, ok
}

// primarySigns reports whether the primary key was meant for signing at t: the
// newest self-signature of that time says so, or the oldest there is. A block
// may have lost those before it, and must not lose the author's records by it.
func (k *Key) primarySigns(t int64) bool {
	main := openpgp.MainRole(k.primary)
	var times []int64
	for _, e := range k.elements {
		if e.Role == main {
			times = append(times, int64(e.Signature.Created))
		}
	}
	slices.Sort(times)
	at := times[0]
	for _, c := range times {
		if c <= t {
			at = c
		}
	}
	for _, e := range k.elements {
		if e.Role == main && int64(e.Signature.Created) == at && e.Signature.Flags&openpgp.FlagSign == 0 {
			return false
		}
	}
	return true
}

// Ends returns when each of the keys that may sign ended, by fingerprint: its soft
// revocation or its expiry, whichever is earlier. From then on it signs nothing, and
// what it signed before counts (SPEC.md section 6.3). A subkey ends with its primary
// key. Keys without an end are left out; an end may be in the future.
func (k *Key) Ends() map[records.Fingerprint]time.Time {
	ends := map[records.Fingerprint]time.Time{}
	note := func(f records.Fingerprint, at int64) {
		if end, ok := ends[f]; !ok || unixTime(at).Before(end) {
			ends[f] = unixTime(at)
		}
	}
	if e := k.revocation(nil); e != nil && !e.IsHard() {
		note(k.primary.Fingerprint, int64(e.Signature.Created))
	}
	if at, ok := k.primaryExpiry(); ok {
		note(k.primary.Fingerprint, at)
	}
	for _, b := range k.elements {
		if b.Role != openpgp.RoleSubkeyBinding {
			continue
		}
		f := b.Subkey.Fingerprint
		if end, ok := ends[k.primary.Fingerprint]; ok {
			note(f, end.Unix())
		}
		if e := k.revocation(b.Subkey); e != nil && !e.IsHard() {
			note(f, int64(e.Signature.Created))
		}
		if at, ok := k.expiry(b.Subkey, openpgp.RoleSubkeyBinding); ok {
			note(f, at)
		}
	}
	return ends
}

// byFingerprint finds the primary key or a signing subkey.
func (k *Key) byFingerprint(f records.Fingerprint) *openpgp.PublicKey {
	if f == k.primary.Fingerprint {
		return k.primary
	}
	return k.signingSubkey(f)
}

// CanSign reports whether any key of the block could sign for the author at the
// time, whoever has its secret.
func (k *Key) CanSign(at time.Time) bool {
	_, err := k.signerAt(at.Unix(), func(records.Fingerprint) bool { return true })
	return err == nil
}
