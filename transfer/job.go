package transfer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/everythingstays/es/modules/unixfs"
	"github.com/everythingstays/es/records"
)

const (
	batchBlocks = 32 // leaves in a request
	batchNodes  = 64
)

// A job is one Fetch. Its fields are guarded by x.mu once it is among x.jobs.
type job struct {
	x      *Exchange
	root   cid.Cid
	budget int64

	items    map[key]*item
	nodes    []*item // to be asked for; some may be here or asked for by now
	leaves   []*item
	missing  int // of items
	blocks   int64
	bytes    int64 // of blocks that are here
	received int64
	sources  map[peer.ID]int64

	queues []*peerQueue // a peer keeps its place, which is its bit in item.lacks
	out    map[*request]struct{}
	err    error
	ended  bool
	wake   chan struct{}
}

// A key is one block of a tree, as raw or as a node.
type key struct {
	digest digest
	raw    bool
}

// An item is one block of a tree that was linked.
type item struct {
	key
	here  bool
	asked int    // requests that are out
	lacks uint32 // a bit for each queue that said so
}

// A request is out until it is answered or its queue fails.
type request struct {
	job    *job
	queue  *peerQueue
	kind   kind
	asked  []digest
	at     int       // of asked, for blocks
	list   *nodeList // for nodes
	now    *item     // whose frame is waited for
	sent   time.Time
	stolen bool // somebody else was asked for the rest
}

func newJob(x *Exchange, b records.Target) *job {
	return &job{
		x: x, root: b.CID, budget: unixfs.Budget(b), items: map[key]*item{}, sources: map[peer.ID]int64{},
		out: map[*request]struct{}{}, wake: make(chan struct{}, 1),
	}
}

func (j *job) wakeUp() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// fail ends the job. It is called with x.mu held.
func (j *job) fail(err error) {
	if j.err == nil {
		j.err = err
	}
	j.wakeUp()
}

// ruleErrorf returns a rule that the tree breaks, whoever sent it.
func ruleErrorf(rule, format string, args ...any) error {
	return &unixfs.RuleError{Rule: rule, Reason: fmt.Sprintf(format, args...)}
}

// discover registers what links lead to, and what those lead to that are here,
// and returns the nodes that are missing. Missing leaves are queued. It is called
// without x.mu.
func (j *job) discover(ctx context.Context, links []cid.Cid) (fresh []*item, err error) {
	stack := slices.Clone(links)
	slices.Reverse(stack)
	for len(stack) > 0 {
		c := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if c.Equals(unixfs.EmptyRaw) {
			continue
		}
		k := key{digestOf(c), c.Type() == cid.Raw}
		j.x.mu.Lock()
		_, known := j.items[k]
		j.x.mu.Unlock()
		if known {
			continue
		}
		b, err := j.x.cfg.Store.Get(ctx, c)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		here := err == nil
		it, err := j.register(k, here, len(b))
		if err != nil {
			return nil, err
		}
		switch {
		case it == nil || here && k.raw:
		case !here && !k.raw:
			fresh = append(fresh, it)
		case here:
			below, err := unixfs.Links(c, b)
			if err != nil {
				return nil, err
			}
			for _, l := range slices.Backward(below) {
				stack = append(stack, l)
			}
		}
	}
	return fresh, nil
}

// register adds an item, unless somebody else has by now.
func (j *job) register(k key, here bool, size int) (*item, error) {
	j.x.mu.Lock()
	defer j.x.mu.Unlock()
	if j.items[k] != nil {
		return nil, nil
	}
	if len(j.items) == unixfs.MaxBlocks {
		return nil, ruleErrorf("M22", "the DAG has more than %d blocks", unixfs.MaxBlocks)
	}
	it := &item{key: k, here: here}
	j.items[k] = it
	if here {
		return it, j.add(size)
	}
	j.missing++
	if k.raw {
		j.leaves = append(j.leaves, it)
	}
	return it, nil
}

// add counts a block that is here.
func (j *job) add(size int) error {
	j.blocks++
	if j.bytes += int64(size); j.bytes > j.budget {
		return ruleErrorf("M26", "the blocks have more bytes than the module may have")
	}
	return nil
}

// arrived counts a block that is now here.
func (j *job) arrived(it *item, from peer.ID, size int) error {
	it.here = true
	j.missing--
	j.received += int64(size)
	j.sources[from] += int64(size)
	if j.missing == 0 {
		j.wakeUp()
	}
	return j.add(size)
}

