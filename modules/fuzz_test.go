package modules

import (
	"strings"
	"testing"

	"github.com/everythingstays/es/modules/internal/npmjson"
	"github.com/everythingstays/es/modules/internal/treetest"
	"github.com/everythingstays/es/records"
)

func FuzzPackageJSON(f *testing.F) {
	f.Add([]byte(treetest.MinimalPackage))
	for _, data := range hostilePackages() {
		if len(data) < 1000 {
			f.Add([]byte(data))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePackageJSON(data)
		if err != nil {
			if treetest.RuleOf(err) == "" {
				t.Fatalf("not a rule: %v", err)
			}
			return
		}
		m, err := p.Manifest([]string{npmjson.FileName, "bin/x", "node_modules/a/b"})
		if err != nil {
			return
		}
		r := &records.Release{Name: p.Name, Version: p.Version, Module: emptyModule, Size: 1, Files: 1, Manifest: m, Pins: p.Pins}
		b, err := records.Encode(&records.Record{Author: treetest.SomeAuthor(t), Time: 1, Body: r})
		if err != nil {
			if strings.Contains(err.Error(), "bytes, the limit is") {
				return // the record as a whole may be too large
			}
			t.Fatalf("no record can hold the manifest: %v", err)
		}
		if _, err := records.Decode(b); err != nil {
			t.Fatal(err)
		}
	})
}
