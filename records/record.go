package records

import (
	"github.com/ipfs/go-cid"
)

// A Record is one statement by one author (SPEC.md section 4).
type Record struct {
	Author Fingerprint
	Seq    int64     // 0 without Prev, else 1 + the highest Seq among Prev
	Prev   []cid.Cid // the author's earlier records that this one follows, sorted
	Time   int64     // Unix seconds
	Body   Body
}

// A Body says what a record is about. It is one of *Release, *Tag, *Notice,
// *Endorse, *Delegate, *Successor and *Heartbeat.
type Body interface {
	// Kind returns the body's key in the keyed union: "release", "tag", ...
	Kind() string
}

// Release says that a name and version is exactly this module.
type Release struct {
	Name     Name
	Version  Version
	Module   cid.Cid // root of the module's UnixFS directory
	Size     int64   // bytes of all files, exact
	Files    int64   // number of files, exact
	Manifest Manifest
	Pins     map[Name]cid.Cid // exact modules for named dependencies
	Origin   *Origin          // where an imported module came from
}

// Manifest is what search and resolution need of a module's package.json.
// Package modules derives it; it is never written by hand.
type Manifest struct {
	Description          string
	Keywords             []string
	License              string
	Homepage             string
	Repository           string
	Bin                  map[string]string // command -> path in the module
	Engines              map[string]string
	OS                   []string
	CPU                  []string
	Libc                 []string
	Dependencies         map[string]string // name -> range
	OptionalDependencies map[string]string
	PeerDependencies     map[string]string
	OptionalPeers        []string // names whose absence is fine; not all need be in PeerDependencies
	Bundled              []string // names whose modules are inside this one
	Scripts              bool     // has a script that npm would run at install
	Shrinkwrap           bool     // has an npm-shrinkwrap.json, which decides its dependencies
}

// Origin says which registry package an imported module was made from.
type Origin struct {
	Registry   string  // the registry's name
	Tarball    cid.Cid // the original tarball, as UnixFS file or raw block
	SHA512     []byte  // 64 bytes, of the original tarball
	Signatures []OriginSignature
}

// OriginSignature is the registry's own signature over the package.
type OriginSignature struct {
	KeyID     string
	Signature []byte
}

// Tag points a word such as "latest" at a version; the author's newest wins.
// Without Version it removes the word.
type Tag struct {
	Name    Name
	Tag     string
	Version Version // may be ""
}

// Notice kinds.
const (
	Deprecated = "deprecated"
	Yanked     = "yanked"
	Advisory   = "advisory"
)

// Notice says something about versions of a name or about one record. Exactly
// one of Range and Record is set. Yanked with a Record of the same author takes
// back what that record said, whatever its body.
type Notice struct {
	Name     Name
	Range    string   // an npm version range
	Record   cid.Cid  // one record
	NoticeOf string   // Deprecated, Yanked or Advisory
	Text     string   // for people; may be ""
	Severity string   // low, moderate, high or critical; advisories only
	Fixed    string   // a range that is no longer affected; advisories only
	Refs     []string // identifiers and addresses: "CVE-2026-1234"; advisories only
}

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

// Delegate lets another key speak for this one, within scopes. Without Scopes it
// takes an earlier delegation back, and Depth and Until are 0.
type Delegate struct {
	To     Fingerprint
	Scopes []Scope // sorted
	Depth  int64   // how many further delegations To may chain
	Until  int64   // Unix seconds, after the record's time
}

// Successor rotates a key: the old key names the new one in To, and the new key
// names the old one in From. Exactly one is set; the rotation holds when both
// records exist.
type Successor struct {
	To   Fingerprint
	From Fingerprint
}

// Heartbeat says that the author is alive and has said nothing else.
type Heartbeat struct {
	Next int64 // Unix seconds: another record will exist by then
}

func (*Release) Kind() string   { return "release" }
func (*Tag) Kind() string       { return "tag" }
func (*Notice) Kind() string    { return "notice" }
func (*Endorse) Kind() string   { return "endorse" }
func (*Delegate) Kind() string  { return "delegate" }
func (*Successor) Kind() string { return "successor" }
func (*Heartbeat) Kind() string { return "heartbeat" }

// Context returns the value of the notation that a signature over a record with
// this body carries (SPEC.md section 6.2): "es/1/release" and so on.
func Context(b Body) string { return "es/1/" + b.Kind() }
