package sign

import (
	"bytes"
	"testing"
)

// What Armor adds for gpg, ReadKey takes away again, and the byte order mark of an editor
// (SPEC S47).
func TestArmorReadsBack(t *testing.T) {
	for _, kind := range testKinds {
		t.Run(kind, func(t *testing.T) {
			k := mustParse(t, newForger(t, kind).block())
			armored := k.Armor()
			back, err := ReadKey(armored)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(back.Block(), k.Block()) {
				t.Error("the key block is another after armor")
			}
			marked, err := ReadKey(append([]byte("\xef\xbb\xbf"), armored...))
			if err != nil || !bytes.Equal(marked.Block(), k.Block()) {
				t.Errorf("after a byte order mark: %v", err)
			}
		})
	}
}
