package install

import (
	"context"

	"github.com/everythingstays/es/install/tree"
)

// Verified is what Verify found.
type Verified struct {
	Packages int // whose every byte was read and is right
	Damage   []Damage
	Signed   int        // of the packages in es-lock.json: whose record is here and says so
	Unknown  []*Package // whose record is not here
	Invalid  []*Package // whose record is by a key that does not count any more

	// Extraneous are the packages and commands in node_modules that no lockfile names:
	// neither es nor another package manager put them there.
	Extraneous []string
	Managed    int // packages that other package managers put there, which are not looked at
}

// Verify reads every installed package again, builds its tree and compares the
// CID with es-lock.json's, and es-lock.json with the records that are here (SPEC.md
// [I27], [I133]). Blocks serve to say which file is wrong and to check
// trees that were not made by es; packages can be verified without them
// otherwise. Of s, Blocks and Records are used. It believes nothing that node_modules
// says of itself, changes nothing, and does not wait for those who do.
func (p *Project) Verify(ctx context.Context, s Sources) (*Verified, error) {
	root, d, err := p.look()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	c := d.Compare(s.Blocks, wantedHere(root))
	v := &Verified{}
	var locked []*tree.Node
	root.Walk(func(n *tree.Node) {
		if n.Package != nil {
			locked = append(locked, n)
		}
	})
	for _, n := range locked {
		if n.Target == nil {
			if err := v.signature(ctx, n.Package, s.Records); err != nil {
				return nil, err
			}
		}
		here, damage, err := c.Check(ctx, n)
		if err != nil {
			return nil, err
		}
		v.Damage = append(v.Damage, damage...)
		if here && len(damage) == 0 {
			v.Packages++
		}
	}
	v.Extraneous, v.Managed, err = c.Extraneous(root.Lockfile())
	return v, err
}

// signature counts what is known here of the signature that es-lock.json claims.
func (v *Verified) signature(ctx context.Context, p *Package, known Records) error {
	s, err := SignatureOf(ctx, p, known)
	switch s.Standing {
	case Signed:
		v.Signed++
	case Unknown:
		v.Unknown = append(v.Unknown, p)
	case Invalid:
		v.Invalid = append(v.Invalid, p)
	case Contradicted:
		v.Damage = append(v.Damage, Damage{Package: p, Reason: (&SignatureError{p.Record, s.Why}).Error()})
	}
	return err
}
