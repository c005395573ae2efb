package install

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/records"
	"github.com/ipfs/go-cid"
)

// Records are the records that were verified on this machine. What es-lock.json says of
// a signature is only what somebody wrote there (SPEC.md [I133]).
type Records interface {
	// Release returns the release whose record has this id. known is false for a
	// record that is not here; a known record that is no release has a nil Release.
	Release(ctx context.Context, record cid.Cid) (r *Resolution, known bool, err error)
}

// Standing says what is known here of the signature that es-lock.json claims.
type Standing int

const (
	Unsigned     Standing = iota // nothing is claimed: the module was asked for by its CID
	Unknown                      // the record is not here
	Signed                       // the record is here, verified, and names this very package
	Invalid                      // as Signed, by a key that does not count any more
	Contradicted                 // the record is here, and says something else
)

// A Signature is what is known here of a package's record.
type Signature struct {
	Standing Standing
	Why      string // of Invalid and Contradicted; untrusted
}

// A SignatureError says that es-lock.json claims of a record what the record does not
// say. It comes in an *IntegrityError.
type SignatureError struct {
	Record cid.Cid
	Reason string
}

func (e *SignatureError) Error() string {
	return fmt.Sprintf("es-lock.json says that it is what record %s signs, and that record %s", e.Record, e.Reason)
}

// SignatureOf compares p with its record.
func SignatureOf(ctx context.Context, p *Package, known Records) (Signature, error) {
	if !p.Record.Defined() {
		return Signature{}, nil
	}
	if known == nil {
		return Signature{Standing: Unknown}, nil
	}
	r, here, err := known.Release(ctx, p.Record)
	switch {
	case err != nil:
		return Signature{}, fmt.Errorf("look up record %s: %w", p.Record, err)
	case !here:
		return Signature{Standing: Unknown}, nil
	case r == nil:
		return Signature{Contradicted, "is no release"}, nil
	}
	signer, knownSigner := signerOf(r, p)
	if why := contradicts(r, p, signer); why != "" {
		return Signature{Contradicted, why}, nil
	}
	if !knownSigner {
		return Signature{Unknown, "is of an import, and the registry's key that es-lock.json names is not known here"}, nil
	}
	if r.Invalid != "" {
		return Signature{Invalid, r.Invalid}, nil
	}
	return Signature{Standing: Signed}, nil
}

// signerOf returns who may stand in a lockfile as the signer of r, and whether it is known
// here that they vouch for it. Of an import that is, besides its author, a registry's key,
// which the trust file of who wrote the lockfile has.
func signerOf(r *Resolution, p *Package) (signer records.Fingerprint, known bool) {
	switch {
	case p.Signer == r.Signer || r.Origin == nil:
		return r.Signer, true
	case slices.Contains(r.Registries, p.Signer):
		return p.Signer, true
	case len(p.Signer.Bytes()) == sha256.Size:
		return p.Signer, false
	}
	return r.Signer, true
}

// contradicts says what r and p differ in, or "".
func contradicts(r *Resolution, p *Package, signer records.Fingerprint) string {
	own := r.Locked()
	own.Signer = signer
	switch {
	case own.Name != p.Name || own.Version != p.Version:
		return fmt.Sprintf("is of %s", own)
	case own.Signer != p.Signer:
		return fmt.Sprintf("is signed by %s", own.Signer)
	case own.Module != p.Module:
		return fmt.Sprintf("names the module %s", own.Module)
	case !bytes.Equal(own.SHA512, p.SHA512):
		return "has another integrity"
	}
	if field, _, _ := p.Differs(own); field != "" {
		return "has other " + field
	}
	return ""
}

// checkRecords refuses packages that are not what their records say, as far as these are
// here.
func (op *operation) checkRecords(ctx context.Context, next *lockfile.File) error {
	for _, path := range slices.Sorted(maps.Keys(next.Packages)) {
		p := next.Packages[path]
		s, err := SignatureOf(ctx, p, op.modules.sources.Records)
		if err != nil {
			return err
		}
		if s.Standing == Contradicted {
			return &IntegrityError{Path: path, Name: p.Name, Module: p.Module, Err: &SignatureError{p.Record, s.Why}}
		}
	}
	return nil
}

// A claim is what es-lock.json says of who signed what.
type claim struct {
	name           records.Name
	version        records.Version
	module, record cid.Cid
	signer         records.Fingerprint
}

func claimOf(p *Package) claim { return claim{p.Name, p.Version, p.Module, p.Record, p.Signer} }

// signers asks for approval of those who sign what this operation resolved, or what is new
// to es-lock.json, and who did not sign the name there before ([I28]), or whom the user never let into this
// project ([I29]): what came with a repository answers nothing for the user.
func (op *operation) signers(next *lockfile.File) error {
	names, claims := map[records.Name][]*Package{}, map[claim]bool{}
	if op.locked != nil {
		for _, path := range slices.Sorted(maps.Keys(op.locked.Packages)) {
			if p := op.locked.Packages[path]; p.Record.Defined() {
				names[p.Name] = append(names[p.Name], p)
				claims[claimOf(p)] = true
			}
		}
	}
	signers := &op.result.Signers
	seen := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(next.Packages)) {
		p := next.Packages[path]
		if !p.Record.Defined() || claims[claimOf(p)] && !op.modules.resolved(p.Record) {
			continue // taken by its CIDs: nobody was believed
		}
		key := string(p.Name) + " " + p.Signer.String()
		before := names[p.Name]
		signed := slices.ContainsFunc(before, func(q *Package) bool { return q.Signer == p.Signer })
		switch {
		case len(before) > 0 && !signed:
			if !seen[key] {
				seen[key] = true
				signers.Changed = append(signers.Changed, Change{before[0], p})
			}
		case !slices.Contains(op.options.Accepted, p.Signer):
			signers.First = append(signers.First, p)
		}
	}
	if op.options.Approve == nil || len(signers.Changed)+len(signers.First) == 0 {
		return nil
	}
	return op.options.Approve(*signers)
}
