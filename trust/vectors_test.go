package trust_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/trust"
	"github.com/everythingstays/es/trust/authority"
)

var update = flag.Bool("update", false, "write the vectors to ../testdata/trust")

// A world is what a decision depends on besides the trust file.
type world struct {
	Name    records.Name          `json:"name"`
	Version records.Version       `json:"version"`
	Own     []records.Fingerprint `json:"own,omitempty"`
	Now     time.Time             `json:"now"`
	Claims  []claim               `json:"claims"`
	// Project is the project's file.
	Project     string                `json:"project,omitempty"`
	Delegations []delegation          `json:"delegations,omitempty"`
	Successions []succession          `json:"successions,omitempty"`
	Equivocated []records.Fingerprint `json:"equivocated,omitempty"`
	Notices     []noticeStatement     `json:"notices,omitempty"`
	Unpacked    []unpackedTarball     `json:"unpacked,omitempty"`
}

type claim struct {
	Author    records.Fingerprint `json:"author"`
	Module    string              `json:"module"`
	Record    string              `json:"record"`
	Invalid   string              `json:"invalid,omitempty"`
	Endorse   string              `json:"endorse,omitempty"`
	Retracted bool                `json:"retracted,omitempty"`
	Time      time.Time           `json:"time,omitzero"`
	FirstSeen time.Time           `json:"firstSeen,omitzero"`
	Ended     time.Time           `json:"ended,omitzero"`
	Followed  bool                `json:"followed,omitempty"`
	Import    *imported           `json:"import,omitempty"`
}

// An imported is what the release of an import says.
type imported struct {
	SHA512       string              `json:"sha512"` // in hexadecimal
	Published    int64               `json:"published,omitempty"`
	Signatures   []registrySignature `json:"signatures,omitempty"`
	Size         int64               `json:"size"`
	Files        int64               `json:"files"`
	Dependencies map[string]string   `json:"dependencies,omitempty"`
	Pins         map[string]string   `json:"pins,omitempty"`
}

type registrySignature struct {
	KeyID string `json:"keyid"`
	Sig   []byte `json:"sig"` // base64
}

// An unpackedTarball is what this home made of one.
type unpackedTarball struct {
	SHA512       string            `json:"sha512"`
	Name         string            `json:"name"`
	Version      records.Version   `json:"version"`
	Module       string            `json:"module"`
	Size         int64             `json:"size"`
	Files        int64             `json:"files"`
	Dependencies map[string]string `json:"dependencies,omitempty"`
	Registries   []string          `json:"registries,omitempty"`
}

type statement struct {
	Author    records.Fingerprint `json:"author"`
	Record    string              `json:"record"`
	Seq       int64               `json:"seq"`
	Time      time.Time           `json:"time"`
	Invalid   string              `json:"invalid,omitempty"`
	Retracted bool                `json:"retracted,omitempty"`
	Backdated bool                `json:"backdated,omitempty"`
}

type delegation struct {
	statement
	To     records.Fingerprint `json:"to"`
	Scopes []records.Scope     `json:"scopes"`
	Depth  int                 `json:"depth"`
	Until  time.Time           `json:"until"`
}

type succession struct {
	statement
	To   *records.Fingerprint `json:"to,omitempty"`
	From *records.Fingerprint `json:"from,omitempty"`
}

func (s statement) trust(t *testing.T) trust.Statement {
	return trust.Statement{Author: s.Author, Record: decodeCID(t, s.Record), Seq: s.Seq, Time: s.Time, Invalid: s.Invalid, Retracted: s.Retracted, Backdated: s.Backdated}
}

// decide asks the question of the world.
func (w world) decide(t *testing.T, p *trust.Policy) trust.Decision {
	t.Helper()
	return w.inputs(t, p).Evaluator().Decide(w.Name, w.Version, w.claims(t))
}

