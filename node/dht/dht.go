package dht

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	kad "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/amino"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/node/address"
	"github.com/everythingstays/es/node/api"
)

// Names in the DHT (SPEC.md [D30], [D31]).
const (
	ownDHT     = "/lan" // the DHT that kubo has for networks other than the public one
	rendezvous = "/es/1/peers"
)

const (
	readyTimeout = 5 * time.Second // until somebody of the DHT answers
	readyPoll    = 20 * time.Millisecond
	maxMemory    = 16 << 20 // bytes of others' records, of each of the two kinds
)

// errNoPeers says that nobody of the DHT is there.
var errNoPeers = errors.New("nobody of the DHT answers")

// Config says in which DHT a Table is, and what it works with.
type Config struct {
	Host      host.Host // whose streams end when nothing moves on them
	Network   api.DHT   // not DHTOff
	Ephemeral bool      // for one command: it only asks
	Bootstrap []peer.AddrInfo
	Names     network.MultiaddrDNSResolver // for the bootstrap peers' names
	// Dial connects to a bootstrap peer.
	Dial func(context.Context, peer.AddrInfo) error
	// Connected returns how many peers are.
	Connected func() int
	Log       *slog.Logger
}

// Table is this node's part of the DHT. Nothing of it runs before it is asked something.
type Table struct {
	cfg Config

	mu       sync.Mutex
	dht      *kad.IpfsDHT
	resolved []peer.AddrInfo // bootstrap peers, where they were found when they were last dialled
	closed   bool
}

// New makes a Table.
func New(cfg Config) *Table { return &Table{cfg: cfg} }

// Rendezvous is what nodes provide to be found by others.
func Rendezvous() cid.Cid {
	h, err := multihash.Sum([]byte(rendezvous), multihash.SHA2_256, -1)
	if err != nil {
		panic(err) // SHA2-256 is always there
	}
	return cid.NewCidV1(cid.Raw, h)
}

// open starts this node's part of the DHT, once.
func (t *Table) open() (*kad.IpfsDHT, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dht != nil {
		return t.dht, nil
	}
	if t.closed {
		return nil, api.ErrClosed
	}
	d, err := kad.New(t.cfg.Host, t.options()...)
	if err != nil {
		return nil, fmt.Errorf("start the DHT: %w", err)
	}
	t.dht = d
	return d, nil
}

func (t *Table) options() []kad.Option {
	options := []kad.Option{
		kad.BootstrapPeersFunc(t.resolvedPeers), // which has no names in it
		kad.ProviderDatastore(newBoundedStore(maxMemory)),
		kad.ValueDatastore(newBoundedStore(maxMemory)),
		kad.EnableOptimisticProvide(),
	}
	mode := kad.ModeClient
	if t.cfg.Network == api.DHTOwn {
		if !t.cfg.Ephemeral {
			mode = kad.ModeServer
		}
		return append(options, kad.Mode(mode), kad.ProtocolExtension(ownDHT))
	}
	if !t.cfg.Ephemeral {
		mode = kad.ModeAuto // a server while others can reach this node
	}
	return append(options, kad.Mode(mode),
		kad.AddressFilter(publicAddrs),
		kad.QueryFilter(kad.PublicQueryFilter),
		kad.RoutingTableFilter(kad.PublicRoutingTableFilter),
		kad.RoutingTablePeerDiversityFilter(kad.NewRTPeerDiversityFilter(t.cfg.Host, amino.DefaultMaxPeersPerIPGroupPerCpl, amino.DefaultMaxPeersPerIPGroup)),
	)
}

func publicAddrs(all []ma.Multiaddr) []ma.Multiaddr {
	return ma.FilterAddrs(all, manet.IsPublicAddr)
}

// believed are those of a peer's addresses that the DHT may have told of it.
func (t *Table) believed(all []ma.Multiaddr) []ma.Multiaddr {
	if t.cfg.Network == api.DHTPublic {
		return publicAddrs(all)
	}
	return all
}

// bootstrapPeers are the peers through whom one gets into the DHT.
func (t *Table) bootstrapPeers() []peer.AddrInfo {
	if t.cfg.Network == api.DHTPublic {
		return kad.GetDefaultBootstrapPeerAddrInfos()
	}
	return t.cfg.Bootstrap
}

// resolvedPeers are the bootstrap peers as they were dialled last.
func (t *Table) resolvedPeers() []peer.AddrInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.resolved)
}

