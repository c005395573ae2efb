package sign

import (
	"bytes"

	"github.com/everythingstays/es/sign/internal/openpgp"
)

// maxMisplaced is how many pairs of a signature and what it may be about are tried, for
// signatures that do not stand behind what they are about.
const maxMisplaced = 10_000

// noteMisplaced keeps a signature that is not about what it stands behind.
func (imp *keyImport) noteMisplaced(body []byte) { imp.misplaced = append(imp.misplaced, body) }

// resolveMisplaced finds what the signatures are about that stand elsewhere ([S171]): Sequoia
// takes them. A block has only what they say against the key.
func (imp *keyImport) resolveMisplaced() error {
	if len(imp.misplaced)*len(imp.positions) > maxMisplaced {
		return badKey("S171", "has %d signatures that are not about what they stand behind, too many to look for what they are about", len(imp.misplaced))
	}
	for _, body := range imp.misplaced {
		for _, at := range imp.positions {
			imp.tryMisplacedAt(body, at)
		}
	}
	return nil
}

func (imp *keyImport) tryMisplacedAt(body []byte, at position) {
	kind := openpgp.SignatureType(body)
	if kind == openpgp.SignatureCertRevocation && at.certified != nil {
		if made, when, _ := imp.revocationAuthor(body, imp.primary.Hashed(), at.certified); made == ownerMade {
			imp.noteCertRevocation(string(at.certified), nil, when)
		}
		return
	}
	st, data, ok := imp.newStatement(kind, at)
	if !ok || st.role == openpgp.RoleDirectKey {
		return
	}
	s, err := openpgp.ParseSignature(body)
	if err != nil {
		s = nil
	}
	if s != nil {
		// The tag is looked at first: to hash is cheap.
		if h, ok := openpgp.AnyHash(s.Hash); !ok || !bytes.Equal(s.Digest(h, data...)[:2], s.HashTag) {
			return
		}
	}
	if imp.authorshipOf(body, s, data) != ownerMade {
		return
	}
	imp.noteStatementAt(st, body, s, false)
}
