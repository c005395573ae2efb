package vectors

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// Parse reads a file of testdata, whose name has no ending. The lines of its header are
// expect, spec, comment and what else its kind has, each once.
func Parse(name string, b []byte) (*Vector, error) {
	a := txtar.Parse(b)
	v := &Vector{Name: name, More: map[string]string{}, Files: a.Files}
	header := map[string]*string{"expect": &v.Expect, "spec": &v.Spec, "comment": &v.Comment}
	for line := range strings.Lines(string(a.Comment)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		field, known := header[key]
		switch {
		case value == "":
			return nil, fmt.Errorf("header line %q has no value", line)
		case known && *field == "":
			*field = value
		case known || v.More[key] != "":
			return nil, fmt.Errorf("header line %q is the second of its kind", line)
		default:
			v.More[key] = value
		}
	}
	if v.Expect == "" || v.Spec == "" || v.Comment == "" || len(v.Files) == 0 {
		return nil, errors.New("lacks expect, spec, comment or sections")
	}
	return v, nil
}

// ReadFile reads one vector.
func ReadFile(file string) (*Vector, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	v, err := Parse(strings.TrimSuffix(filepath.Base(file), ".txtar"), b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return v, nil
}

// Read reads the vectors whose files the pattern matches, in the order of their names;
// there must be some.
func Read(t testing.TB, pattern string) []*Vector {
	t.Helper()
	files, err := filepath.Glob(filepath.FromSlash(pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no vectors %s: %v", pattern, err)
	}
	all := make([]*Vector, len(files))
	for i, file := range files {
		if all[i], err = ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// Hex returns the bytes that a section writes in hexadecimal digits.
func (v *Vector) Hex(t testing.TB, name string) []byte {
	t.Helper()
	if !v.Has(name) {
		t.Fatalf("%s has no section %s", v.Name, name)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(v.File(name)), ""))
	if err != nil {
		t.Fatalf("%s: %s: %v", v.Name, name, err)
	}
	return b
}
