package localapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/records"
)

// A Home is the directory that a daemon serves.
type Home interface {
	Dir() string
	DaemonPID() int // 0 when unknown
}

// Client is the local API of a running daemon. It implements api.Network.
type Client struct {
	http *http.Client
	home Home
	wait time.Duration // for a sign of life
}

// lifeWait is how long a daemon may take to say that it is there, which needs nothing
// of it but to run. While it answers, other calls may take their time.
const lifeWait = 5 * time.Second

// Dial connects to the daemon of the home. The error is ErrNoDaemon when there is
// none, a *StuckError when it does not answer, and a *VersionError when it speaks
// another version of the local API.
func Dial(ctx context.Context, h Home) (*Client, error) { return dial(ctx, h, lifeWait) }

func dial(ctx context.Context, h Home, wait time.Duration) (*Client, error) {
	c := &Client{home: h, wait: wait, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialAPI(ctx, h.Dir()) },
	}}}
	if err := c.alive(ctx); err != nil {
		c.Close()
		if errors.Is(err, ErrNoDaemon) {
			return nil, ErrNoDaemon
		}
		return nil, fmt.Errorf("ask the running es node: %w", err)
	}
	return c, nil
}

// alive asks the daemon for a sign of life (docs/program.md [N105]).
func (c *Client) alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.wait, &StuckError{PID: c.home.DaemonPID(), Wait: c.wait})
	defer cancel()
	body, err := c.request(ctx, http.MethodGet, "alive", nil)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	return body.Close()
}

// watched returns a context that ends, with a *StuckError as its cause, when the daemon
// gives no sign of life any more: a call may take long, and a daemon may be stopped in
// the middle of it. Whoever gets it calls cancel.
func (c *Client) watched(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(c.wait):
			}
			if err := c.alive(ctx); errors.As(err, new(*StuckError)) {
				end(err)
				return
			}
		}
	})
	return ctx, func() {
		end(nil)
		watch.Wait()
	}
}

// Announce implements Network.
func (c *Client) Announce(ctx context.Context, ids []cid.Cid) (a api.Announced, err error) {
	r := announceRequest{Records: []string{}}
	for _, id := range ids {
		r.Records = append(r.Records, id.String())
	}
	err = c.call(ctx, http.MethodPost, "announce", r, &a)
	return a, err
}

// AnnounceKey implements Network.
func (c *Client) AnnounceKey(ctx context.Context, key records.Fingerprint) (a api.Announced, err error) {
	err = c.call(ctx, http.MethodPost, "announce-key", announceKeyRequest{key}, &a)
	return a, err
}

// Connect implements Network.
func (c *Client) Connect(ctx context.Context, addr string) (p api.PeerInfo, err error) {
	err = c.call(ctx, http.MethodPost, "connect", connectRequest{addr}, &p)
	return p, err
}

// Peers implements Network.
func (c *Client) Peers(ctx context.Context) (all []api.PeerInfo, err error) {
	err = c.call(ctx, http.MethodGet, "peers", nil, &all)
	return all, err
}

// Status implements Network.
func (c *Client) Status(ctx context.Context) (s api.Status, err error) {
	err = c.call(ctx, http.MethodGet, "status", nil, &s)
	return s, err
}

// Fetch implements Network. The daemon goes on when ctx ends only for others who
// want the same.
func (c *Client) Fetch(ctx context.Context, w records.Target, progress func(api.Progress)) error {
	q := fetchRequest{Root: text(w.CID), Size: w.Size, Files: w.Files, Record: text(w.Record)}
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
			if errors.As(err, new(*StuckError)) {
				return fmt.Errorf("fetch %s: %w", w.CID, err)
			}
			return fmt.Errorf("fetch %s: the running es node has ended", w.CID)
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
func (c *Client) Sync(ctx context.Context, o api.SyncOptions, progress func(api.Synced)) (api.Synced, error) {
	body, err := c.send(ctx, http.MethodPost, "sync", o)
	if err != nil {
		return api.Synced{}, err
	}
	defer body.Close()
	lines := json.NewDecoder(body)
	for {
		var e syncEvent
		if err := lines.Decode(&e); err != nil {
			if ctx.Err() != nil {
				return api.Synced{}, ctx.Err()
			}
			if errors.As(err, new(*StuckError)) {
				return api.Synced{}, fmt.Errorf("sync: %w", err)
			}
			return api.Synced{}, errors.New("sync: the running es node has ended")
		}
		switch {
		case e.Error != nil:
			return api.Synced{}, e.Error.err()
		case e.Done != nil:
			return *e.Done, nil
		case e.Progress != nil && progress != nil:
			progress(*e.Progress)
		}
	}
}

// Holders implements Network.
func (c *Client) Holders(ctx context.Context, root cid.Cid) (h api.Holders, err error) {
	err = c.call(ctx, http.MethodPost, "holders", holdersRequest{text(root)}, &h)
	return h, err
}

// Survey implements Network.
func (c *Client) Survey(ctx context.Context, authors []records.Fingerprint) (all []api.Answer, err error) {
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

// send makes a call that lasts until the answer is closed, and as long as the daemon
// gives signs of life.
func (c *Client) send(ctx context.Context, method, path string, q any) (io.ReadCloser, error) {
	ctx, cancel := c.watched(ctx)
	body, err := c.request(ctx, method, path, q)
	if err != nil {
		defer cancel()
		return nil, stuckOr(ctx, err)
	}
	return &watchedBody{body, func(err error) error { return stuckOr(ctx, err) }, cancel}, nil
}

// stuckOr returns what ended the context of a call, if it was that the daemon is stuck,
// or else err.
func stuckOr(ctx context.Context, err error) error {
	if stuck := context.Cause(ctx); errors.As(stuck, new(*StuckError)) {
		return fmt.Errorf("ask the running es node: %w", stuck)
	}
	return err
}

// A watchedBody is an answer; reading it fails when the daemon is stuck.
type watchedBody struct {
	io.ReadCloser
	cause  func(error) error // of an error while it is read
	cancel context.CancelFunc
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = b.cause(err)
	}
	return n, err
}

func (b *watchedBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

func (c *Client) request(ctx context.Context, method, path string, q any) (io.ReadCloser, error) {
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
		var e wireError
		if err := json.NewDecoder(io.LimitReader(answer.Body, maxReply)).Decode(&e); err != nil {
			return nil, fmt.Errorf("ask the running es node: %s", answer.Status)
		}
		return nil, e.err()
	}
	return answer.Body, nil
}

var _ api.Network = (*Client)(nil)
