package interop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// renewed is a key that its owner has renewed 13 times, as text that es imports,
// and n of its blocks that leave some of that out.
func renewed(t testing.TB, n int) (secret string, key *sign.Key, blocks [][]byte) {
	t.Helper()
	const certs = 14
	start := time.Now().AddDate(-2, 0, 0)
	cfg := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return start }}
	e, err := openpgp.NewEntity("Ada", "", "ada@example.org", cfg)
	if err != nil {
		t.Fatal(err)
	}
	user := e.Identities["Ada <ada@example.org>"]
	for i := 1; i < certs; i++ {
		first := user.SelfCertifications[0].Packet
		s := &packet.Signature{Version: 4, SigType: packet.SigTypePositiveCert, PubKeyAlgo: first.PubKeyAlgo, Hash: first.Hash,
			CreationTime: start.AddDate(0, i, 0), IssuerKeyId: &e.PrimaryKey.KeyId, IssuerFingerprint: e.PrimaryKey.Fingerprint,
			FlagsValid: true, FlagSign: true, FlagCertify: true}
		if err := s.SignUserId(user.UserId.Id, e.PrimaryKey, e.PrivateKey, cfg); err != nil {
			t.Fatal(err)
		}
		user.SelfCertifications = append(user.SelfCertifications, &packet.VerifiableSignature{Packet: s})
	}
	for mask := range n + 1 {
		var b bytes.Buffer
		parts := []interface{ Serialize(io.Writer) error }{e.PrimaryKey, user.UserId}
		for i, s := range user.SelfCertifications {
			if (mask+1)&(1<<i) != 0 || mask == n {
				parts = append(parts, s.Packet)
			}
		}
		for _, p := range parts {
			if err := p.Serialize(&b); err != nil {
				t.Fatal(err)
			}
		}
		if key, err = sign.ReadKey(b.Bytes()); err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, key.Block())
	}
	var b bytes.Buffer
	text, err := armor.Encode(&b, openpgp.PrivateKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.SerializePrivate(text, cfg); err != nil {
		t.Fatal(err)
	}
	if err := text.Close(); err != nil {
		t.Fatal(err)
	}
	secret = filepath.Join(t.TempDir(), "ada.key")
	write(t, secret, b.String())
	return secret, key, blocks[:n]
}

// claimedMost is a name that two of five strangers' records claim.
const claimedMost = "crowded"

// bulk adds n strangers' records to the index of a home, a hundred by each, and
// returns some of them as frames, and frames of as many others that are in no index.
func bulk(t testing.TB, home string, n int) (old, fresh [][]byte) {
	t.Helper()
	x, err := index.Open(t.Context(), filepath.Join(home, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	c := &corpus{t: t}
	var items []index.Item
	for n > 0 || len(fresh) < 2000 {
		author, err := sign.NewSecretKey(fmt.Sprintf("Stranger %d", n), "stranger@example.org", time.Now().AddDate(0, -1, 0))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			name := fmt.Sprintf("bulk-%d", (n+i)%5000)
			switch i % 5 { // the names that the honest ones use are claimed too, one of them by most
			case 0, 1:
				name = claimedMost
			case 2:
				name = fmt.Sprintf("lib-%d", (n/100+i)%16)
			}
			v := c.says(author, name, fmt.Sprintf("1.%d.0", i), time.Now().Add(-72*time.Hour))
			frame := c.frame(author.Key().Block(), v.Envelope())
			if n > i {
				items = append(items, index.Item{Verified: v, Key: author.Key(), Source: index.Source{Stranger: true}})
			} else {
				v = c.says(author, fmt.Sprintf("fresh-%d", i), "1.0.0", time.Now())
				fresh = append(fresh, c.frame(author.Key().Block(), v.Envelope()))
				continue
			}
			if len(old) < 2000 {
				old = append(old, frame)
			}
		}
		n = max(0, n-100)
		if len(items) >= 1000 || n == 0 {
			if _, err := x.AddAll(t.Context(), items); err != nil {
				t.Fatal(err)
			}
			items = nil
		}
	}
	return old, fresh
}

// says signs a release of a module that is nowhere.
func (c *corpus) says(author *sign.SecretKey, name, version string, at time.Time) sign.Verified {
	c.t.Helper()
	hash, err := multihash.Sum([]byte(name+version), multihash.SHA2_256, -1)
	if err != nil {
		c.t.Fatal(err)
	}
	v, err := sign.Sign(context.Background(), author, &records.Record{
		Author: author.Key().Fingerprint(), Time: at.Unix(),
		Body: &records.Release{Name: records.Name(name), Version: records.Version(version), Module: cid.NewCidV1(cid.DagProtobuf, hash), Size: 10, Files: 1},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return v
}
