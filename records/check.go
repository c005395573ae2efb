package records

import (
	"bytes"
	"fmt"
	"sort"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

// check holds r against every rule that its bytes alone decide.
func check(r *Record) error {
	if r.Author.IsZero() {
		return broken("R7", "author", "is missing")
	}
	if err := checkPrev(r); err != nil {
		return err
	}
	if r.Time < 0 || r.Time > MaxTime {
		return broken("R18", "time", "is %d, not between 0 and %d", r.Time, int64(MaxTime))
	}
	if r.Body == nil {
		return broken("R19", "body", "is missing")
	}
	return r.Body.check("body/"+r.Body.Kind(), r)
}

func checkPrev(r *Record) error {
	if len(r.Prev) > MaxPrev {
		return broken("R17", "prev", "has %d links, the limit is %d", len(r.Prev), MaxPrev)
	}
	for i, c := range r.Prev {
		if !isRecordID(c) {
			return broken("R17", fmt.Sprintf("prev/%d", i), "is not a record id (CIDv1, dag-cbor, sha2-256)")
		}
		if i > 0 && bytes.Compare(r.Prev[i-1].Bytes(), c.Bytes()) >= 0 {
			return broken("R17", "prev", "is not sorted by bytes without duplicates")
		}
	}
	if r.Seq < 0 || r.Seq > maxInt {
		return broken("R16", "seq", "is %d, not between 0 and 2^53-1", r.Seq)
	}
	if (r.Seq == 0) != (len(r.Prev) == 0) {
		return broken("R16", "seq", "is %d with %d links in prev; it is 0 exactly when prev is empty", r.Seq, len(r.Prev))
	}
	return nil
}

func checkNameVersion(path string, n Name, v Version) error {
	if _, err := ParseName(string(n)); err != nil {
		return within(path+"/name", err)
	}
	if _, err := ParseVersion(string(v)); err != nil {
		return within(path+"/version", err)
	}
	return nil
}

func isModuleCID(c cid.Cid) bool { return isCID(c, cid.DagProtobuf) }

func isRecordID(c cid.Cid) bool { return isCID(c, cid.DagCBOR) }

// isCID reports whether c is a CIDv1 of one codec, by sha2-256.
func isCID(c cid.Cid, codec uint64) bool {
	return c.Defined() && c.Prefix() == cid.Prefix{Version: 1, Codec: codec, MhType: multihash.SHA2_256, MhLength: 32}
}

func checkModule(path string, c cid.Cid) error {
	if !isModuleCID(c) {
		return broken("R20", path, "is not a module (CIDv1, dag-pb, sha2-256)")
	}
	return nil
}

func checkList(path string, items []string) error {
	if len(items) > MaxListItems {
		return broken("R12", path, "has %d items, the limit is %d", len(items), MaxListItems)
	}
	for i, s := range items {
		if s == "" {
			return broken("R22", path, "has an empty item")
		}
		if err := CheckText(s, MaxText); err != nil {
			return within(fmt.Sprintf("%s/%d", path, i), err)
		}
	}
	return nil
}

func checkTextMap(path string, m map[string]string, max int) error {
	if len(m) > MaxMapEntries {
		return broken("R12", path, "has %d entries, the limit is %d", len(m), MaxMapEntries)
	}
	for _, k := range sortedKeys(m) {
		if k == "" {
			return broken("R22", path, "has an empty key")
		}
		if err := CheckText(k, MaxText); err != nil {
			return within(path, fmt.Errorf("key %q: %w", Clip(k), err))
		}
		if err := CheckText(m[k], max); err != nil {
			return within(path+"/"+k, err)
		}
	}
	return nil
}

// CheckCommand checks the name of a command that a module installs: one file
// name of letters, digits, '.', '_' and '-' that no system takes for anything
// else.
func CheckCommand(s string) error {
	if len(s) == 0 || len(s) > MaxName {
		return against("R23", "command has %d bytes, it must have 1 to %d", len(s), MaxName)
	}
	for i := 0; i < len(s); i++ {
		if !isNameByte(s[i]) {
			return against("R23", "command %q: only letters, digits, '.', '_' and '-' are allowed", s)
		}
	}
	if strings.Trim(s, ".") == "" || s[0] == '.' || s[0] == '-' || s[len(s)-1] == '.' || IsWindowsDevice(s) {
		return against("R23", "command %q: is not a file name on every system", s)
	}
	return nil
}

// windowsPrograms are the endings that Windows adds to what is typed.
var windowsPrograms = []string{".com", ".exe", ".bat", ".cmd", ".ps1"}

// IsReservedCommand reports whether command is, in any case and with an ending that
// Windows adds, one that everything else is run with, and name is not the module of
// that very program (SPEC M47, I21).
func IsReservedCommand(command string, name Name) bool {
	command = strings.ToLower(command)
	for _, ending := range windowsPrograms {
		if program, cut := strings.CutSuffix(command, ending); cut {
			command = program
			break
		}
	}
	switch command {
	case "node", "npm", "es":
		return string(name) != command
	case "npx":
		return name != "npm" && name != "npx"
	}
	return false
}

// CheckPath checks the path of a file in a module: relative, with '/' between
// non-empty elements, and never leading out.
func CheckPath(s string) error {
	if len(s) == 0 || len(s) > MaxText {
		return against("R23", "path has %d bytes, it must have 1 to %d", len(s), MaxText)
	}
	if err := CheckText(s, MaxText); err != nil {
		return against("R23", "path %q: %v", Clip(s), err)
	}
	for _, e := range strings.Split(s, "/") {
		if e == "" || e == "." || e == ".." || strings.ContainsAny(e, `\:`) || IsWindowsDevice(e) {
			return against("R23", "path %q: is not a relative path on every system", Clip(s))
		}
	}
	return nil
}

// IsDependencyName reports whether s can stand in a dependency map. Besides
// what ParseName takes, these are names that npm no longer gives out but still
// serves: with upper-case letters, longer, or beginning with '_' or '-'.
func IsDependencyName(s string) bool {
	if len(s) > 214 {
		return false
	}
	base := s
	if strings.HasPrefix(s, "@") {
		scope, rest, ok := strings.Cut(s[1:], "/")
		if !ok || !isDependencyPart(scope) {
			return false
		}
		base = rest
	}
	return isDependencyPart(base)
}

func isDependencyPart(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isNameByte(s[i]) && s[i] != '~' {
			return false
		}
	}
	return s != "" && s[0] != '.' && s != "node_modules"
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i] < keys[j] })
	return keys
}
