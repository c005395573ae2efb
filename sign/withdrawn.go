package sign

import (
	"bytes"
	"slices"

	"github.com/everythingstays/es/records"
)

// BlockAuthor returns the fingerprint of the primary key that a key block begins
// with, without verifying anything.
func BlockAuthor(block []byte) (records.Fingerprint, bool) {
	p, _, err := nextPacket(block)
	if err != nil || p.kind != packetPublicKey {
		return records.Fingerprint{}, false
	}
	primary, err := parsePublicKey(p.body)
	if err != nil {
		return records.Fingerprint{}, false
	}
	return primary.fpr, true
}

// Revocations returns the revocation signatures of a key block, packets that
// nobody has verified. It costs little to ask.
func Revocations(block []byte) (packets [][]byte) {
	for rest := block; len(rest) > 0; {
		p, after, err := nextPacket(rest)
		if err != nil {
			return packets
		}
		if p.kind == packetSignature && len(p.body) > 1 && (p.body[1] == sigKeyRevocation || p.body[1] == sigSubRevocation) {
			packets = append(packets, rest[:len(rest)-len(after)])
		}
		rest = after
	}
	return packets
}

// Holds reports whether all the packets are in the block of k.
func (k *Key) Holds(packets [][]byte) bool {
	return !slices.ContainsFunc(packets, func(p []byte) bool { return !bytes.Contains(k.block, p) })
}

// Withdraws reports whether k revokes what before, which is the same key, does
// not: the primary key or a subkey, or by a hard revocation where before has a
// soft one. A key can do so only a few times.
func (k *Key) Withdraws(before *Key) bool {
	worse := func(subkey *publicKey) bool {
		now, was := k.revocation(subkey), before.revocation(subkey)
		return now != nil && (was == nil || now.hard() && !was.hard())
	}
	if worse(nil) {
		return true
	}
	for _, e := range k.elements {
		if e.role == roleSubRevocation && worse(e.subkey) {
			return true
		}
	}
	return false
}
