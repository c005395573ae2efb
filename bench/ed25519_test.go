// Package bench holds what es is measured against, and scripts that measure.
package bench

import (
	"crypto/ed25519"
	"encoding/binary"
	"testing"
)

// BenchmarkEd25519Verify is the floor of verifying a record: one signature of
// Go's standard library over as many bytes as a small release has.
func BenchmarkEd25519Verify(b *testing.B) {
	seed := make([]byte, ed25519.SeedSize)
	key := ed25519.NewKeyFromSeed(seed)
	public := key.Public().(ed25519.PublicKey)
	const n = 256
	messages, signatures := make([][]byte, n), make([][]byte, n)
	for i := range messages {
		messages[i] = make([]byte, 500)
		binary.BigEndian.PutUint64(messages[i], uint64(i))
		signatures[i] = ed25519.Sign(key, messages[i])
	}
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if !ed25519.Verify(public, messages[i%n], signatures[i%n]) {
				b.Error("a good signature does not verify")
				return
			}
		}
	})
}
