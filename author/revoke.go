package author

import (
	"bytes"
	"context"
	"time"

	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// Revoke returns key with a revocation that its secret makes now. It waits for the next
// second: what the key has signed within this one, such as who succeeds it, would not count
// any more.
func Revoke(ctx context.Context, key *sign.Key, secret *sign.SecretKey, reason sign.Reason, text string, now func() time.Time) (*sign.Key, error) {
	t := now()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(t.Truncate(time.Second).Add(time.Second).Sub(t)):
	}
	made, err := secret.Revoke(reason, text, now())
	if err != nil {
		return nil, err
	}
	return key.Merge(made)
}

// An OwnSecret is an own key with the file that keeps its secret, nil where another program
// does.
type OwnSecret struct {
	Key  records.Fingerprint
	File []byte
}

// HoldsSecret returns the own key whose secret is in the contents of a file; such a file is
// never published, whoever allows it.
func HoldsSecret(contents []byte, own []OwnSecret) (records.Fingerprint, bool) {
	k, err := sign.ReadKey(contents)
	for _, o := range own {
		if err == nil && k.Fingerprint() == o.Key || len(o.File) > 0 && bytes.Contains(contents, bytes.TrimSpace(o.File)) {
			return o.Key, true
		}
	}
	return records.Fingerprint{}, false
}
