package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"sync"
	"time"

	golog "github.com/ipfs/go-log/v2"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/gologshim"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/everythingstays/es/gossip"
	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/ingest"
	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/node/localapi"
	"github.com/everythingstays/es/node/outbox"
	"github.com/everythingstays/es/node/pull"
	"github.com/everythingstays/es/node/replica"
	"github.com/everythingstays/es/node/swarm"
	"github.com/everythingstays/es/reconcile"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
	"github.com/everythingstays/es/transfer"
	"github.com/everythingstays/es/trust"
)

const (
	leaveTimeout = 5 * time.Second
	lingerQuiet  = time.Second // without a block being asked for
	lingerMost   = time.Minute
)

// parts are what runs in a node. Each has of the others what it was made with.
type parts struct {
	swarm    *swarm.Swarm
	gossip   *gossip.Gossip
	ingester *ingest.Ingester
	queue    *ingest.Queue // of what gossip brings
	puller   *pull.Puller
	outbox   *outbox.Outbox
	fetcher  *replica.Fetcher
	seeder   *replica.Seeder
	api      *localapi.Server // nil without a local API
	served   lastTime         // when a block or a record was last read for a peer
}

// open makes everything that runs; on an error nothing is left behind. What bitswap
// starts ends with base.
func (n *Node) open(base context.Context) (_ *parts, err error) {
	p := &parts{}
	cfg := n.swarm
	if n.cfg.Ephemeral {
		cfg.Key, err = swarm.NewIdentity()
	} else {
		cfg.Key, err = n.home.Identity()
	}
	if err != nil {
		return nil, err
	}
	cfg.Gossiping = func() []peer.ID { return p.gossip.Peers(gossip.TopicRecords) }
	if p.swarm, err = swarm.New(cfg); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.swarm.Close()
		}
	}()
	ix, log := n.home.Index(), n.cfg.Log
	p.ingester = ingest.New(ingest.Config{Index: ix, Trust: n.home.Trust, Own: n.home.OwnFingerprints, Stored: p.stored(log), Now: n.now, Log: log})
	ix.LimitStrangers(index.StrangersLimit{Keep: p.ingester.Follows})
	p.queue = ingest.NewQueue(p.ingester)
	p.gossip, err = gossip.New(p.swarm.Host(), gossip.Config{
		Accept:  fromGossip(p.swarm, p.ingester, p.queue),
		Workers: ingest.MaxQueued,
		Dropped: func(d gossip.Drops) {
			log.Warn("gossip dropped messages", "counts", fmt.Sprintf("%+v", d))
			p.puller.Lacks()
		},
		Log: log,
	})
	if err != nil {
		return nil, err
	}
	p.outbox = outbox.New(outbox.Config{Swarm: p.swarm, Gossip: p.gossip, Index: ix, Ephemeral: n.cfg.Ephemeral, Sent: p.served.set, Log: log})
	p.puller, err = pull.New(pull.Config{
		Swarm: p.swarm, Index: ix, Ingester: p.ingester, Everything: n.cfg.Seed == api.SeedAll, Ephemeral: n.cfg.Ephemeral,
		Begin:  func(from peer.ID) pull.Session { return &pulled{ingester: p.ingester, swarm: p.swarm, from: from} },
		Served: p.served.set, Announce: p.outbox.AnnounceAgain, SetSynced: n.home.SetSynced, Log: log,
	})
	if err != nil {
		return nil, err
	}
	p.fetcher = replica.NewFetcher(base, replica.Config{Swarm: p.swarm, Index: ix, Blocks: n.home.Blocks(), Served: p.served.set, Timeouts: n.timeouts, Log: log})
	p.seeder = replica.NewSeeder(replica.SeederConfig{Fetcher: p.fetcher, Dir: n.home.Dir(), Seed: n.cfg.Seed, Trust: p.ingester.Trust, Decides: decides(p.ingester, log)})
	ping.NewPingService(p.swarm.BoundedHost())
	if err = p.swarm.Listen(); err != nil {
		return nil, err
	}
	if !n.cfg.Ephemeral && !n.noAPI {
		if p.api, err = localapi.Listen(n.home.Dir(), n); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// stored is told of every record that arrives.
func (p *parts) stored(log *slog.Logger) func(context.Context, sign.Verified, index.Outcome) {
	return func(ctx context.Context, v sign.Verified, o index.Outcome) {
		log.Debug("stored", "record", v.ID().String(), "author", v.Record().Author.String(), "kind", v.Record().Body.Kind())
		if o == index.Equivocation {
			p.outbox.AnnounceProof(v.ID())
		}
		if r, ok := v.Record().Body.(*records.Release); ok {
			p.seeder.Offer(ctx, v.ID(), v.Record().Author, r)
		}
	}
}

// decides reports whether the author is among those that the user lets decide about the
// name.
func decides(g *ingest.Ingester, log *slog.Logger) func(context.Context, records.Fingerprint, records.Name) bool {
	return func(ctx context.Context, author records.Fingerprint, name records.Name) bool {
		evaluator, err := g.Evaluator(ctx)
		if err == nil {
			var ruling *trust.Ruling
			if ruling, err = evaluator.Ruling(ctx, name); err == nil {
				return ruling.Decides(author)
			}
		}
		log.Error("read whom the user trusts", "err", err)
		return false
	}
}

// silenceLibraries keeps libraries from writing to standard error: what goes wrong with a
// peer is their business, and what matters comes back as an error.
var silenceLibraries = sync.OnceFunc(func() {
	gologshim.SetDefaultHandler(slog.DiscardHandler)
	golog.SetAllLoggers(golog.LevelFatal)
	log.SetOutput(io.Discard)
})

// Run takes part in the network until ctx ends or Close is called, and then
// returns nil when everything it started has ended. It can be called once. The
// error is a *home.LockedError when the home has a daemon.
func (n *Node) Run(ctx context.Context) error {
	if n.started.Swap(true) {
		return errors.New("run node: Run was called twice")
	}
	defer close(n.done)
	unlock, err := n.lock()
	if err != nil {
		return err
	}
	defer unlock()
	// Gossip and bitswap go on after ctx while the node says goodbye.
	base, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	p, err := n.open(base)
	if err != nil {
		return fmt.Errorf("run node: %w", err)
	}
	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var serving, working sync.WaitGroup
	start := func(parts *sync.WaitGroup, ctx context.Context, runs ...func(context.Context) error) {
		for _, run := range runs {
			parts.Go(func() {
				if err := run(ctx); err != nil {
					cancel(err)
				}
			})
		}
	}
	start(&serving, base, p.queue.Run, p.gossip.Run, p.puller.Serve, p.fetcher.Serve)
	if err := swarm.AwaitProtocols(work, p.swarm.Host(), pubsub.GossipSubID_v12, reconcile.Protocol, transfer.ID); err != nil {
		cancel(err)
	}
	start(&working, work, p.swarm.Run, p.outbox.Run, p.seeder.Run, p.puller.Run)
	if p.api != nil {
		start(&working, work, p.api.Run)
	}
	n.parts = p
	close(n.ready)

	select {
	case <-n.closing:
		if n.cfg.Ephemeral {
			p.lingerFor(work, n.linger)
		}
	case <-work.Done():
	}
	err = context.Cause(work)
	cancel(context.Canceled)
	working.Wait()
	p.leave(base, n.cfg.Log)
	stop()
	serving.Wait()
	p.close(n.cfg.Log)
	if err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("run node: %w", err)
	}
	return nil
}

