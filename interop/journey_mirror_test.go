package interop

import (
	"path/filepath"
	"slices"
	"testing"
)

// TestJourneyMirror runs a node that keeps what others publish: it says that it can
// be reached and what it keeps, and serves readers when the author is gone and when
// it was started again.
func TestJourneyMirror(t *testing.T) {
	net := newInternet(t)
	operator, ada, reader := newcomer(t, net.host("mirror")), newcomer(t, net.host("ada")), newcomer(t, net.host("reader"))
	mirror := operator.daemon("--seed", "all")
	types := func(u *user, dir, line string, texts ...string) {
		t.Helper()
		u.shell(dir, line).ends(t, 0, texts...)
	}
	home := filepath.Dir(operator.home)
	types(operator, home, "es status", "node      running", "address   "+mirror.addrs[0], "seeds     all: ")

	ada.shell(t.TempDir(), "es key new --name Ada --no-passphrase").ends(t, 0)
	source := small(t, "kept")
	types(ada, source, "es connect "+mirror.addrs[0])
	adas := ada.daemon()
	types(ada, source, "es publish --wait 30s", "files at 1 peer")
	types(operator, home, "es status", "peers     1 connected", "dialled by 1 connected peer", "index     1 record by 1 author, 1 release")
	types(operator, home, "es doctor", "ok       reach", "dialled by 1 connected peer", "ok       seeds    all: ", "modules take")
	adas.stop()

	// It is started again without a word, and is what it was.
	kept := mirror.addrs
	mirror.stop()
	mirror = operator.daemon()
	if !slices.Equal(mirror.addrs, kept) {
		t.Errorf("it listens on %q, and before on %q", mirror.addrs, kept)
	}
	types(operator, home, "es status", "seeds     all: ", "index     1 record by 1 author, 1 release")
	project := reader.project()
	types(reader, project, "es connect "+mirror.addrs[0])
	types(reader, project, "es trust add "+keyOf(ada)+" kept --yes")
	types(reader, project, "es add kept --yes", "+  kept@1.0.0")
	if diff := differences(readTree(t, filepath.Join(project, "node_modules", "kept")), readTree(t, source)); diff != "" {
		t.Error(diff)
	}
	if said := mirror.messages(); said != "" {
		t.Errorf("the mirror complains: %s", said)
	}
}
