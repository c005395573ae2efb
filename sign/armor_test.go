package sign

import (
	"bytes"
	"testing"
)

// What Armor adds for gpg, ReadKey takes away again.
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
		})
	}
}
