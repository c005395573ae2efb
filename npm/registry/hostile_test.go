package registry

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/everythingstays/es/npm/npmrc"
)

// clientCertificate writes a certificate and its key, and returns their files.
func clientCertificate(t *testing.T) npmrc.Credentials {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := npmrc.Credentials{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	err = errors.Join(
		os.WriteFile(files.CertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600),
		os.WriteFile(files.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// What proves who asks is not shown to where a registry redirects: also not a client
// certificate that the other side asks for.
func TestClientCertificateAfterRedirect(t *testing.T) {
	serveTLS := func(h http.HandlerFunc) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	var shown, stolen atomic.Int32
	other := serveTLS(func(w http.ResponseWriter, r *http.Request) {
		stolen.Add(int32(len(r.TLS.PeerCertificates)))
		io.WriteString(w, `{"name": "x"}`)
	})
	first := serveTLS(func(w http.ResponseWriter, r *http.Request) {
		shown.Add(int32(len(r.TLS.PeerCertificates)))
		http.Redirect(w, r, other.URL+"/x", http.StatusFound)
	})
	files := clientCertificate(t)
	c := New(Config{Insecure: true, Pause: time.Nanosecond, Credentials: func(u *url.URL) npmrc.Credentials {
		if "https://"+u.Host == first.URL {
			return files
		}
		return npmrc.Credentials{}
	}})
	defer c.Close()
	if _, err := c.Packument(t.Context(), first.URL+"/", "x", Abbreviated, Validators{}); err != nil {
		t.Fatal(err)
	}
	if shown.Load() != 1 || stolen.Load() != 0 {
		t.Errorf("the registry saw %d certificates, and the other host %d", shown.Load(), stolen.Load())
	}
}

// A redirect that is not followed will not be better a second later.
func TestRedirectLoopOnce(t *testing.T) {
	var asked atomic.Int32
	c, base := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, "/x", http.StatusFound)
	})
	_, err := c.Packument(t.Context(), base, "x", Abbreviated, Validators{})
	if err == nil || !strings.HasSuffix(err.Error(), "more than 5 redirects") || MayPass(err) {
		t.Errorf("error %v", err)
	}
	if n := asked.Load(); n != MaxRedirects {
		t.Errorf("asked %d times", n)
	}
}

func TestPackumentsThatAreNone(t *testing.T) {
	for body, want := range map[string]string{
		"<!DOCTYPE html><html>portal": `read the packument of "x": it is not JSON: `,
		`{"versions": [[]]}`:          `read the packument of "x": versions is not an object`,
		`{"name": 7}`:                 `read the packument of "x": "/name" has a value of another type of JSON`,
		`{"name": "y"}`:               `read the packument of "x": it is of "y"`,
	} {
		c, base := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) })
		_, err := c.Packument(t.Context(), base, "x", Abbreviated, Validators{})
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "Go") || MayPass(err) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// A small body that unpacks to a large one ends at the limit of its form.
func TestPackumentThatUnpacksToMuch(t *testing.T) {
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	if _, err := io.CopyN(z, zeros{}, MaxAbbreviated+1); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	c, base := serve(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(body.Bytes())
	})
	_, err := c.Packument(t.Context(), base, "x", Abbreviated, Validators{})
	var size *SizeError
	if !errors.As(err, &size) || size.Limit != MaxAbbreviated {
		t.Errorf("error %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestThreat62ClientCertificate: a certificate that is a device or a pipe is an error at once.
func TestThreat62ClientCertificate(t *testing.T) {
	c := New(Config{Credentials: func(*url.URL) npmrc.Credentials {
		return npmrc.Credentials{CertFile: os.DevNull, KeyFile: os.DevNull}
	}})
	defer c.Close()
	if _, err := c.Packument(t.Context(), "http://127.0.0.1:1/", "x", Abbreviated, Validators{}); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("%v", err)
	}
}

// TestRedirectInPlainText: a registry leads nobody to send what is configured for another
// host without TLS. SPEC Q22
func TestRedirectInPlainText(t *testing.T) {
	c := New(Config{Credentials: func(*url.URL) npmrc.Credentials { return npmrc.Credentials{Authorization: "Bearer s3cret"} }})
	defer c.Close()
	request := func(target string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := request("http://evil.example/x")
	for target, sent := range map[string]bool{
		"http://corp.example/x": false, "https://corp.example/x": true, "http://evil.example/y": true, "http://127.0.0.1:4873/x": true,
	} {
		r := request(target)
		if err := c.checkRedirect(r, []*http.Request{first}); err != nil {
			t.Fatal(err)
		}
		if got := r.Header.Get("Authorization") != ""; got != sent {
			t.Errorf("%s: the token is sent: %v, want %v", target, got, sent)
		}
	}
}
