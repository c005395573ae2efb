package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/records"
)

// Client is the local API of a running daemon. It implements Network.
type Client struct {
	http *http.Client
}

// A VersionError says that the running daemon is of another version of es, which
// this one cannot talk to.
type VersionError struct {
	Daemon, Client string // versions of the local API
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("the running es node has local API version %.20q, this es has %q: restart it", e.Daemon, e.Client)
}

// Dial connects to the daemon of the home. The error is ErrNoDaemon when none
// answers, and a *VersionError when it speaks another version of the local API.
func Dial(ctx context.Context, h *Home) (*Client, error) {
	first, err := h.dialAPI(ctx)
	if err != nil {
		return nil, err
	}
	first.Close()
	c := &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return h.dialAPI(ctx) },
	}}}
	if _, err := c.Status(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("ask the running es node: %w", err)
	}
	return c, nil
}

// Announce implements Network.
func (c *Client) Announce(ctx context.Context, ids []cid.Cid) (a Announced, err error) {
	r := announceRequest{Records: []string{}}
	for _, id := range ids {
		r.Records = append(r.Records, id.String())
	}
	err = c.call(ctx, http.MethodPost, "announce", r, &a)
	return a, err
}

// AnnounceKey implements Network.
func (c *Client) AnnounceKey(ctx context.Context, key records.Fingerprint) (a Announced, err error) {
	err = c.call(ctx, http.MethodPost, "announce-key", announceKeyRequest{key}, &a)
	return a, err
}

// Connect implements Network.
func (c *Client) Connect(ctx context.Context, addr string) (p PeerInfo, err error) {
	err = c.call(ctx, http.MethodPost, "connect", connectRequest{addr}, &p)
	return p, err
}

// Peers implements Network.
func (c *Client) Peers(ctx context.Context) (all []PeerInfo, err error) {
	err = c.call(ctx, http.MethodGet, "peers", nil, &all)
	return all, err
}

// Status implements Network.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.call(ctx, http.MethodGet, "status", nil, &s)
	return s, err
}

// Fetch implements Network. The daemon goes on when ctx ends only for others who
// want the same.
func (c *Client) Fetch(ctx context.Context, w Want, progress func(Progress)) error {
	q := fetchRequest{Root: text(w.Root), Size: w.Size, Files: w.Files, Record: text(w.Record)}
	body, err := c.send(ctx, http.MethodPost, "fetch", q)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := json.NewDecoder(body)
	for {
		var e fetchEvent
		if err := lines.Decode(&e); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("fetch %s: the running es node has ended", w.Root)
		}
		switch {
		case e.Error != nil:
			return e.Error.err()
		case e.Done:
			return nil
		case e.Progress != nil && progress != nil:
			progress(*e.Progress)
		}
	}
}

// Sync implements Network.
func (c *Client) Sync(ctx context.Context, o SyncOptions, progress func(Synced)) (Synced, error) {
	body, err := c.send(ctx, http.MethodPost, "sync", o)
	if err != nil {
		return Synced{}, err
	}
	defer body.Close()
	lines := json.NewDecoder(body)
	for {
		var e syncEvent
		if err := lines.Decode(&e); err != nil {
			if ctx.Err() != nil {
				return Synced{}, ctx.Err()
			}
			return Synced{}, errors.New("sync: the running es node has ended")
		}
		switch {
		case e.Error != nil:
			return Synced{}, e.Error.err()
		case e.Done != nil:
			return *e.Done, nil
		case e.Progress != nil && progress != nil:
			progress(*e.Progress)
		}
	}
}

// Holders implements Network.
func (c *Client) Holders(ctx context.Context, root cid.Cid) (h Holders, err error) {
	err = c.call(ctx, http.MethodPost, "holders", holdersRequest{text(root)}, &h)
	return h, err
}

// Survey implements Network.
func (c *Client) Survey(ctx context.Context, authors []records.Fingerprint) (all []Answer, err error) {
	if authors == nil {
		authors = []records.Fingerprint{}
	}
	err = c.call(ctx, http.MethodPost, "survey", surveyRequest{authors}, &all)
	return all, err
}

// Close implements Network. The daemon goes on.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// call sends a request and reads its whole answer into a.
func (c *Client) call(ctx context.Context, method, path string, q, a any) error {
	body, err := c.send(ctx, method, path, q)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, maxReply)).Decode(a); err != nil {
		return fmt.Errorf("read the answer of the running es node: %w", err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, q any) (io.ReadCloser, error) {
	var body io.Reader
	if q != nil {
		b, err := json.Marshal(q)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://es/v1/"+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set(versionHeader, apiVersion)
	answer, err := c.http.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, ErrNoDaemon) {
			return nil, ErrNoDaemon
		}
		return nil, fmt.Errorf("ask the running es node: %v", err)
	}
	if v := answer.Header.Get(versionHeader); v != apiVersion {
		answer.Body.Close()
		return nil, &VersionError{Daemon: v, Client: apiVersion}
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		var e apiError
		if err := json.NewDecoder(io.LimitReader(answer.Body, maxReply)).Decode(&e); err != nil {
			return nil, fmt.Errorf("ask the running es node: %s", answer.Status)
		}
		return nil, e.err()
	}
	return answer.Body, nil
}

// Join returns the running daemon of the home or, without one, a node in this
// process that dials the remembered peers and cfg.Bootstrap. It lasts until
// Close, which may take up to a minute while peers fetch what was announced, or
// until ctx ends.
func Join(ctx context.Context, h *Home, cfg Config) (Network, error) {
	c, err := Dial(ctx, h)
	if err == nil {
		return c, nil
	}
	if !errors.Is(err, ErrNoDaemon) {
		return nil, err
	}
	cfg.Ephemeral = true
	n, err := New(ctx, h, cfg)
	if err != nil {
		return nil, err
	}
	failed := make(chan error, 1)
	go func() { failed <- n.Run(ctx) }() // Close waits for it
	select {
	case <-n.Ready():
		return n, nil
	case err := <-failed:
		if err == nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
}

var (
	_ Network = (*Node)(nil)
	_ Network = (*Client)(nil)
)
