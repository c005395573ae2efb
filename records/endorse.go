package records

import (
	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime/datamodel"
)

// Endorse claims.
const (
	Reviewed = "reviewed"
	Rebuilt  = "rebuilt"
	Imported = "imported"
)

// Endorse vouches for somebody's module.
type Endorse struct {
	Name    Name
	Version Version
	Module  cid.Cid
	Claim   string // Reviewed, Rebuilt or Imported
	Text    string
}

// Kind returns "endorse".
func (*Endorse) Kind() string { return "endorse" }

func (e *Endorse) encode(m datamodel.MapAssembler) {
	putString(m, "name", string(e.Name))
	putString(m, "version", string(e.Version))
	putLink(m, "module", e.Module)
	putString(m, "claim", e.Claim)
	putOptional(m, "text", e.Text)
}

func readEndorse(m *mapReader) Body {
	return &Endorse{
		Name:    Name(m.string("name", true)),
		Version: Version(m.string("version", true)),
		Module:  m.link("module", true),
		Claim:   m.string("claim", true),
		Text:    m.string("text", false),
	}
}

func (e *Endorse) check(path string, _ *Record) error {
	if err := checkNameVersion(path, e.Name, e.Version); err != nil {
		return err
	}
	if err := checkModule(path+"/module", e.Module); err != nil {
		return err
	}
	switch e.Claim {
	case Reviewed, Rebuilt, Imported:
	default:
		return broken("R30", path+"/claim", "is %q, not reviewed, rebuilt or imported", Clip(e.Claim))
	}
	return within(path+"/text", CheckText(e.Text, MaxLongText))
}
