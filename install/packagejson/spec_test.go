package packagejson

import (
	"errors"
	"strings"
	"testing"

	"github.com/everythingstays/es/records"
)

const (
	cidV0  = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"
	cidV1  = "bafybeie5nqv6kd3qnfjupgvz34woh3oksc3iau6abmyajn7qvtf6d2ho34"
	cidRaw = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
	cidRec = "bafyreictto5eovdrbkdabcad7yucyvb7obskczb7lbh5pupq5vi4jtgttq"
)

func TestParseRequest(t *testing.T) {
	for _, test := range []struct {
		in   string
		name records.Name
		kind Kind
		text string
	}{
		{"left-pad", "left-pad", Latest, ""},
		{"left-pad@", "left-pad", Latest, ""},
		{"@acme/left-pad", "@acme/left-pad", Latest, ""},
		{"left-pad@1.3.0", "left-pad", Version, "1.3.0"},
		{"left-pad@v1.3.0", "left-pad", Version, "v1.3.0"},
		{"left-pad@=1.3.0", "left-pad", Version, "=1.3.0"},
		{"@acme/left-pad@1.3.0-rc.1", "@acme/left-pad", Version, "1.3.0-rc.1"},
		{"left-pad@^1.3", "left-pad", Range, "^1.3"},
		{"left-pad@1", "left-pad", Range, "1"},
		{"left-pad@x", "left-pad", Range, "x"},
		{"left-pad@*", "left-pad", Range, "*"},
		{"left-pad@>=1 <2 || 3", "left-pad", Range, ">=1 <2 || 3"},
		{"left-pad@1.0.0 - 2.0.0", "left-pad", Range, "1.0.0 - 2.0.0"},
		{"left-pad@next", "left-pad", Tag, "next"},
		{"left-pad@ 1.3.0", "left-pad", Version, " 1.3.0"},
		{"left-pad@npm:@acme/pad@^1", "left-pad", Range, "npm:@acme/pad@^1"},
		{"left-pad@npm:@acme/pad", "left-pad", Latest, "npm:@acme/pad"},
		{"left-pad@NPM:@acme/pad@=1.0.0", "left-pad", Version, "NPM:@acme/pad@=1.0.0"},
		{"left-pad@" + cidV0, "left-pad", CID, cidV0},
		{"@acme/left-pad@" + cidV1, "@acme/left-pad", CID, cidV1},
		{"left-pad@/ipfs/" + cidV0, "left-pad", CID, "/ipfs/" + cidV0},
	} {
		r, err := ParseRequest(test.in)
		if err != nil || r.Name != test.name || r.Spec.Kind != test.kind || r.Spec.Text != test.text {
			t.Errorf("%s: %+v, %v", test.in, r, err)
		}
		if r.Spec.Kind == CID && r.Spec.CID.String() != cidV1 {
			t.Errorf("%s: the CID is %s", test.in, r.Spec.CID)
		}
	}
}

func TestParseRequestRefuses(t *testing.T) {
	for in, reason := range map[string]string{
		"":                               "is empty",
		"@":                              "scope and nothing after it",
		"@acme":                          "scope and nothing after it",
		"Left-Pad":                       "upper-case letter",
		"../x":                           "starts with",
		"left pad":                       "only a-z",
		"a@git+ssh://x/y":                "by name and version or by CID only",
		"a@https://example.org/a.tgz":    "by name and version or by CID only",
		"a@file:../a":                    "by name and version or by CID only",
		"a@owner/repo":                   "by name and version or by CID only",
		"a@workspace:*":                  "by name and version or by CID only",
		"a@npm:b@npm:c@1":                "by name and version or by CID only",
		"a@npm:../b@1":                   "starts with",
		"a@npm:":                         "is empty",
		"a@npm:b@x.4":                    "is not a version, range, tag or CID",
		"a@ne xt":                        "is not a version, range, tag or CID",
		"a@1.2.3.4":                      "is not a version, range, tag or CID",
		"a@01.2.3":                       "is not a version, range, tag or CID",
		"a@" + cidRaw:                    "is not the CID of a directory",
		"a@" + cidRec:                    "is the CID of a record",
		"a@" + strings.Repeat("1", 1025): "the limit is 1024",
	} {
		_, err := ParseRequest(in)
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v, want %q", in, err, reason)
		}
		var spec *SpecError
		if strings.HasPrefix(in, "a@") && !errors.As(err, &spec) {
			t.Errorf("%q: %T is no *SpecError", in, err)
		}
	}
}

// The verdicts of semver 7 as npm 11.19.1 bundles it; "+" matches, "-" not.
func TestMatchAsNPM(t *testing.T) {
	for _, test := range []struct{ spec, verdicts string }{
		{"*", "+1.0.0 +1.0.0-rc.1 +99.0.0"}, // npm's installer takes it for "latest"
		{"x", "+1.0.0 -1.0.0-rc.1 +99.0.0"},
		{"", "+1.0.0 +99.0.0"},
		{"^1.2.3", "+1.2.3 +1.9.9 -2.0.0 -2.0.0-0 -1.2.2 -1.3.0-beta -1.2.3-beta"},
		{"^1.2.3-beta.1", "+1.2.3-beta.1 +1.2.3-beta.2 +1.2.3-rc.1 -1.2.3-beta -1.3.0-beta +1.2.4"},
		{"^0.2.3", "+0.2.9 -0.3.0"},
		{"^0.0.3", "+0.0.3 -0.0.4"},
		{"~1.2.3", "+1.2.4 -1.3.0"},
		{"~> 1.2", "+1.2.9 -1.3.0"},
		{"1.2.x", "+1.2.0 -1.3.0"},
		{"1 - 2", "+1.0.0 +2.4.0 -3.0.0"},
		{">1.0.0 <=2.0.0", "-1.0.0 +1.0.1 +2.0.0 -2.0.1"},
		{">= 1.2.3", "+1.2.3 -1.2.2"},
		{">=1.0.0-0", "+1.0.0-alpha +1.0.0 -1.2.3-beta"},
		{"^1 || ^3", "+1.5.0 -2.0.0 +3.1.0"},
		{"|| 1", "+0.0.3 +7.0.0 -7.0.0-rc.1"},
		{"1.2.3+build", "+1.2.3 -1.2.4"},
	} {
		spec, err := ParseSpec(test.spec)
		if err != nil {
			t.Errorf("%q: %v", test.spec, err)
			continue
		}
		for verdict := range strings.FieldsSeq(test.verdicts) {
			if got := spec.Match(records.Version(verdict[1:])); got != (verdict[0] == '+') {
				t.Errorf("%q matches %s: %v", test.spec, verdict[1:], got)
			}
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{"a@^1 || x", "@a/b@npm:c@1", "a@" + cidV0, "a@>=1.2.3-a.b <2", "a@*-beta"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRequest(s)
		if err != nil {
			return
		}
		r.Spec.Match("1.2.3-rc.1")
		again, err := ParseRequest(r.String())
		if err != nil || again.String() != r.String() || again.Spec.Kind != r.Spec.Kind {
			t.Errorf("%q reads as %q, and that as %q: %v", s, r, again, err)
		}
	})
}
