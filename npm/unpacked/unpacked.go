// Package unpacked remembers which tree this home made of a tarball of a registry, by
// the tarball's SHA-512: a file each, written only after the home unpacked those bytes
// itself (SPEC.md section 17). An installer that has a lockfile needs nothing else, and
// no database. It stores no blocks and asks nobody.
package unpacked

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/regularfile"
	"github.com/everythingstays/es/records"
)

// format is raised when the rules of unpacking change: older entries are then made
// again.
const format = 1

const maxEntry = 64 << 20 // bytes of a file

// A Package is a tarball and the module in it.
type Package struct {
	Name    string // as the registry spells it
	Version records.Version
	SHA512  [sha512.Size]byte
	SHA1    [20]byte
	Tarball cid.Cid // the tarball as one file in the block store
	Length  int64   // of the tarball, in bytes

	Module   cid.Cid
	Size     int64 // bytes of the module's files
	Files    int64
	Manifest records.Manifest
	Entries  []Entry // the module's files, sorted by path

	// Taken says which registries said that this tarball is Name@Version when this home
	// asked them, each once. Without any, somebody else gave the tarball.
	Taken []Taken
}

// A Taken is what a registry said of a tarball.
type Taken struct {
	Registry   string                    `json:"registry"`
	Published  int64                     `json:"published"` // Unix seconds, or 0
	Signatures []records.OriginSignature `json:"signatures"`
}

// TakenFrom returns what a registry said, or nil.
func (p *Package) TakenFrom(registry string) *Taken {
	for i := range p.Taken {
		if p.Taken[i].Registry == registry {
			return &p.Taken[i]
		}
	}
	return nil
}

// Take notes what a registry said, and reports whether that was not known. What it said
// before of the time stays where it says none.
func (p *Package) Take(t Taken) bool {
	t.Signatures = slices.Clone(t.Signatures)
	have := p.TakenFrom(t.Registry)
	if have == nil {
		p.Taken = append(p.Taken, t)
		return true
	}
	if t.Published == 0 {
		t.Published = have.Published
	}
	same := t.Published == have.Published && slices.EqualFunc(t.Signatures, have.Signatures, func(a, b records.OriginSignature) bool {
		return a.KeyID == b.KeyID && bytes.Equal(a.Signature, b.Signature)
	})
	*have = t
	return !same
}

// An Entry is a file of a module.
type Entry struct {
	Path string // with slashes
	Size int64  // bytes
	Exec bool
	CID  cid.Cid
}

// Target is the module as installing asks for it.
func (p *Package) Target() records.Target {
	return records.Target{CID: p.Module, Size: p.Size, Files: p.Files}
}

// Dir is a directory of entries. Processes may share it.
type Dir struct{ path string }

// Open returns the entries in a directory, which need not exist.
func Open(path string) Dir { return Dir{path} }

func (d Dir) file(hash [sha512.Size]byte) string {
	name := hex.EncodeToString(hash[:])
	return filepath.Join(d.path, name[:2], name[2:])
}

// document is the first line of a file. A line for each of the module's files follows:
// its CID, size in bytes, "x" or "-", and path.
type document struct {
	Format   int              `json:"format"`
	Name     string           `json:"name"`
	Version  records.Version  `json:"version"`
	SHA512   []byte           `json:"sha512"`
	SHA1     []byte           `json:"sha1"`
	Tarball  string           `json:"tarball"`
	Length   int64            `json:"length"`
	Module   string           `json:"module"`
	Size     int64            `json:"size"`
	Files    int64            `json:"files"`
	Manifest records.Manifest `json:"manifest"`
	Taken    []Taken          `json:"taken"`
}

// Get returns what a tarball holds. The error is fs.ErrNotExist where that is not
// known, also because another version of es wrote the entry or it is damaged: the
// tarball is then unpacked again.
func (d Dir) Get(hash [sha512.Size]byte) (*Package, error) {
	path := d.file(hash)
	b, err := regularfile.Read(path, maxEntry)
	if err != nil {
		return nil, fmt.Errorf("look for a tarball's tree: %w", err)
	}
	p, err := parse(b)
	if err != nil || p.SHA512 != hash {
		return nil, fmt.Errorf("look for a tarball's tree: %q: %w", path, fs.ErrNotExist)
	}
	return p, nil
}

