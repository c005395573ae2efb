package trust

import (
	"context"

	"github.com/everythingstays/es/records"
)

// Tests ask evaluators whose facts are all given, which cannot fail.

func (ev *Evaluator) ask(name records.Name) *Ruling {
	r, err := ev.Ruling(context.Background(), name)
	if err != nil {
		panic(err)
	}
	return r
}

func (ev *Evaluator) Decide(name records.Name, version records.Version, claims []Claim) Decision {
	return ev.ask(name).Decide(version, claims)
}

func (ev *Evaluator) Decides(key records.Fingerprint, name records.Name) bool {
	return ev.ask(name).Decides(key)
}

func (ev *Evaluator) Rule(name records.Name) Rule { return ev.ask(name).Rule }

func (ev *Evaluator) Notices(d Decision, notices []Notice) VersionNotices {
	return ev.ask(d.Name).Notices(d, notices)
}
