package idealtree

import (
	"errors"
	"testing"
)

func peerWorld() (world, string) {
	return world{
		"plugin-a@1.0.0": `"peerDependencies": {"host": "^1 || ^2"}, "dependencies": {"util": "1"}`,
		"plugin-b@1.0.0": `"peerDependencies": {"host": "^1", "side": "*"}`,
		"preset@1.0.0":   `"dependencies": {"plugin-a": "1", "plugin-b": "1"}, "peerDependencies": {"host": ">=1"}`,
		"host@1.0.0":     `"dependencies": {"util": "2"}`, "host@2.0.0": `"dependencies": {"util": "2"}`,
		"side@1.0.0": `"peerDependencies": {"host": "^1"}`, "side@2.0.0": `"peerDependencies": {"host": "^2"}`,
		"util@1.0.0": ``, "util@2.0.0": ``,
	}, `"dependencies": {"preset": "1", "host": "1"}`
}

// TestPeers holds SPEC Q106 and Q107: peers come along, stand beside who needs them, and
// are the ones that their dependents have.
func TestPeers(t *testing.T) {
	t.Run("installed", func(t *testing.T) { // RFC 0025; pnpm and yarn 1 leave them out
		wantTree(t, world{"a@1.0.0": `"peerDependencies": {"p": "^1"}`, "p@1.0.0": ``, "p@2.0.0": ``}, `"dependencies": {"a": "1"}`, "a 1.0.0", "p 1.0.0")
	})
	t.Run("not if optional", func(t *testing.T) { // bun#22150
		w := world{"a@1.0.0": `"peerDependencies": {"p": "^1"}, "peerDependenciesMeta": {"p": {"optional": true}}`, "p@1.0.0": ``}
		wantTree(t, w, `"dependencies": {"a": "1"}`, "a 1.0.0")
		wantTree(t, w, `"dependencies": {"a": "1", "p": "1"}`, "a 1.0.0", "p 1.0.0")
		// Meta alone asks for nothing.
		wantTree(t, world{"a@1.0.0": `"peerDependenciesMeta": {"p": {"optional": true}}`}, `"dependencies": {"a": "1"}`, "a 1.0.0")
	})
	t.Run("what is an optional peer must suit", func(t *testing.T) {
		w := world{"a@1.0.0": `"peerDependencies": {"p": "^1"}, "peerDependenciesMeta": {"p": {"optional": true}}`, "b@1.0.0": `"dependencies": {"p": "2"}`, "p@1.0.0": ``, "p@2.0.0": ``}
		wantTree(t, w, `"dependencies": {"a": "1", "b": "1"}`, "a 1.0.0", "b 1.0.0", "b > p 2.0.0", "p 1.0.0")
	})
	t.Run("the project's version serves", func(t *testing.T) {
		wantTree(t, world{"a@1.0.0": `"peerDependencies": {"p": ">=1"}`, "p@1.0.0": ``, "p@2.0.0": ``}, `"dependencies": {"a": "1", "p": "1"}`, "a 1.0.0", "p 1.0.0")
	})
	t.Run("beside its host and not in it", func(t *testing.T) { // bun#6445
		wantTree(t, world{
			"x@1.0.0": `"dependencies": {"a": "1", "p": "1"}`, "a@1.0.0": `"peerDependencies": {"p": "1"}`, "p@1.0.0": ``, "p@2.0.0": ``,
		}, `"dependencies": {"x": "1", "p": "2"}`, "p 2.0.0", "x 1.0.0", "x > a 1.0.0", "x > p 1.0.0")
	})
	t.Run("a release stands once where its own wishes are met", func(t *testing.T) {
		wantTree(t, world{
			"x@1.0.0": `"dependencies": {"a": "1", "p": "1"}`, "y@1.0.0": `"dependencies": {"a": "1", "p": "2"}`,
			"a@1.0.0": `"peerDependencies": {"p": "*"}`, "p@1.0.0": ``, "p@2.0.0": ``,
		}, `"dependencies": {"x": "1", "y": "1"}`, "a 1.0.0", "p 1.0.0", "x 1.0.0", "y 1.0.0", "y > p 2.0.0")
	})
	t.Run("a name that is a peer and a dependency is the dependency", func(t *testing.T) { // bun PR#36631
		wantTree(t, world{"a@1.0.0": `"peerDependencies": {"p": "1"}, "dependencies": {"p": "2"}`, "p@1.0.0": ``, "p@2.0.0": ``},
			`"dependencies": {"a": "1", "p": "1"}`, "a 1.0.0", "a > p 2.0.0", "p 1.0.0")
	})
	t.Run("peers of peers", func(t *testing.T) { // bun PR#36300
		w, root := peerWorld()
		wantTree(t, w, root, "host 1.0.0", "plugin-a 1.0.0", "plugin-a > util 1.0.0", "plugin-b 1.0.0", "preset 1.0.0", "side 2.0.0", "util 2.0.0")
	})
	t.Run("peers that need each other", func(t *testing.T) {
		wantTree(t, world{"a@1.0.0": `"peerDependencies": {"b": "1"}`, "b@1.0.0": `"peerDependencies": {"a": "1"}`, "x@1.0.0": `"dependencies": {"a": "1"}`},
			`"dependencies": {"x": "1"}`, "a 1.0.0", "b 1.0.0", "x 1.0.0")
	})
	t.Run("the project's own peers are installed", func(t *testing.T) {
		wantTree(t, world{"p@1.0.0": ``, "q@1.0.0": ``}, `"peerDependencies": {"p": "1", "q": "1"}, "peerDependenciesMeta": {"q": {"optional": true}}`, "p 1.0.0")
	})
}

// TestPeerConflicts holds SPEC Q108: what the project asks for must go together; what its
// dependencies ask for among themselves is nested, or told.
func TestPeerConflicts(t *testing.T) {
	w := world{
		"a@1.0.0": `"peerDependencies": {"p": "^1"}`, "b@1.0.0": `"peerDependencies": {"p": "^2"}`, "p@1.0.0": ``, "p@2.0.0": ``,
		"x@1.0.0": `"dependencies": {"a": "1"}`, "y@1.0.0": `"dependencies": {"a": "1", "b": "1"}`,
		"o@1.0.0": `"dependencies": {"a": "1", "p": "2"}`,
	}
	for _, root := range []string{`"dependencies": {"a": "1", "p": "2"}`, `"dependencies": {"a": "1", "b": "1"}`} {
		_, err := resolve(t, w, Options{}, root)
		var conflict *ConflictError
		if !errors.As(err, &conflict) || conflict.Peer.Name != "p" {
			t.Errorf("%s: %v", root, err)
		}
	}
	wantError(t, w, `"dependencies": {"a": "1", "p": "2"}`, `ERESOLVE: a@1.0.0 needs the peer p@"^1", but p@2.0.0 (the project asks for p@"2") is there`)
	wantTree(t, w, `"dependencies": {"x": "1", "p": "2"}`, "p 2.0.0", "x 1.0.0", "x > a 1.0.0", "x > p 1.0.0")
	wantTree(t, w, `"dependencies": {"o": "1"}`, "a 1.0.0", "o 1.0.0", "o > p 2.0.0", "p 1.0.0")
	wantTree(t, w, `"dependencies": {"y": "1"}`, "a 1.0.0", "p 1.0.0", "y 1.0.0", "y > b 1.0.0", "y > p 2.0.0")
}
