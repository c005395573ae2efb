package registry

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/everythingstays/es/internal/atomicfile"
	"github.com/everythingstays/es/internal/regularfile"
)

const (
	confirmPath    = "/-/es/confirm"
	confirmTimeout = 5 * time.Second
	maxSmall       = 4 << 10 // bytes of a file of one value
)

// confirming answers who asks whether this is the home's process: with what only they
// can know who can read the home.
func confirming(next http.Handler, token string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != confirmPath {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		// Who has left reads no answer.
		_, _ = io.WriteString(w, proof(token, r.URL.Query().Get("nonce")))
	})
}

func proof(token, nonce string) string {
	h := hmac.New(sha256.New, []byte(token))
	io.WriteString(h, "es registry "+nonce)
	return hex.EncodeToString(h.Sum(nil))
}

// confirm makes sure that a process of the home answers at a URL: the port may be
// another program's.
func confirm(ctx context.Context, s Served) error {
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	nonce := rand.Text()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(s.URL, "/")+confirmPath+"?nonce="+nonce, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%w (%v)", ErrImpostor, withoutAddr(err))
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, maxSmall))
	if err != nil || !hmac.Equal(got, []byte(proof(s.Token, nonce))) {
		return ErrImpostor
	}
	return nil
}

// readServed reads where the home's registry is served; nowhere yet is no error.
func (s *Server) readServed() (Served, error) {
	url, err := readWord(s.file("registry.addr"))
	if err != nil || url == "" {
		return Served{}, err
	}
	token, err := readWord(s.file("registry.token"))
	if err != nil || token == "" {
		return Served{}, err
	}
	return Served{URL: url, Token: token}, nil
}

// readWord reads a file of one line; a file that is not there has none.
func readWord(path string) (string, error) {
	b, err := regularfile.Read(path, maxSmall)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find the registry of this home: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// ownToken is the home's token, which is made when it is first needed.
func (s *Server) ownToken() (string, error) {
	path := s.file("registry.token")
	token, err := readWord(path)
	if err != nil || token != "" {
		return token, err
	}
	token = "es_" + rand.Text()
	if err := atomicfile.Replace(path, []byte(token+"\n")); err != nil {
		return "", fmt.Errorf("make the registry's token: %w", err)
	}
	return token, nil
}
