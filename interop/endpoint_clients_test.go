package interop

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A client is a package manager that installs behind es as it does without.
type client struct {
	command  string // of es, and the program
	pkg      string // of npm, which has the program
	bin      string // in pkg, where it is not called as the command
	install  string // arguments, fresh
	frozen   string
	lockfile string
	settings map[string]string // files of the project
}

var clientsBehindES = []client{
	{command: "pnpm", pkg: "pnpm@12.21.0", install: "install", frozen: "install --frozen-lockfile", lockfile: "pnpm-lock.yaml"},
	{command: "bun", pkg: "bun@1.4.5", install: "install", frozen: "install --frozen-lockfile", lockfile: "bun.lock"},
	{command: "yarn", pkg: "yarn@1.22.22", install: "install --no-progress", frozen: "install --no-progress --frozen-lockfile", lockfile: "yarn.lock"},
	{
		command: "yarn", pkg: "@yarnpkg/cli-dist@4.18.1", bin: "@yarnpkg/cli-dist/bin/yarn.js", install: "install --no-immutable", frozen: "install --immutable",
		lockfile: "yarn.lock", settings: map[string]string{".yarnrc.yml": "nodeLinker: node-modules\nenableTelemetry: false\nenableGlobalCache: false\nunsafeHttpWhitelist: ['127.0.0.1']\nnpmRegistryServer: 'http://" + loopbackRegistry + "'\n"},
	},
}

// installed has npm install the client, once for all runs, and returns a directory with it
// alone for the PATH.
func (c *client) installed(t *testing.T) string {
	t.Helper()
	base, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "es-interop", strings.NewReplacer("@", "", "/", "-").Replace(c.pkg))
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(filepath.Join(dir, "done")); err != nil {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "package.json"), "{}")
		npm(t, dir, "install", "--no-audit", "--no-fund", c.pkg)
		write(t, filepath.Join(dir, "done"), "")
	}
	path := t.TempDir()
	program := filepath.Join(modules, ".bin", c.command)
	if c.bin != "" {
		program = filepath.Join(modules, filepath.FromSlash(c.bin))
	}
	if err := os.Symlink(program, filepath.Join(path, c.command)); err != nil {
		t.Fatal(err)
	}
	return path
}

// notesOfClients are files in node_modules in which clients note what they did, with
// times and URLs.
var notesOfClients = regexp.MustCompile(`^(\.modules\.yaml|\.pnpm-workspace-state[^ ]*|\.pnpm/lock\.yaml|\.yarn-integrity|\.yarn-state\.yml|\.package-map\.json) `)

func treeOfClient(t *testing.T, dir string) []string {
	t.Helper()
	return slices.DeleteFunc(listTree(t, filepath.Join(dir, "node_modules")), notesOfClients.MatchString)
}

var sha512InLock = regexp.MustCompile(`sha512-[A-Za-z0-9+/=]+|checksum: [0-9a-z/]+`)

func integrities(text string) []string {
	all := sha512InLock.FindAllString(text, -1)
	slices.Sort(all)
	return slices.Compact(all)
}

// TestClientsBehindES: pnpm, bun, yarn 1 and berry make behind es what they make without,
// fresh, frozen, and where the registry is gone.
func TestClientsBehindES(t *testing.T) {
	for _, c := range clientsBehindES {
		t.Run(c.pkg, func(t *testing.T) {
			path := c.installed(t)
			b := newBehind(t, "")
			b.t = t
			home := filepath.Dir(b.home)
			files := map[string]string{"package.json": usingProject}
			for name, text := range c.settings {
				files[name] = text
			}
			// Each run has caches of its own; the home of es stays.
			types := func(dir, line string) {
				t.Helper()
				own := t.TempDir()
				write(t, filepath.Join(own, ".npmrc"), readText(t, filepath.Join(home, ".npmrc")))
				b.shell(dir, "export CI=1 ES_HOME="+b.home+" HOME="+own+" YARN_CACHE_FOLDER="+own+"/yarn PATH="+path+":$PATH; "+line).ends(t, 0)
			}
			alone := b.project(files)
			types(alone, c.command+" "+c.install)
			want, locked := treeOfClient(t, alone), readText(t, filepath.Join(alone, c.lockfile))
			if len(want) < 20 || len(integrities(locked)) < 6 {
				t.Fatalf("%d files, %d integrities", len(want), len(integrities(locked)))
			}
			dir := b.project(files)
			for i, line := range []string{
				"es " + c.command + " " + c.install,
				"rm -rf node_modules; es " + c.command + " " + c.frozen,
				"rm -rf node_modules; es --offline " + c.command + " " + c.frozen,
				"rm -rf node_modules " + c.lockfile + "; es --offline " + c.command + " " + c.install,
			} {
				if i == 2 {
					b.stop()
				}
				types(dir, line)
				if got := treeOfClient(t, dir); !slices.Equal(got, want) {
					t.Errorf("%s: only alone %q, only behind es %q", line, difference(want, got), difference(got, want))
				}
				if got := readText(t, filepath.Join(dir, c.lockfile)); !slices.Equal(integrities(got), integrities(locked)) {
					t.Errorf("%s: the lockfile is\n%s\nwant the integrity of\n%s", line, got, locked)
				}
			}
		})
	}
}
