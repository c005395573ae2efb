package trust

import (
	"context"

	"github.com/everythingstays/es/records"
)

// Tests ask views whose facts are all given, which cannot fail.

func (v *View) ask(name records.Name) *Ruling {
	r, err := v.Ruling(context.Background(), name)
	if err != nil {
		panic(err)
	}
	return r
}

func (v *View) Decide(name records.Name, version records.Version, claims []Claim) Decision {
	return v.ask(name).Decide(version, claims)
}

func (v *View) Decides(key records.Fingerprint, name records.Name) bool {
	return v.ask(name).Decides(key)
}

func (v *View) Rule(name records.Name) Rule { return v.ask(name).Rule }

func (v *View) Notices(d Decision, notices []Notice) Applying {
	return v.ask(d.Name).Notices(d, notices)
}
