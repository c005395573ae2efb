package sign

import (
	"bytes"
	"slices"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign/internal/openpgp"
)

// BlockAuthor returns the fingerprint of the primary key that a key block begins
// with, without verifying anything.
func BlockAuthor(block []byte) (records.Fingerprint, bool) {
	p, _, err := openpgp.NextPacket(block)
	if err != nil || p.Type != openpgp.PacketPublicKey {
		return records.Fingerprint{}, false
	}
	primary, err := openpgp.ParsePublicKey(p.Body)
	if err != nil {
		return records.Fingerprint{}, false
	}
	return primary.Fingerprint, true
}

// Revocations returns the revocation signatures of a key block, packets that
// nobody has verified. It costs little to ask.
func Revocations(block []byte) (packets [][]byte) {
	for rest := block; len(rest) > 0; {
		p, after, err := openpgp.NextPacket(rest)
		if err != nil {
			return packets
		}
		if p.Type == openpgp.PacketSignature && len(p.Body) > 1 && (p.Body[1] == openpgp.SignatureKeyRevocation || p.Body[1] == openpgp.SignatureSubkeyRevocation) {
			packets = append(packets, rest[:len(rest)-len(after)])
		}
		rest = after
	}
	return packets
}

// HasPackets reports whether all the packets are in the block of k.
func (k *Key) HasPackets(packets [][]byte) bool {
	return !slices.ContainsFunc(packets, func(p []byte) bool { return !bytes.Contains(k.block, p) })
}

// AddsRevocation reports whether k revokes what before, which is the same key, does
// not: the primary key or a subkey, or by a hard revocation where before has a
// soft one. A key can do so only a few times.
func (k *Key) AddsRevocation(before *Key) bool {
	worse := func(subkey *openpgp.PublicKey) bool {
		now, was := k.revocation(subkey), before.revocation(subkey)
		return now != nil && (was == nil || now.IsHard() && !was.IsHard())
	}
	if worse(nil) {
		return true
	}
	for _, e := range k.elements {
		if e.Role == openpgp.RoleSubkeyRevocation && worse(e.Subkey) {
			return true
		}
	}
	return false
}
