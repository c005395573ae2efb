package endpoint

import (
	"bytes"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// serveBytes writes a packument whose ETag is set. Last-Modified is rounded up, so
// that it never says that a version is older than it is.
func serveBytes(w http.ResponseWriter, r *http.Request, doc *document) {
	modified := doc.modified
	if whole := modified.Truncate(time.Second); !whole.Equal(modified) {
		modified = whole.Add(time.Second)
	}
	http.ServeContent(w, r, "", modified, bytes.NewReader(doc.body))
}

// tarball serves the bytes of a version, also parts of them.
func (e *Endpoint) tarball(w http.ResponseWriter, r *http.Request, name, file string) error {
	base := name[strings.IndexByte(name, '/')+1:]
	version, ok := strings.CutPrefix(file, base+"-")
	if !ok {
		return errNotFound
	}
	if version, ok = strings.CutSuffix(version, ".tgz"); !ok || version == "" {
		return errNotFound
	}
	t, err := e.cfg.Source.Tarball(r.Context(), name, version)
	if err != nil {
		return err
	}
	defer t.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("ETag", `"`+hex.EncodeToString(t.SHA512[:20])+`"`)
	h.Set("Cache-Control", "public, immutable, max-age=31536000")
	http.ServeContent(w, r, "", time.Time{}, t)
	return nil
}
