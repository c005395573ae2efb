package interop

import (
	"bufio"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// emptyRaw is the empty raw block, which bitswap never delivers.
const emptyRaw = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"

// kubo is a running ipfs daemon with a repository of its own.
type kubo struct {
	t       testing.TB
	program string
	repo    string
	addr    string // with the peer id
}

// newKubo starts a daemon on the loopback interface that knows nobody, unless
// setup has its configuration say otherwise.
func newKubo(t testing.TB, setup ...func(*kubo)) *kubo {
	t.Helper()
	k := &kubo{t: t, program: built(t, buildIPFS), repo: filepath.Join(t.TempDir(), "ipfs")}
	k.ipfs("init", "--empty-repo", "--profile=test,autoconf-off")
	k.ipfs("config", "--json", "AutoTLS.Enabled", "false")
	k.ipfs("config", "--json", "HTTPRetrieval.Enabled", "false")
	k.ipfs("config", "Routing.Type", "none")
	for _, change := range setup {
		change(k)
	}

	cmd := exec.Command(k.program, "daemon")
	cmd.Env = environment(k.env())
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		_ = cmd.Wait()
	})
	ready := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if lines.Text() == "Daemon is ready" {
				ready <- true
			}
		}
		close(ready)
	}()
	select {
	case ok := <-ready:
		if !ok {
			t.Fatal("ipfs daemon ended before it was ready")
		}
	case <-time.After(time.Minute):
		t.Fatal("ipfs daemon is not ready after a minute")
	}
	k.addr = strings.TrimSpace(k.ipfs("id", "--format=<addrs>"))
	if !strings.HasPrefix(k.addr, "/ip4/127.0.0.1/tcp/") || strings.Contains(k.addr, "\n") {
		t.Fatalf("ipfs daemon listens on %q, want one loopback address", k.addr)
	}
	return k
}

func (k *kubo) env() []string {
	return []string{"IPFS_PATH=" + k.repo, "HOME=" + filepath.Dir(k.repo), "IPFS_TELEMETRY=off"}
}

func (k *kubo) ipfs(args ...string) string {
	k.t.Helper()
	return must(k.t, filepath.Dir(k.repo), k.env(), k.program, args...)
}

// sample makes a module directory with what makes trees differ: an empty file,
// a dotfile, a non-ASCII name, a file of several chunks and an executable.
func sample(t testing.TB, name string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "package.json"), `{"name":"`+name+`","version":"1.0.0","bin":"bin/run.js"}`)
	write(t, filepath.Join(dir, "bin/run.js"), "#!/usr/bin/env node\nconsole.log('ran')\n")
	write(t, filepath.Join(dir, "lib/deep/er/index.js"), "module.exports = 1\n")
	write(t, filepath.Join(dir, "data/empty.txt"), "")
	write(t, filepath.Join(dir, "data/grüße.txt"), "Grüße\n")
	write(t, filepath.Join(dir, ".editorconfig"), "root = true\n")
	write(t, filepath.Join(dir, "data/large.txt"), noise(t, name, 3<<20+17))
	if err := os.Chmod(filepath.Join(dir, "bin/run.js"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// noise returns n bytes that no chunk of another file shares.
func noise(t testing.TB, seed string, n int) string {
	t.Helper()
	var b strings.Builder
	for block := sha256.Sum256([]byte(seed)); b.Len() < n; block = sha256.Sum256(block[:]) {
		b.Write(block[:])
	}
	return b.String()[:n]
}

// TestKuboGetsOurs fetches a published module and its envelope with ipfs.
func TestKuboGetsOurs(t *testing.T) {
	author, _ := newAuthor(t, "author")
	source := sample(t, "from-es")
	want := readTree(t, source)
	release := author.publish(source)
	node := author.node()
	k := newKubo(t)
	k.ipfs("swarm", "connect", node.addrs[0])

	got := filepath.Join(t.TempDir(), "got")
	k.ipfs("get", "--timeout=60s", "--output="+got, release.Module)
	if diff := differences(readTree(t, got), want); diff != "" {
		t.Error(diff)
	}
	if blocks := k.ipfs("refs", "-r", "--timeout=60s", release.Module); strings.Contains(blocks, emptyRaw) {
		t.Error("the module holds the empty raw block")
	}
	k.ipfs("pin", "add", "--timeout=60s", release.Module)

	name := k.ipfs("dag", "get", "--timeout=60s", release.Envelope+"/record/body/release/name")
	if strings.TrimSpace(name) != `"from-es"` {
		t.Errorf("name in the envelope: %q", name)
	}
	module := k.ipfs("dag", "get", "--timeout=60s", release.Envelope+"/record/body/release/module/package.json")
	if !strings.Contains(module, `"bytes"`) {
		t.Errorf("the envelope does not lead into the module: %q", module)
	}
}

// TestGetsKubos adds trees that only a kubo daemon has.
func TestGetsKubos(t *testing.T) {
	k := newKubo(t)
	reader := newUser(t)
	reader.node()
	reader.es("", "connect", k.addr)

	for _, profile := range []struct {
		name     string
		args     []string
		emptyRaw bool // the empty file is the empty raw block
	}{
		{"cidv0", []string{"--cid-version=0"}, false},
		{"cidv1-raw-leaves", []string{"--cid-version=1", "--raw-leaves"}, true},
		{"cidv1-metadata", []string{"--cid-version=1", "--raw-leaves=false", "--preserve-mode", "--preserve-mtime"}, false},
		{"cidv1-trickle", []string{"--cid-version=1", "--trickle", "--chunker=size-65536"}, false},
	} {
		t.Run(profile.name, func(t *testing.T) {
			reader := reader.in(t)
			name := "kubo-" + profile.name
			source := sample(t, name)
			want := readTree(t, source)
			args := append([]string{"add", "-r", "-Q", "--hidden"}, profile.args...)
			cid := strings.TrimSpace(k.ipfs(append(args, source)...))
			if holds := strings.Contains(k.ipfs("refs", "-r", cid), emptyRaw); holds != profile.emptyRaw {
				t.Errorf("holds the empty raw block: %v, want %v", holds, profile.emptyRaw)
			}
			project := reader.project()
			reader.es(project, "add", name+"@"+cid)
			got := readTree(t, filepath.Join(project, "node_modules", name))
			if diff := differences(got, want); diff != "" {
				t.Error(diff)
			}
			must(t, project, nil, filepath.Join(project, "node_modules", ".bin", name))
		})
	}
}
