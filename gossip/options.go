package gossip

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Limits of the protocol (SPEC.md, Gossip).
const (
	maxRPC           = 64 << 10 // bytes of one message between peers
	maxSubscriptions = 16       // subscriptions in one message between peers
	seenTTL          = 10 * time.Minute
	validationQueue  = 4096 // messages that wait to be validated

	recordRate, recordBurst = 50, 500 // records that one peer may forward, per second and at once
	keyRate, keyBurst       = 10, 500 // key blocks, likewise

	validateTimeout = 2 * time.Second

	graylist      = -2500.0
	invalidWeight = -100.0 // times the square of the number of invalid messages
	invalidMemory = time.Hour
	retainScore   = 10 * time.Minute // of peers that have left, with a score of 0 or less
)

// protocols are those of SPEC G2.
var protocols = []protocol.ID{pubsub.GossipSubID_v12, pubsub.GossipSubID_v11}

// topicWeight scales what a topic adds to a peer's score.
func topicWeight(topic string) float64 {
	if topic == TopicKeys {
		return 0.5
	}
	return 1
}

// messageID hashes every byte, so that a bad copy of a record is another
// message: were the id that of the record, a copy with a broken signature that
// comes first would keep the good one out.
func messageID(m *pb.Message) string {
	h := sha256.New()
	h.Write([]byte(m.GetTopic()))
	h.Write([]byte{0})
	h.Write(m.GetData())
	return string(h.Sum(nil)[:20])
}

func (g *Gossip) options() []pubsub.Option {
	return []pubsub.Option{
		pubsub.WithGossipSubParams(meshParams()),
		pubsub.WithGossipSubProtocols(protocols, pubsub.GossipSubDefaultFeatures),
		// Records sign themselves. Without author and sequence number a
		// message does not say which node published it first.
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithMaxMessageSize(maxRPC),
		pubsub.WithMaxControlMessageSize(maxRPC),
		pubsub.WithSubscriptionFilter(
			pubsub.WrapLimitSubscriptionFilter(pubsub.NewAllowlistSubscriptionFilter(topics...), maxSubscriptions)),
		pubsub.WithValidateQueueSize(validationQueue),
		pubsub.WithValidateWorkers(g.cfg.Workers),
		pubsub.WithPeerOutboundQueueSize(outboundQueue),
		pubsub.WithSeenMessagesTTL(seenTTL),
		pubsub.WithFloodPublish(true),
		pubsub.WithPeerExchange(g.cfg.PeerExchange),
		pubsub.WithDirectPeers(g.cfg.DirectPeers),
		pubsub.WithPeerGater(pubsub.NewPeerGaterParams(0.33,
			pubsub.ScoreParameterDecay(2*time.Minute), pubsub.ScoreParameterDecay(10*time.Minute))),
		pubsub.WithPeerScore(g.scoreParams(), scoreThresholds()),
		pubsub.WithRawTracer(tracer{g}),
		pubsub.WithAppSpecificRpcInspector(g.inspect),
		pubsub.WithLogger(slog.New(asDebug{g.cfg.Log.Handler()})),
	}
}

func meshParams() pubsub.GossipSubParams {
	p := pubsub.DefaultGossipSubParams()
	p.D, p.Dlo, p.Dhi, p.Dscore, p.Dout, p.Dlazy = 8, 6, 12, 6, 3, 12
	// Records are few: advertise them for longer, and believe fewer
	// advertisements.
	p.HistoryLength, p.HistoryGossip = 12, 6
	p.MaxIHaveLength, p.MaxIHaveMessages = 1000, 10
	// Never: announcing each message that comes to all the mesh, before it is validated,
	// lets replayed records make traffic, and saves nothing with records as small
	// as ours.
	p.IDontWantMessageThreshold = maxRPC
	return p
}

func scoreThresholds() *pubsub.PeerScoreThresholds {
	return &pubsub.PeerScoreThresholds{
		GossipThreshold:             -500,
		PublishThreshold:            -1000,
		GraylistThreshold:           graylist,
		AcceptPXThreshold:           1000,
		OpportunisticGraftThreshold: 3.5,
	}
}

func (g *Gossip) scoreParams() *pubsub.PeerScoreParams {
	score := g.colocation.score
	if more := g.cfg.Score; more != nil {
		score = func(p peer.ID) float64 { return more(p) + g.colocation.score(p) }
	}
	topicParams := make(map[string]*pubsub.TopicScoreParams)
	for _, t := range topics {
		topicParams[t] = topicScore(topicWeight(t))
	}
	return &pubsub.PeerScoreParams{
		Topics:        topicParams,
		TopicScoreCap: 100,
		// pubsub's own penalty for sharing an address (P6) counts for hours whoever
		// was there, and soon stops whole offices: colocation is in its place.
		IPColocationFactorWeight:  0,
		AppSpecificScore:          score,
		AppSpecificWeight:         1,
		BehaviourPenaltyThreshold: 6,
		BehaviourPenaltyWeight:    -10,
		BehaviourPenaltyDecay:     pubsub.ScoreParameterDecay(time.Hour),
		DecayInterval:             time.Second,
		DecayToZero:               0.01,
		RetainScore:               retainScore,
		SeenMsgTTL:                seenTTL,
	}
}

// topicScore leaves the deficit penalties (P3, P3b) off: traffic is low and
// uneven, so a quiet peer is no bad peer.
func topicScore(weight float64) *pubsub.TopicScoreParams {
	return &pubsub.TopicScoreParams{
		TopicWeight:                    weight,
		TimeInMeshWeight:               0.0027,
		TimeInMeshQuantum:              time.Second,
		TimeInMeshCap:                  3600,
		FirstMessageDeliveriesWeight:   0.5,
		FirstMessageDeliveriesDecay:    pubsub.ScoreParameterDecay(10 * time.Minute),
		FirstMessageDeliveriesCap:      80,
		InvalidMessageDeliveriesWeight: invalidWeight,
		InvalidMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(invalidMemory),
	}
}

// asDebug is a handler for what a library says: what goes wrong with a peer is no
// user's business, and what matters comes back as an error.
type asDebug struct{ slog.Handler }

// Enabled implements slog.Handler.
func (h asDebug) Enabled(ctx context.Context, _ slog.Level) bool {
	return h.Handler.Enabled(ctx, slog.LevelDebug)
}

// Handle implements slog.Handler.
func (h asDebug) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h asDebug) WithAttrs(attrs []slog.Attr) slog.Handler {
	return asDebug{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h asDebug) WithGroup(name string) slog.Handler { return asDebug{h.Handler.WithGroup(name)} }
