package osv

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
)

const maxShard = 256 << 20 // bytes of a file

// Dir keeps advisories that a user gave in a directory, by the packages that they are
// about: 256 files of lines, the name of a package and an advisory in each. Processes
// that put at once must hold a lock.
type Dir struct{ path string }

// OpenDir returns the advisories in a directory, which need not exist.
func OpenDir(path string) Dir { return Dir{path} }

func (d Dir) shard(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(d.path, hex.EncodeToString(sum[:1]))
}

// State changes whenever advisories are put.
func (d Dir) State() (string, error) {
	info, err := os.Stat(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look at advisories: %w", err)
	}
	return fmt.Sprint(info.ModTime().UnixNano()), nil
}

// About returns the advisories about a package.
func (d Dir) About(name string) ([]Advisory, error) {
	lines, err := readShard(d.shard(name))
	if err != nil {
		return nil, err
	}
	prefix, err := linePrefix(name)
	if err != nil {
		return nil, err
	}
	var found []Advisory
	for _, line := range lines {
		text, ok := strings.CutPrefix(line, prefix)
		if !ok {
			continue
		}
		var a Advisory
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			return nil, fmt.Errorf("read advisories about %q: %v; es import osv writes the file %q anew", name, err, d.shard(name))
		}
		found = append(found, a)
	}
	return found, nil
}

func readShard(path string) ([]string, error) {
	b, err := regularfile.Read(path, maxShard)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read advisories: %w", err)
	}
	return slices.Collect(strings.Lines(string(b))), nil
}

// linePrefix begins the lines about a package.
func linePrefix(name string) (string, error) {
	b, err := json.Marshal(name)
	return string(b) + " ", err
}

// Put adds advisories, each in place of what an earlier one of the same ID said, and
// returns how many packages they are about. One that is withdrawn takes the earlier away.
func (d Dir) Put(all []*Advisory) (packages int, err error) {
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return 0, fmt.Errorf("keep advisories: %w", err)
	}
	shards := make(map[string][]string)
	names := make(map[string]bool)
	ids := make(map[string]bool)
	for _, a := range all {
		ids[a.ID] = true
		for i := range a.Affected {
			name := a.Affected[i].Name
			names[name] = true
			line, err := lineOf(a, name)
			if err != nil {
				return 0, err
			}
			if a.Withdrawn {
				line = ""
			}
			shards[d.shard(name)] = append(shards[d.shard(name)], line)
		}
	}
	for path, lines := range shards {
		if err := putShard(path, lines, ids); err != nil {
			return 0, fmt.Errorf("keep advisories: %w", err)
		}
	}
	return len(names), nil
}

// lineOf is what is kept of an advisory about one of its packages.
func lineOf(a *Advisory, name string) (string, error) {
	prefix, err := linePrefix(name)
	if err != nil {
		return "", err
	}
	kept := *a
	kept.Summary = records.CleanText(a.Summary, records.MaxText)
	kept.Affected = slices.DeleteFunc(slices.Clone(a.Affected), func(f Affected) bool { return f.Name != name })
	b, err := json.Marshal(kept, json.Deterministic(true), json.OmitZeroStructFields(true))
	return prefix + string(b) + "\n", err
}

// putShard adds lines to a file in place of those with the same IDs. A line that cannot
// be read is dropped.
func putShard(path string, added []string, ids map[string]bool) error {
	lines, err := readShard(path)
	if err != nil {
		return err
	}
	lines = slices.DeleteFunc(lines, func(line string) bool {
		var a struct{ ID string }
		_, text, _ := strings.Cut(line, " ")
		return json.Unmarshal([]byte(text), &a) != nil || a.ID == "" || ids[a.ID]
	})
	lines = append(lines, added...)
	slices.Sort(lines)
	var b bytes.Buffer
	for _, line := range slices.Compact(lines) {
		b.WriteString(line)
	}
	return atomicfile.Replace(path, b.Bytes())
}