func (w world) inputs(t *testing.T, p *trust.Policy) trust.Inputs {
	t.Helper()
	in := trust.Inputs{User: p, Own: w.Own, Now: w.Now}
	for _, d := range w.Delegations {
		in.Facts.Delegations = append(in.Facts.Delegations, trust.Delegation{Statement: d.trust(t), To: d.To, Scopes: d.Scopes, Depth: d.Depth, Until: d.Until})
	}
	for _, s := range w.Successions {
		one := trust.Succession{Statement: s.trust(t)}
		if s.To != nil {
			one.To = *s.To
		}
		if s.From != nil {
			one.From = *s.From
		}
		in.Facts.Successions = append(in.Facts.Successions, one)
	}
	in.Facts.Equivocated = w.Equivocated
	in.Unpacked = func(hash [sha512.Size]byte) *authority.Unpacked {
		for _, u := range w.Unpacked {
			if u.SHA512 == hex.EncodeToString(hash[:]) {
				return &authority.Unpacked{
					Name: u.Name, Version: u.Version, Module: decodeCID(t, u.Module), Size: u.Size, Files: u.Files,
					Manifest: records.Manifest{Dependencies: u.Dependencies}, Registries: u.Registries,
				}
			}
		}
		return nil
	}
	if w.Project != "" {
		var err error
		if in.Project, err = trust.ParseProject([]byte(w.Project)); err != nil {
			t.Fatal(err)
		}
	}
	return in
}

func (w world) claims(t *testing.T) []trust.Claim {
	var cs []trust.Claim
	for _, c := range w.Claims {
		cs = append(cs, trust.Claim{
			Author: c.Author, Module: decodeCID(t, c.Module), Record: decodeCID(t, c.Record), Invalid: c.Invalid,
			Endorse: c.Endorse, Retracted: c.Retracted, Time: c.Time, FirstSeen: c.FirstSeen, Ended: c.Ended, Followed: c.Followed,
			Release: c.Import.release(t, w.Name, w.Version, decodeCID(t, c.Module)),
		})
	}
	return cs
}

func (i *imported) release(t *testing.T, name records.Name, version records.Version, module cid.Cid) *records.Release {
	if i == nil {
		return nil
	}
	hash, err := hex.DecodeString(i.SHA512)
	if err != nil {
		t.Fatal(err)
	}
	r := &records.Release{Name: name, Version: version, Module: module, Size: i.Size, Files: i.Files, Manifest: records.Manifest{Dependencies: i.Dependencies}}
	r.Origin = &records.Origin{Registry: "anything", SHA512: hash, Published: i.Published}
	for _, s := range i.Signatures {
		r.Origin.Signatures = append(r.Origin.Signatures, records.OriginSignature{KeyID: s.KeyID, Signature: s.Sig})
	}
	for name, module := range i.Pins {
		r.Pins = map[records.Name]cid.Cid{records.Name(name): decodeCID(t, module)}
	}
	return r
}

