package gossip

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/protobuf/proto"

	"github.com/everythingstays/es/internal/vectors"
	"github.com/everythingstays/es/records"
)

var update = flag.Bool("update", false, "write the vectors that the generators make")

// A rpcCase is a vector of one RPC: what of its messages is validated.
type rpcCase struct {
	name, spec, comment string
	rpc                 *pb.RPC
	validated           []string // topic and data
}

func rpcCases() []rpcCase {
	records := func(data string) *pb.Message { return message(TopicRecords, data) }
	authored := func(name string, set func(m *pb.Message)) rpcCase {
		m := records("authored")
		set(m)
		return rpcCase{"rpc-" + name, "G4", "a message with a field " + name + ", and one without",
			&pb.RPC{Publish: []*pb.Message{m, records("hello")}}, []string{TopicRecords + " hello"}}
	}
	subscribe := func(n int) *pb.RPC {
		rpc := subscriptions(0, n)
		rpc.Publish = []*pb.Message{records("hello")}
		return rpc
	}
	return []rpcCase{
		{"rpc-topics", "G1", "messages of both topics, and one of another", &pb.RPC{Publish: []*pb.Message{records("frame"), message(TopicKeys, "key"), message("/es/1/other", "x")}},
			[]string{TopicRecords + " frame", TopicKeys + " key"}},
		{"rpc-twice", "G7", "one message twice", &pb.RPC{Publish: []*pb.Message{records("hello"), records("hello")}}, []string{TopicRecords + " hello"}},
		authored("from", func(m *pb.Message) { m.From = []byte("me") }),
		authored("seqno", func(m *pb.Message) { m.Seqno = []byte{1} }),
		authored("signature", func(m *pb.Message) { m.Signature = []byte{1} }),
		authored("key", func(m *pb.Message) { m.Key = []byte{1} }),
		{"rpc-subscriptions", "G9", "16 subscriptions and a message", subscribe(maxSubscriptions), []string{TopicRecords + " hello"}},
		{"rpc-subscriptions-many", "G9", "17 subscriptions: the whole RPC is dropped", subscribe(maxSubscriptions + 1), nil},
	}
}

func (c rpcCase) archive(t *testing.T) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(c.rpc)
	if err != nil {
		t.Fatal(err)
	}
	var validated strings.Builder
	for _, m := range c.validated {
		topic, data, _ := strings.Cut(m, " ")
		fmt.Fprintf(&validated, "%s %x\n", topic, data)
	}
	return txtar.Format(&txtar.Archive{
		Comment: fmt.Appendf(nil, "expect: ok\nspec: %s\ncomment: %s\n", c.spec, c.comment),
		Files:   []txtar.File{{Name: "rpc.hex", Data: fmt.Appendf(nil, "%x\n", b)}, {Name: "judged", Data: []byte(validated.String())}},
	})
}

// A dataCase is a vector of a message's size: its data are so many zero bytes.
type dataCase struct {
	name, expect, comment, topic string
	size                         int
}

func dataCases() []dataCase {
	return []dataCase{
		{"data-empty", "refused", "a message of no bytes", TopicRecords, 0},
		{"data-records-largest", "ok", "the largest message with a frame", TopicRecords, records.MaxFrame},
		{"data-records-large", "refused", "a byte more than a frame may have", TopicRecords, records.MaxFrame + 1},
		{"data-keys-largest", "ok", "the largest message with a key block: any key block can be announced alone", TopicKeys, records.MaxKeyBlock},
		{"data-keys-large", "refused", "a byte more than a key block may have", TopicKeys, records.MaxKeyBlock + 1},
	}
}

func (c dataCase) archive() []byte {
	return txtar.Format(&txtar.Archive{
		Comment: fmt.Appendf(nil, "expect: %s\nspec: G5\ncomment: %s\n", c.expect, c.comment),
		Files:   []txtar.File{{Name: "topic", Data: []byte(c.topic + "\n")}, {Name: "size", Data: fmt.Appendf(nil, "%d\n", c.size)}},
	})
}

// TestGenerated holds the vectors of RPCs and sizes against their generators.
func TestGenerated(t *testing.T) {
	made := map[string][]byte{}
	for _, c := range rpcCases() {
		made[c.name] = c.archive(t)
	}
	for _, c := range dataCases() {
		made[c.name] = c.archive()
	}
	for name, want := range made {
		file := filepath.Join("../testdata/gossip", name+".txtar")
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if b, err := os.ReadFile(file); err != nil || string(b) != string(want) {
			t.Errorf("%s is not what its generator makes: %v", file, err)
		}
	}
	for _, pattern := range []string{"rpc-*", "data-*"} {
		for _, v := range vectors.Read(t, "../testdata/gossip/"+pattern+".txtar") {
			name := v.Name
			if made[name] == nil {
				t.Errorf("%s has no generator", name)
			}
		}
	}
}

// TestRPCVectors sends the RPCs of the vectors to a node.
func TestRPCVectors(t *testing.T) {
	for _, v := range vectors.Read(t, "../testdata/gossip/rpc-*.txtar") {
		t.Run(v.Name, func(t *testing.T) {
			rpc, err := hex.DecodeString(strings.TrimSpace(string(v.Files[0].Data)))
			if err != nil {
				t.Fatal(err)
			}
			simulate(t, 2, func(t *testing.T, hosts []host.Host) {
				victim := start(t, hosts[0], Config{Workers: 1})
				defer victim.stop()
				p := dialRaw(t, hosts[1], hosts[0])
				if _, err := p.s.Write(append(binary.AppendUvarint(nil, uint64(len(rpc))), rpc...)); err != nil {
					t.Fatal(err)
				}
				settle(time.Second)
				want := strings.Fields(string(v.Files[1].Data))
				if got := len(victim.validated); got != len(want)/2 {
					t.Errorf("validated %q, want %q", victim.validated, want)
				}
				for i := 0; i+1 < len(want); i += 2 {
					data, err := hex.DecodeString(want[i+1])
					if err != nil {
						t.Fatal(err)
					}
					if victim.saw(want[i]+" "+string(data)) != 1 {
						t.Errorf("validated %q, want %q", victim.validated, want)
					}
				}
			})
		})
	}
}

// TestSizeVectors has messages of the sizes of the vectors validated.
func TestSizeVectors(t *testing.T) {
	simulate(t, 1, func(t *testing.T, hosts []host.Host) {
		n := start(t, hosts[0], Config{Accept: func(context.Context, Message) Outcome { return Accept }})
		defer n.stop()
		for _, v := range vectors.Read(t, "../testdata/gossip/data-*.txtar") {
			size, err := strconv.Atoi(strings.TrimSpace(string(v.Files[1].Data)))
			if err != nil {
				t.Fatal(err)
			}
			want := Reject
			if v.Expect == "ok" {
				want = Accept
			}
			m := Message{From: "another", Topic: strings.TrimSpace(string(v.Files[0].Data)), Data: make([]byte, size)}
			if got := n.validateMessage(t.Context(), m); got != want {
				t.Errorf("%s: the verdict is %d, want %d", v.Name, got, want)
			}
		}
	})
}
