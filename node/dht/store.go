package dht

import (
	"context"
	"sync"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// storeOverhead is what an entry of a boundedStore takes beside its key and value.
const storeOverhead = 200

// boundedStore keeps what others put into the DHT in memory, within a bound. When
// it is full, any of it goes: refusing instead would let whoever fills it keep all
// others out. Entries are found by the key above theirs without a scan, since
// anybody can ask for any.
type boundedStore struct {
	most int // bytes

	mu     sync.Mutex
	size   int
	groups map[ds.Key]map[ds.Key][]byte
}

func newBoundedStore(most int) *boundedStore {
	return &boundedStore{most: most, groups: map[ds.Key]map[ds.Key][]byte{}}
}

func cost(k ds.Key, v []byte) int { return 2*len(k.String()) + len(v) + storeOverhead }

// Put implements datastore.Write.
func (s *boundedStore) Put(_ context.Context, k ds.Key, v []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(k)
	for s.size+cost(k, v) > s.most && s.size > 0 {
		s.evict()
	}
	group := s.groups[k.Parent()]
	if group == nil {
		group = map[ds.Key][]byte{}
		s.groups[k.Parent()] = group
	}
	group[k] = v
	s.size += cost(k, v)
	return nil
}

// evict removes any entry: maps are gone through in random order.
func (s *boundedStore) evict() {
	for _, group := range s.groups {
		for k := range group {
			s.remove(k)
			return
		}
	}
}

func (s *boundedStore) remove(k ds.Key) {
	group := s.groups[k.Parent()]
	v, ok := group[k]
	if !ok {
		return
	}
	s.size -= cost(k, v)
	if delete(group, k); len(group) == 0 {
		delete(s.groups, k.Parent())
	}
}

// Delete implements datastore.Write.
func (s *boundedStore) Delete(_ context.Context, k ds.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(k)
	return nil
}

// Get implements datastore.Read.
func (s *boundedStore) Get(_ context.Context, k ds.Key) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.groups[k.Parent()][k]
	if !ok {
		return nil, ds.ErrNotFound
	}
	return v, nil
}

// Has implements datastore.Read.
func (s *boundedStore) Has(ctx context.Context, k ds.Key) (bool, error) {
	return ds.GetBackedHas(ctx, s, k)
}

// GetSize implements datastore.Read.
func (s *boundedStore) GetSize(ctx context.Context, k ds.Key) (int, error) {
	return ds.GetBackedSize(ctx, s, k)
}

// Query implements datastore.Read.
func (s *boundedStore) Query(_ context.Context, q query.Query) (query.Results, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []query.Entry
	add := func(group map[ds.Key][]byte) {
		for k, v := range group {
			found = append(found, query.Entry{Key: k.String(), Value: v, Size: len(v)})
		}
	}
	if prefix := ds.NewKey(q.Prefix); len(prefix.Namespaces()) > 1 {
		add(s.groups[prefix])
	} else {
		for _, group := range s.groups {
			add(group)
		}
	}
	return query.NaiveQueryApply(q, query.ResultsWithEntries(q, found)), nil
}

// Batch implements datastore.Batching.
func (s *boundedStore) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(s), nil }

// Sync implements datastore.Datastore.
func (s *boundedStore) Sync(context.Context, ds.Key) error { return nil }

// Close implements io.Closer.
func (s *boundedStore) Close() error { return nil }
