package interop

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"golang.org/x/sync/errgroup"
)

// A judgement is what a program says of signatures made now, by key that signed.
// Empty is "takes"; a signer that is not in it was not judged.
type judgement map[string]string

// A keyOracle is another program that judges keys.
type keyOracle struct {
	name  string
	judge func(t *testing.T, dir string, keys []drawnKey, now uint32) judgement
	// knows says whether the program implements what the key and its subkeys are. With
	// one subkey that it does not know, gpg says "Bad public key" of the next one.
	knows func(k drawnKey) bool
}

// TestThreat51KeyOracle draws keys in all the forms in which owners say that a key
// ends, and has es, gpg and sq judge signatures made now by each of their signing
// keys: es takes none that another program refuses. SPEC S150 to S152. ES_KEYS says
// how many, ES_KEYS_FROM the first seed.
func TestThreat51KeyOracle(t *testing.T) {
	first, count := envNumber(t, "ES_KEYS_FROM", 1), envNumber(t, "ES_KEYS", 300)
	oracles := []keyOracle{gpgOracle(), sqOracle(t)}
	now := uint32(time.Now().Unix())
	tally := map[string]int{}
	const batch = 500
	for at := 0; at < count; at += batch {
		var keys []drawnKey
		for i := at; i < min(count, at+batch); i++ {
			keys = append(keys, drawKey(t, uint64(first+i)))
		}
		compareKeys(t, keys, oracles, now, tally)
	}
	var lines []string
	for line, n := range tally {
		lines = append(lines, fmt.Sprintf("%6d %s", n, line))
	}
	slices.SortFunc(lines, func(a, b string) int { return cmp.Compare(b, a) })
	t.Logf("%d keys from seed %d\n%s", count, first, strings.Join(lines, "\n"))
	for _, o := range oracles {
		if tally["es takes, "+o.name+" takes"] < count/10 {
			t.Errorf("es and %s agree on too few good keys to say anything", o.name)
		}
	}
}

func envNumber(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no number", name, text)
	}
	return n
}

