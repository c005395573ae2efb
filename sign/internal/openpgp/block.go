package openpgp

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/everythingstays/es/records"
)

// Limits of key blocks (SPEC.md [S35], [S40] and section 6.5).
const (
	MaxUserID = 256 // bytes
	// signatureRoom is what a signature packet may have beside the numbers of
	// the primary key's signature, and bindingRoom what a binding may besides.
	signatureRoom = 512
	bindingRoom   = 640
	maxSubkey     = 540 // bytes of an RSA-4096 subkey packet, v6
)

// size is what the element costs in a block, when nothing is shared.
func (e *Element) size() int {
	n := len(e.Packet)
	if e.Role == RoleCertification {
		n += len(e.UserID) + 3
	}
	if e.Subkey != nil {
		n += len(e.Subkey.Body) + 3
	}
	return n
}

// MainRole returns the role that holds the properties of a primary key.
func MainRole(primary *PublicKey) Role {
	if primary.Version == 6 {
		return RoleDirectKey
	}
	return RoleCertification
}

// BlockOrder compares elements by their places in a block (SPEC.md [S43]).
func BlockOrder(a, b *Element) int {
	group := func(e *Element) int {
		if e.Subkey != nil {
			return int(RoleSubkeyRevocation)
		}
		return int(e.Role)
	}
	c := cmp.Compare(group(a), group(b))
	if c == 0 && a.Subkey != nil {
		c = cmp.Or(cmp.Compare(a.Subkey.Created, b.Subkey.Created), bytes.Compare(a.Subkey.Body, b.Subkey.Body))
	}
	return cmp.Or(c, cmp.Compare(a.UserID, b.UserID), cmp.Compare(a.Role, b.Role),
		cmp.Compare(a.Signature.Created, b.Signature.Created), bytes.Compare(a.signed, b.signed))
}

// ByPriority compares elements for Limit, what stays longest first: revocations before all else, the hard
// and then the oldest first; then the newest. It compares two elements by
// themselves, so that adding a third never reorders them.
func ByPriority(a, b *Element) int {
	if ar, br := a.IsRevocation(), b.IsRevocation(); ar || br {
		return cmp.Or(trueFirst(ar, br), trueFirst(a.IsHard(), b.IsHard()),
			cmp.Compare(a.Signature.Created, b.Signature.Created), BlockOrder(a, b))
	}
	return cmp.Or(cmp.Compare(b.Signature.Created, a.Signature.Created), BlockOrder(a, b))
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

// restBudget is how many bytes of elements may have been taken for one more to
// be, so that a block never exceeds records.MaxKeyBlock: what is left when the
// primary key, the three elements that always stay and one element more have
// their largest size.
func restBudget(primary *PublicKey) int {
	sig := maxSignaturePacket(primary, RoleDirectKey)
	always := sig + 2*(sig+MaxUserID+3)
	more := maxSignaturePacket(primary, RoleSubkeyBinding) + maxSubkey
	return records.MaxKeyBlock - len(primary.Body) - 3 - always - more
}

// Limit drops what a block has no room for (SPEC.md rule S44). The most severe
// revocation and the newest direct-key signature and certification always stay;
// of all elements by priority, one stays while those before it have at most
// restBudget bytes. For any sets, Limit(Limit(a)+Limit(b)) = Limit(a+b): a
// dropped element is one that enough others stand before, and those stay.
func Limit(primary *PublicKey, all []*Element) []*Element {
	byPriority := slices.SortedFunc(slices.Values(all), ByPriority)
	budget, used := restBudget(primary), 0
	var kept []*Element
	var seen [RoleSubkeyBinding + 1]bool
	for _, e := range byPriority {
		first := !seen[e.Role] && e.Subkey == nil
		seen[e.Role] = true
		if first || used <= budget {
			kept = append(kept, e)
		}
		used += e.size()
	}
	slices.SortFunc(kept, BlockOrder)
	return kept
}

// Union returns elements as one list in block order, without
// duplicates. A binding with two cross-signatures in its unhashed area is one: who
// has the subkey alone can make any number of them, and must not displace others by
// that. The largest stays, so that what has no room never gets any.
func Union(lists ...[]*Element) []*Element {
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b *Element) int {
		return cmp.Or(BlockOrder(a, b), cmp.Compare(len(b.Packet), len(a.Packet)), bytes.Compare(b.Packet, a.Packet))
	})
	return slices.CompactFunc(all, func(a, b *Element) bool { return BlockOrder(a, b) == 0 })
}

// EncodeBlock encodes a key block of elements in block order.
func EncodeBlock(primary *PublicKey, elements []*Element) []byte {
	b := AppendPacket(nil, PacketPublicKey, primary.Body)
	var uid *string
	var subkey *PublicKey
	for _, e := range elements {
		if e.Role == RoleCertification && (uid == nil || *uid != e.UserID) {
			uid = &e.UserID
			b = AppendPacket(b, PacketUserID, []byte(e.UserID))
		}
		if e.Subkey != nil && (subkey == nil || !bytes.Equal(subkey.Body, e.Subkey.Body)) {
			subkey = e.Subkey
			b = AppendPacket(b, PacketPublicSubkey, subkey.Body)
		}
		b = append(b, e.Packet...)
	}
	return b
}

func maxSignaturePacket(primary *PublicKey, r Role) int {
	n := primary.SignatureSize() + signatureRoom
	if r == RoleSubkeyBinding {
		n += bindingRoom
	}
	return n
}
