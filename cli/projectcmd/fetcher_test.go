package projectcmd

import (
	"context"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/everythingstays/es/node/api"
	"github.com/everythingstays/es/records"
)

// fetches is a network that notes what is fetched.
type fetches struct {
	api.Network
	targets []records.Target
}

func (f *fetches) Fetch(_ context.Context, want records.Target, _ func(api.Progress)) error {
	f.targets = append(f.targets, want)
	return nil
}

// SPEC N40, D1: a node asks first who sent the record that names a module, which it
// can only when an installation says which record that is.
func TestAFetchNamesTheRecord(t *testing.T) {
	network := &fetches{}
	want := records.Target{
		CID:    cid.MustParse("bafybeidm4ugcsdxgpjva6t3m6oneu6lqxbueux4b4khbyoxfwyn7k3nyxy"),
		Record: cid.MustParse("bafyreictto5eovdrbkdabcad7yucyvb7obskczb7lbh5pupq5vi4jtgttq"),
		Size:   5931, Files: 4,
	}
	if err := (&fetcher{join: func(context.Context) (api.Network, error) { return network, nil }}).Fetch(t.Context(), "left-pad", want); err != nil {
		t.Fatal(err)
	}
	if len(network.targets) != 1 || network.targets[0] != want {
		t.Errorf("the network was asked for %v, want %v", network.targets, want)
	}
}