// resolve returns a bootstrap peer with addresses in place of names. Those that are
// built in lead to public addresses alone.
func (t *Table) resolve(ctx context.Context, info peer.AddrInfo) (peer.AddrInfo, error) {
	addrs, err := address.Resolve(ctx, t.cfg.Names, info)
	if err != nil {
		return info, err
	}
	info.Addrs = t.believed(addrs)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.resolved = append(slices.DeleteFunc(t.resolved, func(m peer.AddrInfo) bool { return m.ID == info.ID }), info)
	return info, nil
}

// ready waits until somebody of the DHT is known, for at most readyTimeout.
func (t *Table) ready(ctx context.Context) (*kad.IpfsDHT, error) {
	d, err := t.open()
	if err != nil {
		return nil, err
	}
	if d.RoutingTable().Size() > 0 {
		return d, nil
	}
	if t.cfg.Network == api.DHTPublic && len(address.LocalNetworks().Nets) == 0 {
		return nil, errNoPeers
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	in := make(chan bool, 1)
	var joining sync.WaitGroup
	joining.Go(func() { in <- t.bootstrap(ctx) })
	defer joining.Wait()
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for d.RoutingTable().Size() == 0 {
		select {
		case ok := <-in:
			if !ok && t.cfg.Connected() == 0 {
				return nil, errNoPeers
			}
		case <-ctx.Done():
			return nil, errNoPeers
		case <-tick.C:
		}
	}
	return d, nil
}

// bootstrap connects to the bootstrap peers, and reports whether one answered.
func (t *Table) bootstrap(ctx context.Context) bool {
	var dials sync.WaitGroup
	var ok atomic.Bool
	for _, info := range t.bootstrapPeers() {
		if info.ID == t.cfg.Host.ID() {
			continue
		}
		dials.Go(func() {
			at, err := t.resolve(ctx, info)
			if err == nil {
				err = t.cfg.Dial(ctx, at)
			}
			if err != nil {
				t.cfg.Log.Debug("dial a peer of the DHT", "peer", info.ID.String(), "err", err)
				return
			}
			ok.Store(true)
		})
	}
	dials.Wait()
	return ok.Load()
}

// Status describes the table without opening it.
func (t *Table) Status() api.DHTStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := api.DHTStatus{Network: t.cfg.Network}
	if t.dht == nil {
		return s
	}
	s.Peers, s.Mode = t.dht.RoutingTable().Size(), "client"
	if slices.ContainsFunc(t.cfg.Host.Mux().Protocols(), func(p protocol.ID) bool { return strings.HasSuffix(string(p), "/kad/1.0.0") }) {
		s.Mode = "server"
	}
	return s
}

// Peers returns up to n peers of the DHT that are known now.
func (t *Table) Peers(ctx context.Context, n int) ([]peer.ID, error) {
	k, err := t.ready(ctx)
	if err != nil {
		return nil, err
	}
	all := k.RoutingTable().ListPeers()
	return all[:min(n, len(all))], nil
}

// Ready waits until somebody of the DHT is known, for at most 5 s.
func (t *Table) Ready(ctx context.Context) error {
	_, err := t.ready(ctx)
	return err
}

// Provide tells the DHT that this node has what c names.
func (t *Table) Provide(ctx context.Context, c cid.Cid) error {
	k, err := t.ready(ctx)
	if err != nil {
		return err
	}
	return k.Provide(ctx, c, true)
}

// FindProviders asks who provides c, and calls each with up to count of them and where
// they are said to be, at addresses that this DHT may tell of, until each returns false.
// It returns when nobody more is to be expected or ctx ends.
func (t *Table) FindProviders(ctx context.Context, c cid.Cid, count int, each func(peer.AddrInfo) bool) error {
	k, err := t.ready(ctx)
	if err != nil {
		return err
	}
	for info := range k.FindProvidersAsync(ctx, c, count) {
		if info.ID == t.cfg.Host.ID() {
			continue
		}
		info.Addrs = t.believed(info.Addrs)
		if !each(info) {
			return nil
		}
	}
	return nil
}

// FindPeer asks where a peer is.
func (t *Table) FindPeer(ctx context.Context, p peer.ID) (peer.AddrInfo, error) {
	k, err := t.ready(ctx)
	if err != nil {
		return peer.AddrInfo{}, err
	}
	return k.FindPeer(ctx, p)
}

// Close ends this node's part in the DHT.
func (t *Table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.dht == nil {
		return nil
	}
	return t.dht.Close()
}