// lock keeps a second daemon from the home; a node for one command is none.
func (n *Node) lock() (unlock func(), err error) {
	if n.cfg.Ephemeral {
		return func() {}, nil
	}
	return n.home.LockDaemon()
}

// close gives back what the node had of the machine.
func (p *parts) close(log *slog.Logger) {
	if err := errors.Join(p.fetcher.Close(), p.swarm.Close()); err != nil {
		log.Debug("close node", "err", err)
	}
}

// leave says goodbye to gossip and takes out of the outbox what peers confirm.
func (p *parts) leave(ctx context.Context, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	if len(p.gossip.Peers(gossip.TopicRecords)) == 0 {
		return
	}
	confirmed, err := p.gossip.Leave(ctx)
	if err != nil {
		log.Debug("leave gossip", "err", err)
	}
	if confirmed > 0 {
		if err := p.outbox.Confirm(ctx); err != nil {
			log.Error("mark records as announced", "err", err)
		}
	}
}

// lingerFor stays while peers fetch what was just announced, until nothing was asked for
// during quiet: they may be the only ones to have it tomorrow.
func (p *parts) lingerFor(ctx context.Context, quiet time.Duration) {
	end := time.After(lingerMost)
	for {
		left := time.Until(p.served.get().Add(quiet))
		if left <= 0 || len(p.swarm.Connected()) == 0 {
			return
		}
		select {
		case <-time.After(left):
		case <-end:
			return
		case <-ctx.Done():
			return
		}
	}
}

// lastTime remembers when something last happened.
type lastTime struct {
	mu sync.Mutex
	at time.Time
}

func (t *lastTime) set() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at = time.Now()
}

func (t *lastTime) get() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at
}
