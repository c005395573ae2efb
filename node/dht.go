package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	kad "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/amino"
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
	tableFirst  = 5 * time.Second // until somebody of the DHT answers
	tablePoll   = 20 * time.Millisecond
	tableMemory = 16 << 20 // bytes of others' records, of each of the two kinds
)

// errNoTable says that nobody of the DHT is there.
var errNoTable = errors.New("nobody of the DHT answers")

// table is this node's part of the DHT. Nothing of it runs before it is opened.
type table struct {
	live *live
	kind api.DHT

	mu     sync.Mutex
	dht    *kad.IpfsDHT
	met    []peer.AddrInfo // entrances, where they were found when they were last dialled
	closed bool
}

// rendezvousCID is what nodes provide to be found by others.
func rendezvousCID() cid.Cid {
	h, err := multihash.Sum([]byte(rendezvous), multihash.SHA2_256, -1)
	if err != nil {
		panic(err) // SHA2-256 is always there
	}
	return cid.NewCidV1(cid.Raw, h)
}

// open starts this node's part of the DHT, once.
func (t *table) open() (*kad.IpfsDHT, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dht != nil {
		return t.dht, nil
	}
	if t.closed {
		return nil, api.ErrClosed
	}
	d, err := kad.New(patientHost{t.live.host, t.live.node.idle}, t.options()...)
	if err != nil {
		return nil, fmt.Errorf("start the DHT: %w", err)
	}
	t.dht = d
	return d, nil
}

func (t *table) options() []kad.Option {
	options := []kad.Option{
		kad.BootstrapPeersFunc(t.found), // which has no names in it
		kad.ProviderDatastore(newBoundedStore(tableMemory)),
		kad.ValueDatastore(newBoundedStore(tableMemory)),
		kad.EnableOptimisticProvide(),
	}
	mode := kad.ModeClient
	if t.kind == api.DHTOwn {
		if !t.live.node.cfg.Ephemeral {
			mode = kad.ModeServer
		}
		return append(options, kad.Mode(mode), kad.ProtocolExtension(ownDHT))
	}
	if !t.live.node.cfg.Ephemeral {
		mode = kad.ModeAuto // a server while others can reach this node
	}
	return append(options, kad.Mode(mode),
		kad.AddressFilter(publicAddrs),
		kad.QueryFilter(kad.PublicQueryFilter),
		kad.RoutingTableFilter(kad.PublicRoutingTableFilter),
		kad.RoutingTablePeerDiversityFilter(kad.NewRTPeerDiversityFilter(t.live.host, amino.DefaultMaxPeersPerIPGroupPerCpl, amino.DefaultMaxPeersPerIPGroup)),
	)
}

func publicAddrs(all []ma.Multiaddr) []ma.Multiaddr {
	return ma.FilterAddrs(all, manet.IsPublicAddr)
}

// addrs are those of a peer's addresses that the DHT may have told of it.
func (t *table) addrs(all []ma.Multiaddr) []ma.Multiaddr {
	if t.kind == api.DHTPublic {
		return publicAddrs(all)
	}
	return all
}

// entrances are the peers through whom one gets into the DHT.
func (t *table) entrances() []peer.AddrInfo {
	if t.kind == api.DHTPublic {
		return kad.GetDefaultBootstrapPeerAddrInfos()
	}
	return t.live.node.bootstrap
}

// found are the entrances as they were dialled last.
func (t *table) found() []peer.AddrInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.met)
}

// resolve returns the entrance with addresses in place of names. Those that are
// built in lead to public addresses alone.
func (t *table) resolve(ctx context.Context, info peer.AddrInfo) (peer.AddrInfo, error) {
	addrs, err := address.Resolve(ctx, t.live.node.names, info)
	if err != nil {
		return info, err
	}
	info.Addrs = t.addrs(addrs)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.met = append(slices.DeleteFunc(t.met, func(m peer.AddrInfo) bool { return m.ID == info.ID }), info)
	return info, nil
}

// ready waits until somebody of the DHT is known, for at most tableFirst.
func (t *table) ready(ctx context.Context) (*kad.IpfsDHT, error) {
	d, err := t.open()
	if err != nil {
		return nil, err
	}
	if d.RoutingTable().Size() > 0 {
		return d, nil
	}
	if t.kind == api.DHTPublic && len(address.LocalNetworks().Nets) == 0 {
		return nil, errNoTable
	}
	ctx, cancel := context.WithTimeout(ctx, tableFirst)
	defer cancel()
	in := make(chan bool, 1)
	go func() { in <- t.enter(ctx) }()
	tick := time.NewTicker(tablePoll)
	defer tick.Stop()
	for d.RoutingTable().Size() == 0 {
		select {
		case ok := <-in:
			if !ok && len(connected(t.live.host)) == 0 {
				return nil, errNoTable
			}
		case <-ctx.Done():
			return nil, errNoTable
		case <-tick.C:
		}
	}
	return d, nil
}

// enter connects to the entrances, and reports whether one let it in.
func (t *table) enter(ctx context.Context) bool {
	var dials sync.WaitGroup
	var ok atomic.Bool
	how := foundDHT
	if t.kind == api.DHTOwn {
		how = foundAsked
	}
	for _, info := range t.entrances() {
		if info.ID == t.live.host.ID() {
			continue
		}
		dials.Go(func() {
			at, err := t.resolve(ctx, info)
			if err == nil {
				err = t.live.find.dial(ctx, at, how, dialTimeout)
			}
			if err != nil {
				t.live.log.Debug("dial a peer of the DHT", "peer", info.ID.String(), "err", err)
				return
			}
			ok.Store(true)
		})
	}
	dials.Wait()
	return ok.Load()
}

// status describes the table without opening it.
func (t *table) status() api.DHTStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := api.DHTStatus{Network: t.kind}
	if t.dht == nil {
		return s
	}
	s.Peers, s.Mode = t.dht.RoutingTable().Size(), "client"
	if slices.ContainsFunc(t.live.host.Mux().Protocols(), func(p protocol.ID) bool { return strings.HasSuffix(string(p), "/kad/1.0.0") }) {
		s.Mode = "server"
	}
	return s
}

func (t *table) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.dht == nil {
		return nil
	}
	return t.dht.Close()
}
