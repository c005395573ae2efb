package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"es": func() { main() }, "pnpm": fakeClient})
}

// waitLimit bounds each wait in a script for something that another process does.
const waitLimit = 30 * time.Second

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("ES_HOME", env.WorkDir+"/home")
			env.Setenv("ES_PASSPHRASE", "")
			env.Setenv("ES_DHT", "off") // nothing here leaves the machine
			env.Setenv("ES_MDNS", "off")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"fill":    fill,
			"until":   until,
			"ready":   ready,
			"value":   value,
			"keys":    keys,
			"unarmor": unarmor,
			"spoil":   spoil,

			"registry": registry,
			"requests": requests,
			"lock":     lock,
		},
	})
}

// exits CODE PROGRAM ARGS... runs a program that must end with this exit code.
// stdout and stderr can be matched afterwards.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("run %s: %v", args[1], err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// until PATTERN PROGRAM ARGS... runs a program again and again until it prints
// what the pattern matches.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN PROGRAM ARGS...")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for deadline := time.Now().Add(waitLimit); ; {
		ts.Exec(args[1], args[2:]...)
		if want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("waited %v in vain for %s", waitLimit, args[0])
		}
		<-time.After(20 * time.Millisecond)
	}
}

// ready HOME VARIABLE waits until the node of a home is running, and puts its
// first address into the variable.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ready HOME VARIABLE")
	}
	for deadline := time.Now().Add(waitLimit); ; {
		var s struct {
			Daemon bool
			Addrs  []string
		}
		ts.Exec("es", "--home", args[0], "status", "--json")
		if json.Unmarshal([]byte(ts.ReadFile("stdout")), &s) == nil && s.Daemon && len(s.Addrs) > 0 {
			ts.Setenv(args[1], s.Addrs[0])
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the node of %s was not ready after %v", args[0], waitLimit)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// fill FILE puts the values of variables into a file, where it says ${NAME}.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fill FILE")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// value VARIABLE PATTERN puts what the pattern's first group matches in the last
// standard output into the variable.
func value(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: value VARIABLE PATTERN")
	}
	want, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	m := want.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) < 2 {
		ts.Fatalf("nothing in the output matches %s", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// keys NAME... gives the home a key for each name, in the order of their
// fingerprints, which is the order in which es shows claims. The name in capitals
// is the variable with the fingerprint.
func keys(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: keys NAME...")
	}
	for i, last := 0, ""; i < len(args); {
		k, err := sign.NewSecretKey(args[i], "", time.Now().Add(-time.Minute))
		ts.Check(err)
		f := k.Key().Fingerprint().String()
		// Leave room for those that follow.
		if most := fmt.Sprintf("%02X", 256*(i+1)/len(args)-1); f <= last || f[:2] > most {
			continue
		}
		b, err := k.Marshal(nil)
		ts.Check(err)
		file := ts.MkAbs(args[i] + ".key")
		ts.Check(os.WriteFile(file, b, 0o600))
		ts.Check(ts.Exec("es", "key", "import", file))
		known(ts, k.Key().Fingerprint())
		ts.Setenv(strings.ToUpper(args[i]), f)
		last = f
		i++
	}
}

// unarmor FILE BINARY writes what the pieces of armor in a file hold.
func unarmor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: unarmor FILE BINARY")
	}
	var binary []byte
	const begin = "-----BEGIN PGP"
	for _, piece := range strings.Split(ts.ReadFile(args[0]), begin)[1:] {
		block, err := armor.Decode(strings.NewReader(begin + piece))
		ts.Check(err)
		b, err := io.ReadAll(block.Body)
		ts.Check(err)
		binary = append(binary, b...)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), binary, 0o600))
}

// known notes in the home that a key made for the test has signed nothing elsewhere.
func known(ts *testscript.TestScript, f records.Fingerprint) {
	x, err := index.Open(context.Background(), filepath.Join(ts.Getenv("ES_HOME"), "index.db"))
	ts.Check(err)
	defer x.Close()
	ts.Check(x.SetLogKnown(context.Background(), f))
}

// spoil block|record HOME changes one byte of the block that holds a module's code, or
// of the one record that is stored.
func spoil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: spoil block|record HOME")
	}
	if args[0] == "record" {
		db, err := sql.Open("sqlite", filepath.Join(args[1], "index.db"))
		ts.Check(err)
		defer db.Close()
		var b []byte
		ts.Check(db.QueryRow("SELECT envelope FROM records").Scan(&b))
		b[len(b)-1] ^= 1
		_, err = db.Exec("UPDATE records SET envelope = ?", b)
		ts.Check(err)
		return
	}
	files, err := filepath.Glob(filepath.Join(args[1], "blocks", "*", "*.data"))
	ts.Check(err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		ts.Check(err)
		if bytes.HasPrefix(b, []byte("module.exports")) {
			b[0] ^= 1
			ts.Check(os.WriteFile(f, b, 0o600))
			return
		}
	}
	ts.Fatalf("no block holds code")
}
