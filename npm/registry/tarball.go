package registry

import (
	"context"
	"crypto/sha512"
	"fmt"
	"hash"
	"io"
	"net/http"

	"github.com/everythingstays/es/npm"
)

// An IntegrityError says that a registry sent other bytes than it names.
type IntegrityError struct {
	URL       string
	Want, Got [sha512.Size]byte
}

func (e *IntegrityError) Error() string {
	return fmt.Sprintf("%s: the bytes have %s, not %s", e.URL, npm.FormatIntegrity(e.Got), npm.FormatIntegrity(e.Want))
}

// Tarball copies the tarball at target to w, at most limit bytes, and returns its
// length and SHA-512. If want is given, other bytes are an *IntegrityError. What w
// got of a transfer that failed is worth nothing; the caller begins again with
// another w.
func (c *Client) Tarball(ctx context.Context, target string, want *[sha512.Size]byte, limit int64, w io.Writer) (int64, [sha512.Size]byte, error) {
	var got [sha512.Size]byte
	resp, err := c.get(ctx, target, http.Header{"Accept": {"application/octet-stream, */*;q=0.1"}})
	if err != nil {
		return 0, got, err
	}
	defer resp.Body.Close()
	if resp.ContentLength > limit {
		return 0, got, &SizeError{"the tarball", limit}
	}
	h := sha512.New()
	n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return n, got, fmt.Errorf("fetch %s: %w", resp.Request.URL.Redacted(), err)
	}
	if n > limit {
		return n, got, &SizeError{"the tarball", limit}
	}
	got = sum(h)
	if want != nil && got != *want {
		return n, got, &IntegrityError{resp.Request.URL.Redacted(), *want, got}
	}
	return n, got, nil
}

func sum(h hash.Hash) (s [sha512.Size]byte) {
	h.Sum(s[:0])
	return s
}