func compareKeys(t *testing.T, keys []drawnKey, oracles []keyOracle, now uint32, tally map[string]int) {
	t.Helper()
	dir := t.TempDir()
	for _, k := range keys {
		if err := errors.Join(os.WriteFile(filepath.Join(dir, k.name+".gpg"), k.gpgFile, 0o600),
			os.WriteFile(filepath.Join(dir, k.name+".pgp"), k.packets, 0o600),
			os.WriteFile(filepath.Join(dir, k.name+".named.pgp"), k.named, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	es := judgeES(t, keys, now)
	for _, o := range oracles {
		theirs := o.judge(t, dir, keys, now)
		for _, k := range keys {
			for _, s := range k.signers {
				compareSigner(t, o, k, s, es[signerName(k, s)], theirs, tally)
			}
		}
	}
}

func compareSigner(t *testing.T, o keyOracle, k drawnKey, s *pgpKey, ours string, theirs judgement, tally map[string]int) {
	t.Helper()
	their, judged := theirs[signerName(k, s)]
	es := "es takes"
	if ours != "" {
		es = "es refuses (" + ours + ")"
	}
	switch {
	case !o.knows(k):
		tally[es+", "+o.name+" does not know the algorithm or version"]++
	case !judged:
		t.Errorf("%s says nothing of key %s", o.name, signerName(k, s))
	case their == "":
		tally[es+", "+o.name+" takes"]++
	case ours != "":
		tally[es+", "+o.name+" refuses"]++
	default:
		tally[es+", "+o.name+" refuses"]++
		t.Errorf("es takes what %s refuses (%s): %s, seed %s, signer %X\n%s", o.name, their, k.kind, k.name, s.fpr, strings.Join(k.story, "\n"))
	}
}

func signerName(k drawnKey, s *pgpKey) string {
	return k.name + " " + strings.ToUpper(hex.EncodeToString(s.fpr))
}

// judgeES says why es refuses a record that each signer signs now.
func judgeES(t *testing.T, keys []drawnKey, now uint32) judgement {
	t.Helper()
	j := judgement{}
	for _, k := range keys {
		key, err := sign.ReadKey(k.file)
		if err != nil {
			for _, s := range k.signers {
				j[signerName(k, s)] = ruleOf(t, err)
			}
			continue
		}
		some := false
		for _, s := range k.signers {
			_, err := sign.Open(drawnRecord(t, key.Fingerprint(), s, now), sign.KeyRing{key.Fingerprint(): key})
			some = some || err == nil
			if err != nil {
				j[signerName(k, s)] = ruleOf(t, err)
			}
		}
		if can := key.CanSign(time.Unix(int64(now), 0)); can != some {
			t.Errorf("seed %s: CanSign is %t, opening a record says %t", k.name, can, some)
		}
		if _, err := sign.ParseKey(key.Block()); err != nil {
			t.Errorf("seed %s: the block of a key that was read: %v", k.name, err)
		}
	}
	return j
}

func ruleOf(t *testing.T, err error) string {
	t.Helper()
	var block *sign.KeyBlockError
	var key *sign.KeyError
	switch {
	case errors.As(err, &block):
		return block.Rule
	case errors.As(err, &key):
		return key.Rule
	}
	t.Errorf("neither a key's error nor a key block's: %v", err)
	return ""
}

func drawnRecord(t *testing.T, author records.Fingerprint, s *pgpKey, now uint32) []byte {
	t.Helper()
	record, err := records.Encode(&records.Record{Author: author, Time: int64(now), Body: &records.Heartbeat{Next: int64(now) + daySeconds}})
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := records.EncodeEnvelope(record, s.detached(record, now, notation(20, sign.ContextNotation, "es/1/heartbeat")))
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

const drawnDocument = "signed by drawn keys\n"

// gpgOracle imports all keys into one home and has all signatures verified at once.
func gpgOracle() keyOracle {
	// gpg 2.2 knows Ed25519 by its old number only, and no version 6.
	knows := func(k drawnKey) bool {
		return k.signers[0].version == 4 && !slices.Contains(k.algos, algoEd25519)
	}
	return keyOracle{"gpg", func(t *testing.T, dir string, keys []drawnKey, now uint32) judgement {
		t.Helper()
		g := gpgHome(t)
		args := []string{"--homedir", g.Home, "--batch", "--no-auto-check-trustdb", "--import"}
		var signatures []byte
		j := judgement{}
		names := map[string]string{}
		for _, k := range keys {
			if !knows(k) {
				continue
			}
			args = append(args, filepath.Join(dir, k.name+".gpg"))
			for _, s := range k.signers {
				signatures = append(signatures, s.detached([]byte(drawnDocument), now)...)
				names[strings.ToUpper(hex.EncodeToString(s.fpr))] = signerName(k, s)
			}
		}
		exec.Command("gpg", args...).Run() // fails when it refuses one of the keys
		signature, document := filepath.Join(dir, "all.sig"), filepath.Join(dir, "document")
		if err := errors.Join(os.WriteFile(signature, signatures, 0o600), os.WriteFile(document, []byte(drawnDocument), 0o600)); err != nil {
			t.Fatal(err)
		}
		out, _ := exec.Command("gpg", "--homedir", g.Home, "--batch", "--trust-model", "always", "--status-fd", "1", "--verify", signature, document).Output()
		readGPGStatus(t, string(out), names, j)
		return j
	}, knows}
}

// readGPGStatus reads lines such as GOODSIG and REVKEYSIG, each of which is followed by
// one that names the fingerprint, or names it itself.
func readGPGStatus(t *testing.T, status string, names map[string]string, j judgement) {
	t.Helper()
	var last string
	for line := range strings.Lines(status) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != "[GNUPG:]" {
			continue
		}
		switch f[1] {
		case "GOODSIG":
			last = ""
		case "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "BADSIG":
			last = f[1]
		case "ERRSIG":
			j[names[f[len(f)-1]]] = "ERRSIG " + f[len(f)-2]
		case "VALIDSIG":
			j[names[f[2]]] = last
		}
	}
}

// sqOracle runs Sequoia's sq for each signature, version 0.27 or one from 1.0 on.
// ES_SQ names another than the one in the path.
func sqOracle(t *testing.T) keyOracle {
	t.Helper()
	program := cmp.Or(os.Getenv("ES_SQ"), "sq")
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("apt-get install sq: %v", err)
	}
	modern := exec.Command(program, "version").Run() == nil
	verify := func(ctx context.Context, cert, signature, document string) (string, error) {
		if modern {
			return sqVerify(ctx, program, "--home", "none", "verify", "--signer-file", cert, "--signature-file", signature, document)
		}
		return sqVerify(ctx, program, "verify", "--signer-cert", cert, "--detached", signature, document)
	}
	suffix := ".named.pgp"
	if modern {
		suffix = ".pgp"
	}
	// What is of RFC 9580 came with version 1.
	knows := func(k drawnKey) bool {
		return modern || k.signers[0].version == 4 && !slices.Contains(k.algos, algoEd25519)
	}
	return keyOracle{"sq", func(t *testing.T, dir string, keys []drawnKey, now uint32) judgement {
		t.Helper()
		document := filepath.Join(dir, "document")
		if err := os.WriteFile(document, []byte(drawnDocument), 0o600); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		j := judgement{}
		group, ctx := errgroup.WithContext(t.Context())
		group.SetLimit(runtime.NumCPU())
		for _, k := range keys {
			if !knows(k) {
				continue
			}
			for i, s := range k.signers {
				group.Go(func() error {
					signature := filepath.Join(dir, fmt.Sprintf("%s.%d.sig", k.name, i))
					if err := os.WriteFile(signature, s.detached([]byte(drawnDocument), now), 0o600); err != nil {
						return err
					}
					why, err := verify(ctx, filepath.Join(dir, k.name+suffix), signature, document)
					mu.Lock()
					defer mu.Unlock()
					j[signerName(k, s)] = why
					return err
				})
			}
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		return j
	}, knows}
}

// sqVerify returns why the program refuses, in one line.
func sqVerify(ctx context.Context, program string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	var exit *exec.ExitError
	if err == nil || !errors.As(err, &exit) {
		return "", err
	}
	line, _, _ := strings.Cut(strings.Join(strings.Fields(string(out)), " "), "0: <unknown>") // a trace follows
	return cmp.Or(line, err.Error()), nil
}