// queue has items asked for that no request asks for. It is called with x.mu held.
func (j *job) queue(items []*item) {
	for _, it := range items {
		switch {
		case it.here || it.asked > 0:
		case it.raw:
			j.leaves = append(j.leaves, it)
		default:
			j.nodes = append(j.nodes, it)
		}
	}
}

// next returns what to ask l for, or nil. With idle, that may be what somebody
// else was asked for and did not send for a while.
func (j *job) next(l *peerQueue, idle bool) *request {
	place := slices.Index(j.queues, l)
	if place < 0 || j.ended || j.err != nil {
		return nil
	}
	bit := uint32(1) << place
	if asked := dequeue(&j.nodes, batchNodes, bit); len(asked) > 0 {
		return j.request(l, askNodes, asked)
	}
	if asked := dequeue(&j.leaves, batchBlocks, bit); len(asked) > 0 {
		return j.request(l, askBlocks, asked)
	}
	if !idle {
		return nil
	}
	late := time.Now().Add(-j.x.cfg.timeouts.steal)
	for r := range j.out {
		if r.queue == l || r.stolen || r.sent.After(late) {
			continue
		}
		if rest := r.rest(bit); len(rest) > 0 {
			r.stolen = true
			return j.request(l, r.kind, rest)
		}
	}
	return nil
}

// dequeue removes up to n items from a queue that are to be asked for and that the
// peer with bit does not lack.
func dequeue(queue *[]*item, n int, bit uint32) []*item {
	var taken, passed []*item
	i := 0
	for ; i < len(*queue) && len(taken) < n; i++ {
		switch it := (*queue)[i]; {
		case it.here || it.asked > 0:
		case it.lacks&bit != 0:
			passed = append(passed, it)
		default:
			taken = append(taken, it)
		}
	}
	if *queue = (*queue)[i:]; len(passed) > 0 {
		*queue = append(passed, *queue...)
	}
	return taken
}

func (j *job) request(l *peerQueue, k kind, items []*item) *request {
	r := &request{job: j, queue: l, kind: k, sent: time.Now()}
	for _, it := range items {
		it.asked++
		r.asked = append(r.asked, it.digest)
	}
	if k == askNodes {
		r.list = newNodeList(r.asked)
	}
	j.out[r] = struct{}{}
	return r
}

// next returns the block that the next frame is about. The item is nil when its
// job has ended in the meantime.
func (r *request) next() (d digest, it *item, more bool) {
	if r.kind == askNodes {
		if d, more = r.list.next(); !more {
			return d, nil, false
		}
	} else {
		if r.at == len(r.asked) {
			return d, nil, false
		}
		d = r.asked[r.at]
		r.at++
	}
	return d, r.job.items[key{d, r.kind == askBlocks}], true
}

// rest are the items of r that are still to come and that the peer with bit does
// not lack.
func (r *request) rest(bit uint32) []*item {
	waiting, most := r.asked[r.at:], batchBlocks
	if r.kind == askNodes {
		waiting, most = r.list.waiting, batchNodes
	}
	var rest []*item
	add := func(it *item) {
		if it != nil && !it.here && it.lacks&bit == 0 && len(rest) < most {
			rest = append(rest, it)
		}
	}
	add(r.now)
	for _, d := range slices.Backward(waiting) {
		add(r.job.items[key{d, r.kind == askBlocks}])
	}
	return rest
}

// requeue has what r has not brought asked for again. It is called with x.mu held.
func (j *job) requeue(r *request) {
	if _, out := j.out[r]; !out {
		return
	}
	delete(j.out, r)
	for _, it, more := r.next(); more; _, it, more = r.next() {
		if it != nil {
			it.asked--
			j.queue([]*item{it})
		}
	}
	if len(j.out) == 0 {
		j.wakeUp()
	}
}

// needsPeers reports whether no peer can send what is missing.
func (j *job) needsPeers() bool {
	if len(j.out) > 0 {
		return false
	}
	for place, l := range j.queues {
		if l.gone {
			continue
		}
		has := func(it *item) bool { return !it.here && it.lacks&(1<<place) == 0 }
		if slices.ContainsFunc(j.nodes, has) || slices.ContainsFunc(j.leaves, has) {
			return false
		}
	}
	return true
}
