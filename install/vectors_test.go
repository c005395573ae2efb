package install

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everythingstays/es/install/lockfile"
	"github.com/everythingstays/es/install/packagejson"
	"github.com/everythingstays/es/install/tree"
	"github.com/rogpeppe/go-internal/txtar"
)

// A vector is one file of ../testdata/install.
type vector struct {
	file    string
	archive *txtar.Archive
	header  map[string]string
}

func (v *vector) section(name string) string {
	for _, f := range v.archive.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

// vectors reads those of one kind.
func vectors(t *testing.T, kind string) []*vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../testdata/install", kind, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no vectors of kind %s: %v", kind, err)
	}
	var list []*vector
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		v := &vector{file, a, map[string]string{}}
		for line := range strings.Lines(string(a.Comment)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			v.header[key] = value
		}
		if v.header["expect"] == "" || v.header["spec"] == "" || v.header["comment"] == "" {
			t.Errorf("%s: the header lacks expect, spec or comment", file)
		}
		list = append(list, v)
	}
	return list
}

func TestAgreeVectors(t *testing.T) {
	for _, v := range vectors(t, "agree") {
		p := project(t, "")
		write(t, filepath.Join(p.dir, packagejson.Name), v.section(packagejson.Name))
		write(t, filepath.Join(p.dir, lockfile.Name), v.section(lockfile.Name))
		w := newWorld(t)
		_, err := p.Install(context.Background(), Sources{Blocks: w.local}, Options{Frozen: true})
		var d *DisagreeError
		switch want := v.header["expect"]; {
		case want == "ok":
			if err != nil && !errors.As(err, new(*MissingError)) { // which comes after
				t.Errorf("%s: %v", v.file, err)
			}
		case !errors.As(err, &d) || len(d.Reasons) == 0:
			t.Errorf("%s: %v, want %s", v.file, err, want)
		default:
			r := d.Reasons[0]
			where := r.Path
			if r.Code != tree.NotNeeded {
				where = strings.TrimSpace(fmt.Sprintf("%s %s@%s %s", r.By, r.Name, r.Spec, r.Locked))
			}
			if r.Code != want || where != v.header["where"] {
				t.Errorf("%s: %s: %s, want %s: %s", v.file, r.Code, where, want, v.header["where"])
			}
		}
	}
}