func parse(b []byte) (*Package, error) {
	head, lines, ok := bytes.Cut(b, []byte("\n"))
	if !ok {
		return nil, errors.New("not an entry of this version")
	}
	var doc document
	if err := json.Unmarshal(head, &doc, json.RejectUnknownMembers(true)); err != nil {
		return nil, err
	}
	if doc.Format != format || len(doc.SHA512) != sha512.Size || len(doc.SHA1) != 20 || doc.Length < 0 || doc.Size < 0 || doc.Files < 1 {
		return nil, errors.New("not an entry of this version")
	}
	tarball, err := cid.Decode(doc.Tarball)
	if err != nil {
		return nil, err
	}
	module, err := cid.Decode(doc.Module)
	if err != nil {
		return nil, err
	}
	entries, err := parseEntries(string(lines), doc.Files, doc.Size)
	if err != nil {
		return nil, err
	}
	return &Package{
		Name: doc.Name, Version: doc.Version, SHA512: [sha512.Size]byte(doc.SHA512), SHA1: [20]byte(doc.SHA1), Tarball: tarball, Length: doc.Length,
		Module: module, Size: doc.Size, Files: doc.Files, Manifest: doc.Manifest,
		Entries: entries, Taken: doc.Taken,
	}, nil
}

// parseEntries reads the lines of files, which must be as many as are said, with as
// many bytes.
func parseEntries(lines string, files, size int64) ([]Entry, error) {
	entries := make([]Entry, 0, files)
	for line := range strings.Lines(lines) {
		text, complete := strings.CutSuffix(line, "\n")
		id, text, _ := strings.Cut(text, " ")
		length, text, _ := strings.Cut(text, " ")
		mode, path, ok := strings.Cut(text, " ")
		c, err := cid.Decode(id)
		n, lengthErr := strconv.ParseInt(length, 10, 64)
		if err != nil || lengthErr != nil || !ok || !complete || n < 0 || path == "" || mode != "x" && mode != "-" {
			return nil, errors.New("a line that is none of a file")
		}
		size -= n
		entries = append(entries, Entry{Path: path, Size: n, Exec: mode == "x", CID: c})
	}
	if int64(len(entries)) != files || size != 0 {
		return nil, errors.New("not all files are listed")
	}
	return entries, nil
}

// Put writes an entry. The blocks of the tarball and the module must be durable. The
// entry itself is not yet: what a power cut leaves of it is made again.
func (d Dir) Put(p *Package) error {
	doc := document{
		Format: format, Name: p.Name, Version: p.Version, SHA512: p.SHA512[:], SHA1: p.SHA1[:], Tarball: p.Tarball.String(), Length: p.Length,
		Module: p.Module.String(), Size: p.Size, Files: p.Files, Manifest: p.Manifest,
		Taken: p.Taken,
	}
	b, err := json.Marshal(doc, json.Deterministic(true), json.OmitZeroStructFields(true))
	if err != nil {
		return fmt.Errorf("remember a tarball's tree: %w", err)
	}
	var file bytes.Buffer
	file.Write(append(b, '\n'))
	for i := range p.Entries {
		e := &p.Entries[i]
		mode := "-"
		if e.Exec {
			mode = "x"
		}
		fmt.Fprintf(&file, "%s %d %s %s\n", e.CID, e.Size, mode, e.Path)
	}
	path := d.file(p.SHA512)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("remember a tarball's tree: %w", err)
	}
	temp := filepath.Join(filepath.Dir(path), atomicfile.TempPrefix+rand.Text())
	if err := os.WriteFile(temp, file.Bytes(), 0o600); err != nil {
		return fmt.Errorf("remember a tarball's tree: %w", errors.Join(err, os.Remove(temp)))
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("remember a tarball's tree: %w", errors.Join(err, os.Remove(temp)))
	}
	return nil
}

// Since is when the entry of a tarball was written.
func (d Dir) Since(hash [sha512.Size]byte) (time.Time, error) {
	info, err := os.Lstat(d.file(hash))
	if err != nil {
		return time.Time{}, fmt.Errorf("look for a tarball's tree: %w", err)
	}
	return info.ModTime(), nil
}

// State changes whenever an entry is added or removed, by whichever process.
func (d Dir) State() (string, error) {
	h := sha256.New()
	shards, err := os.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look at tarballs' trees: %w", err)
	}
	for _, shard := range shards {
		info, err := shard.Info()
		if err != nil {
			return "", fmt.Errorf("look at tarballs' trees: %w", err)
		}
		fmt.Fprintln(h, shard.Name(), info.ModTime().UnixNano())
	}
	return string(h.Sum(nil)), nil
}

// Remove forgets what a tarball holds.
func (d Dir) Remove(hash [sha512.Size]byte) error {
	if err := os.Remove(d.file(hash)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget a tarball's tree: %w", err)
	}
	return nil
}

// All calls visit for every entry that can be read, in no order, until it fails.
func (d Dir) All(visit func(*Package) error) error {
	err := filepath.WalkDir(d.path, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && e.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		b, err := regularfile.Read(path, maxEntry)
		if err != nil {
			return err
		}
		p, err := parse(b)
		if err != nil {
			return nil // made again when it is needed
		}
		return visit(p)
	})
	if err != nil {
		return fmt.Errorf("read tarballs' trees: %w", err)
	}
	return nil
}