func decodeCID(t *testing.T, s string) cid.Cid {
	t.Helper()
	c, err := cid.Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var testKeys = func() []records.Fingerprint {
	keys := make([]records.Fingerprint, 2000)
	for n := range keys {
		keys[n] = makeKey(n)
	}
	return keys
}()

func testKey(n int) records.Fingerprint { return testKeys[n] }

func makeKey(n int) records.Fingerprint {
	sum := sha256.Sum256([]byte(fmt.Sprint("key ", n)))
	f, err := records.FingerprintFromBytes(sum[:20])
	if err != nil {
		panic(err)
	}
	return f
}

func testCID(codec uint64, text string) cid.Cid {
	h, err := multihash.Sum([]byte(text), multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(codec, h)
}

func moduleCID(s string) cid.Cid { return testCID(cid.DagProtobuf, s) }
func recordCID(s string) cid.Cid { return testCID(cid.DagCBOR, s) }

func says(author int, module string) claim {
	return claim{
		Author: testKey(author),
		Module: moduleCID(module).String(),
		Record: recordCID(fmt.Sprint(author, module)).String(),
	}
}

// TestVectors holds every file of testdata/trust against this implementation.
func TestVectors(t *testing.T) {
	covered := map[string]bool{}
	for _, v := range vectors.Read(t, "../testdata/trust/*.txtar") {
		for _, tag := range strings.Fields(v.Spec) {
			covered[tag] = true
		}
		t.Run(v.Name, func(t *testing.T) { runVector(t, v) })
	}
	for _, tag := range testedTags(t) {
		covered[tag] = true
	}
	for _, tag := range specTags(t) {
		if !covered[tag] {
			t.Errorf("rule [%s] has no vector and no test", tag)
		}
	}
}

// specTags finds the rules of this package.
func specTags(t *testing.T) []string {
	b, err := os.ReadFile("../SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	var tags []string
	for _, m := range regexp.MustCompile(`\[(T\d+)\]`).FindAllStringSubmatch(string(b), -1) {
		tags = append(tags, m[1])
	}
	if len(tags) == 0 {
		t.Fatal("the specification has no rule [T..]")
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// testedTags finds the rules that tests of this package name.
func testedTags(t *testing.T) []string {
	files, err := fs.Glob(os.DirFS("."), "*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var tags []string
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`SPEC (T\d+(?:(?:, | and )T\d+)*)`).FindAllStringSubmatch(string(b), -1) {
			tags = append(tags, regexp.MustCompile(`T\d+`).FindAllString(m[1], -1)...)
		}
	}
	return tags
}

func section(t *testing.T, v *vectors.Vector, name string) string {
	t.Helper()
	if !v.Has(name) {
		t.Fatalf("no section %s", name)
	}
	return v.File(name)
}

func runVector(t *testing.T, v *vectors.Vector) {
	// Sections of a txtar always end with a newline; JSON text can say more.
	var text string
	if err := json.Unmarshal([]byte(section(t, v, "trust.json")), &text); err != nil {
		t.Fatal(err)
	}
	if shown := section(t, v, "trust"); shown != shownText(text) {
		t.Fatalf("sections trust and trust.json differ")
	}
	parse := trust.Parse
	if v.Expect == "project-error" {
		parse = trust.ParseProject
	}
	p, err := parse([]byte(text))
	if v.Expect == "syntax-error" || v.Expect == "project-error" {
		se, ok := err.(*trust.SyntaxError)
		if !ok {
			t.Fatalf("got %v, want a syntax error", err)
		}
		if want := strings.TrimSpace(section(t, v, "line")); strconv.Itoa(se.Line) != want {
			t.Fatalf("error is about line %d, want %s: %v", se.Line, want, err)
		}
		if want := strings.TrimSpace(section(t, v, "message")); err.Error() != want {
			t.Fatalf("got  %s\nwant %s", err, want)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if string(p.Bytes()) != text {
		t.Fatalf("bytes changed: %q", p.Bytes())
	}
	if v.Expect == "ok" {
		if got, want := lineByLine(p), section(t, v, "meaning"); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
		return
	}
	if v.Expect == "edited" {
		editVector(t, p, v)
		return
	}
	runDecision(t, p, v)
}

func editVector(t *testing.T, p *trust.Policy, v *vectors.Vector) {
	for line := range strings.Lines(section(t, v, "edit")) {
		edit(t, p, line)
	}
	var want string
	if err := json.Unmarshal([]byte(section(t, v, "after.json")), &want); err != nil {
		t.Fatal(err)
	}
	if got := string(p.Bytes()); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := trust.Parse(p.Bytes()); err != nil {
		t.Fatal(err)
	}
}

// edit does what a line of a vector says: a line of a trust file to add, with
// "add" for "key", or "remove" with a key and scopes.
func edit(t *testing.T, policy *trust.Policy, line string) {
	t.Helper()
	line = strings.TrimSpace(line)
	word, rest, _ := strings.Cut(line, " ")
	one, err := trust.Parse([]byte(strings.Replace(line, "add ", "key ", 1)))
	if err != nil {
		t.Fatal(err)
	}
	switch word {
	case "add":
		_, err = policy.AddKey(one.Entries()[0])
	case "remove":
		words := strings.Fields(rest)
		key, err := records.ParseFingerprint(words[0])
		if err != nil {
			t.Fatal(err)
		}
		var scopes []records.Scope
		for _, s := range words[1:] {
			scopes = append(scopes, records.Scope(s))
		}
		if policy.RemoveKey(key, scopes...) == 0 {
			t.Fatal("nothing removed")
		}
	case "deny":
		d := one.Denials()[0]
		_, err = policy.Deny(d.Fingerprint, d.Label)
	case "threshold":
		th := one.Thresholds()[0]
		err = policy.SetThreshold(th.Keys, th.Scope)
	case "pin":
		p := one.Pins()[0]
		err = policy.SetPin(p.Name, p.Version, p.Module)
	case "min-age":
		a, _ := one.MinAge()
		err = policy.SetMinAge(a.Age)
	default:
		t.Fatalf("unknown edit %q", line)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func runDecision(t *testing.T, p *trust.Policy, v *vectors.Vector) {
	if !slices.Contains([]string{"unknown", "trusted", "untrusted", "denied", "conflict", "equivocation"}, v.Expect) {
		t.Fatalf("unknown expect: %q", v.Expect)
	}
	var w world
	if err := json.Unmarshal([]byte(section(t, v, "world.json")), &w); err != nil {
		t.Fatal(err)
	}
	d := w.decide(t, p)
	if d.State.String() != v.Expect {
		t.Fatalf("got %v (%s), want %s", d.State, d.Reason, v.Expect)
	}
	if got, want := w.show(t, p), section(t, v, "decision"); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}

func showDecision(d trust.Decision) string {
	var b strings.Builder
	if d.State == trust.Trusted {
		fmt.Fprintf(&b, "module %s\nrecord %s\n", d.Module, d.Record)
		for _, k := range d.By {
			fmt.Fprintf(&b, "by %s\n", k)
		}
		if d.Pin == 0 && d.Voices != len(d.By) {
			fmt.Fprintf(&b, "voices %d\n", d.Voices)
		}
		if d.Agree+d.Differ > 0 {
			fmt.Fprintf(&b, "others %d agree, %d differ\n", d.Agree, d.Differ)
		}
	}
	fmt.Fprintf(&b, "reason %s\n", d.Reason)
	if d.Hold != trust.NotHeld {
		fmt.Fprintf(&b, "hold %s\n", d.Hold)
	}
	for _, w := range d.Warnings {
		b.WriteString(strings.TrimRight(showWarning(w), " ") + "\n")
	}
	for _, c := range d.Claims {
		fmt.Fprintf(&b, "claim %s %s %v", c.Author, c.Record, c.Effect)
		if c.Line > 0 {
			fmt.Fprintf(&b, " line %d", c.Line)
		}
		if c.Project {
			b.WriteString(" of the project's file")
		}
		if !c.Importer.IsZero() {
			fmt.Fprintf(&b, " importer %s", c.Importer)
		}
		if c.Why != "" {
			b.WriteString(" because " + c.Why)
		}
		if len(c.Via) > 1 {
			for _, step := range c.Via[1:] {
				fmt.Fprintf(&b, " %s %s", step.Kind, step.Key)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func showWarning(w trust.Warning) string {
	s := fmt.Sprintf("warning %s", w.Kind)
	if !w.Key.IsZero() {
		s += " " + w.Key.String()
	}
	for _, k := range w.Others {
		s += " by " + k.String()
	}
	if w.Followed {
		s += " followed"
	}
	if !w.Since.IsZero() {
		s += w.Since.Format(" since 2006-01-02")
	}
	if !w.Until.IsZero() {
		s += w.Until.Format(" until 2006-01-02")
	}
	return s
}

// lineByLine shows what each line says.
func lineByLine(policy *trust.Policy) string {
	lines := map[int]string{}
	for _, e := range policy.Entries() {
		s := fmt.Sprintf("key %s scopes=%q label=%q depth=%d follow=%t", e.Fingerprint, e.Scopes, e.Label, e.Depth, e.Follow)
		if e.Imports {
			s += " imports=true"
		}
		if !e.Until.IsZero() {
			s += " until=" + e.Until.Format(time.RFC3339)
		}
		lines[e.Line] = s
	}
	for _, a := range policy.Authorities() {
		s := fmt.Sprintf("npm scopes=%q registry=%q label=%q unsigned=%t", a.Scopes, a.Registry, a.Label, a.Unsigned)
		for _, k := range a.Keys {
			s += fmt.Sprintf(" key %q %s", k.ID, authority.KeyFingerprint(&k))
			if !k.Expires.IsZero() {
				s += " until " + k.Expires.Format(time.RFC3339)
			}
		}
		if a.Unsigned {
			s += " " + a.Fingerprints()[0].String()
		}
		if !a.Until.IsZero() {
			s += " until=" + a.Until.Format(time.RFC3339)
		}
		lines[a.Line] = s
	}
	for _, d := range policy.Denials() {
		lines[d.Line] = fmt.Sprintf("deny %s label=%q", d.Fingerprint, d.Label)
	}
	for _, t := range policy.Thresholds() {
		lines[t.Line] = fmt.Sprintf("threshold %d %s", t.Keys, t.Scope)
	}
	for _, p := range policy.Pins() {
		lines[p.Line] = fmt.Sprintf("pin %s %s %s", p.Name, p.Version, p.Module)
	}
	if a, ok := policy.MinAge(); ok {
		lines[a.Line] = fmt.Sprintf("min-age %v", a.Age)
	}
	var b strings.Builder
	for n := range 1000 {
		if s := lines[n]; s != "" {
			fmt.Fprintf(&b, "%d: %s\n", n, s)
		}
	}
	for _, w := range policy.Warnings() {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	return b.String()
}

// shownText makes a trust file readable in a vector.
func shownText(text string) string {
	s := strings.NewReplacer("\r", "^M", "\x00", "^@").Replace(text)
	if len(s) > 4000 {
		s = s[:200] + "...\n"
	}
	if s != "" && !strings.HasSuffix(s, "\n") {
		s += "\n"
	}
	return s
}
