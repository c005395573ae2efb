package fsck

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
	"github.com/everythingstays/es/sign"
)

// Damage is something in the store that is not what it must be.
type Damage struct {
	Key    records.Fingerprint // whose it is; zero when nobody's
	Record cid.Cid             // the record as the store names it; undefined when it is about none
	Reason string

	num  int64 // of a record whose bytes are wrong, or 0
	key  bool  // a key block whose bytes are wrong
	file bool
}

// File reports whether the database file itself is damaged, which Repair cannot mend.
func (d Damage) File() bool { return d.file }

// Lost reports whether the bytes themselves are wrong. Everything else can be made
// again from what is stored.
func (d Damage) Lost() bool { return d.num != 0 || d.key }

// Stats says how much Verify looked at.
type Stats struct {
	Keys    int64
	Records int64
}

// Verify reads everything again as if it came from a stranger: that every key block
// and record is canonical, carries the right signature and has the id under which it
// is stored, and that all that was derived from them agrees with them: names,
// versions, modules, links, search, equivocations, the set of elements and its sums.
// It calls found, from one goroutine at a time, with what is wrong, and step with how
// far it is. It writes nothing and others may go on writing: it sees one moment.
//
// What only this node knows, such as when a record came, cannot be verified. Memory
// is bounded but for 50 bytes for each name that an author has released.
func Verify(ctx context.Context, x *index.Index, step func(done, total int64), found func(Damage)) (Stats, error) {
	v := &verifier{step: step, found: found}
	// A table of this connection alone, through which the words can be read.
	const setup = "CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab('main', 'words', 'instance')"
	err := x.ViewApart(ctx, "verify index", setup, func(tx *db.Tx) error {
		v.Tx = tx
		return v.all(ctx)
	})
	return v.stats, err
}

type verifier struct {
	*db.Tx
	step func(done, total int64)

	mu    sync.Mutex // workers find things too
	found func(Damage)
	stats Stats
	total int64
}

func (v *verifier) damage(d Damage) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.found(d)
}

func (v *verifier) derived(format string, args ...any) {
	v.damage(Damage{Reason: fmt.Sprintf(format, args...)})
}

func (v *verifier) all(ctx context.Context) error {
	var verdict string
	if _, err := v.Get(ctx, "PRAGMA integrity_check(1)", nil, &verdict); err != nil {
		return v.corrupt(err)
	}
	if verdict != "ok" {
		return v.corrupt(errors.New(verdict))
	}
	if _, err := v.Get(ctx, "SELECT (SELECT count(*) FROM keys) + (SELECT count(*) FROM records)", nil, &v.total); err != nil {
		return err
	}
	for _, check := range []func(context.Context) error{v.keys, v.records, v.search, v.relations, v.set} {
		if err := check(ctx); err != nil {
			return v.corrupt(err)
		}
	}
	return nil
}

// corrupt tells of a damaged file, of which no more can be read then, and returns any
// other error.
func (v *verifier) corrupt(err error) error {
	corrupt, ofDatabase := db.IsCorrupt(err)
	if ofDatabase && !corrupt {
		return err
	}
	if !ofDatabase && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return err
	}
	v.damage(Damage{Reason: "the file is damaged: " + index.Printable(err.Error()), file: true})
	return nil
}

// set checks the elements and their sums.
func (v *verifier) set(ctx context.Context) error {
	err := checkDerived(ctx, v.Tx)
	if _, ofDatabase := db.IsCorrupt(err); err == nil || ofDatabase || ctx.Err() != nil {
		return err
	}
	v.derived("%v", err)
	return nil
}

func (v *verifier) keys(ctx context.Context) error {
	return v.Each(ctx, "SELECT fingerprint, block, charged FROM keys", nil, func(rows *sql.Rows) error {
		var raw, block []byte
		var charged int64
		if err := rows.Scan(&raw, &block, &charged); err != nil {
			return err
		}
		v.stats.Keys++
		v.step(v.stats.Keys, v.total)
		f, err := records.FingerprintFromBytes(raw)
		if err != nil {
			v.derived("a key has the name %x, which is no fingerprint", raw)
			return nil
		}
		key, err := sign.ParseKey(block)
		switch {
		case err != nil:
			v.damage(Damage{Key: f, key: true, Reason: "its " + err.Error()})
		case key.Fingerprint() != f:
			v.damage(Damage{Key: f, key: true, Reason: "its key block is that of " + key.Fingerprint().String()})
		case charged != 0 && charged != int64(len(block)):
			v.damage(Damage{Key: f, Reason: fmt.Sprintf("its key block of %d bytes is counted as %d", len(block), charged)})
		}
		return nil
	})
}

// A row is a record with everything that the store says of it.
type row struct {
	num                              int64
	id, author, envelopeID, envelope []byte
	kind                             string
	invalid                          index.InvalidScanner
	seq, time, signed                int64
	prev                             []byte // the ids that it links to, sorted
	block                            []byte // its author's key, nil when there is none
	strange                          sql.NullInt64
	strangeAuthor                    []byte
	bodies                           [][]any // by place in index.BodyTables, nil where there is no row
}

// rowsQuery selects the rows; what each table says of bodies comes behind its column
// record, in the order of index.BodyTables.
func rowsQuery() string {
	columns := `num, id, records.author, envelope_id, envelope, records.kind, seq, time, signed,
		(SELECT unhex(group_concat(hex(id), '')) FROM (SELECT id FROM prev WHERE record = num ORDER BY id)),
		block, size, strangers.author, ` + index.InvalidColumns
	joins := " LEFT JOIN strangers ON strangers.record = num LEFT JOIN keys ON fingerprint = records.author"
	for _, t := range index.BodyTables {
		columns += ", " + t.Name + ".record"
		for _, c := range t.Columns {
			columns += ", " + t.Name + "." + c
		}
		joins += " LEFT JOIN " + t.Name + " ON " + t.Name + ".record = num"
	}
	return "SELECT " + columns + " FROM records" + joins + " ORDER BY records.author, records.kind"
}

func (r *row) scan(rows *sql.Rows) error {
	to := []any{&r.num, &r.id, &r.author, &r.envelopeID, &r.envelope, &r.kind, &r.seq, &r.time, &r.signed,
		&r.prev, &r.block, &r.strange, &r.strangeAuthor}
	to = append(to, r.invalid.To()...)
	present := make([]sql.NullInt64, len(index.BodyTables))
	r.bodies = make([][]any, len(index.BodyTables))
	for i, t := range index.BodyTables {
		to = append(to, &present[i])
		r.bodies[i] = make([]any, len(t.Columns))
		for c := range t.Columns {
			to = append(to, &r.bodies[i][c])
		}
	}
	if err := rows.Scan(to...); err != nil {
		return err
	}
	for i := range present {
		if !present[i].Valid {
			r.bodies[i] = nil
		}
	}
	return nil
}

// verifyBatch is how many records of one author a worker gets at once: parsing the
// author's key costs as much as verifying several.
const verifyBatch = 32

// records verifies signatures on all processors.
func (v *verifier) records(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	jobs := make(chan []*row)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			for job := range jobs {
				v.check(job)
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(jobs)
		var job []*row
		send := func() error {
			select {
			case jobs <- job:
			case <-ctx.Done():
				return ctx.Err()
			}
			v.stats.Records += int64(len(job))
			v.step(v.stats.Keys+v.stats.Records, v.total)
			job = nil
			return nil
		}
		err := v.Each(ctx, rowsQuery(), nil, func(rows *sql.Rows) error {
			r := &row{}
			if err := r.scan(rows); err != nil {
				return err
			}
			if len(job) == verifyBatch || len(job) > 0 && !bytes.Equal(job[0].author, r.author) {
				if err := send(); err != nil {
					return err
				}
			}
			job = append(job, r)
			return nil
		})
		if err == nil && len(job) > 0 {
			err = send()
		}
		return err
	})
	return group.Wait()
}

// check verifies records of one author.
func (v *verifier) check(job []*row) {
	key, _ := sign.ParseKey(job[0].block) // what is wrong with it is told beside it
	for _, r := range job {
		reason, lost := r.check(key)
		if reason == "" {
			continue
		}
		d := Damage{Reason: reason}
		d.Key, _ = records.FingerprintFromBytes(r.author)
		if id, err := cid.Cast(r.id); err == nil {
			d.Record = id
		}
		if lost {
			d.num = r.num
		}
		v.damage(d)
	}
}

// check says what is wrong with the record, and whether it is its bytes.
func (r *row) check(key *sign.Key) (reason string, lost bool) {
	e, err := records.DecodeEnvelope(r.envelope)
	if err != nil {
		return "its " + err.Error(), true
	}
	if !bytes.Equal(records.EnvelopeID(r.envelope).Bytes(), r.envelopeID) {
		// One of the two is wrong: what the signature says decides which.
		if reason, lost = r.checkSignature(e, key); reason == "" {
			reason = "its envelope has another CID than is noted"
		}
		return reason, lost
	}
	if reason, lost = r.checkSignature(e, key); reason != "" {
		return reason, lost
	}
	return r.checkColumns(e), false
}

func (r *row) checkSignature(e *records.Envelope, key *sign.Key) (reason string, lost bool) {
	if key == nil || key.Fingerprint() != e.Record.Author {
		return "there is no key block of its author " + e.Record.Author.String(), true
	}
	now, err := index.Validate(r.envelope, key)
	if err != nil && errors.As(err, new(*sign.SignatureError)) {
		return "its " + err.Error(), true
	}
	if r.invalid.Is(now) {
		return "", false
	}
	was := r.invalid.Invalid()
	// A byte of the signer's name may be wrong, and then the key is not found.
	lost = !bytes.Equal(records.EnvelopeID(r.envelope).Bytes(), r.envelopeID)
	if was.Problem == "" {
		return "its signature does not count: " + now.String(), lost
	}
	return fmt.Sprintf("its signature is noted as %q, and is %q", was.String(), now.String()), lost
}

// checkColumns compares what was derived from the record with it.
func (r *row) checkColumns(e *records.Envelope) string {
	rec := e.Record
	var prev []byte
	for _, p := range slices.SortedFunc(slices.Values(rec.Prev), func(a, b cid.Cid) int { return bytes.Compare(a.Bytes(), b.Bytes()) }) {
		prev = append(prev, p.Bytes()...)
	}
	_, signed, err := sign.SignedBy(r.envelope)
	switch {
	case err != nil:
		return err.Error()
	case !bytes.Equal(r.id, records.ID(e.RecordBytes).Bytes()):
		return "it is the record " + records.ID(e.RecordBytes).String()
	case !bytes.Equal(r.author, rec.Author.Bytes()):
		return "its author is " + rec.Author.String()
	case r.kind != rec.Body.Kind(), r.seq != rec.Seq, r.time != rec.Time, r.signed != signed.Unix():
		return "its kind, number or times are noted wrongly"
	case !bytes.Equal(r.prev, prev):
		return "the records that it follows are noted wrongly"
	case r.strange.Valid && (r.strange.Int64 != int64(len(r.envelope)) || !bytes.Equal(r.strangeAuthor, rec.Author.Bytes())):
		return "it is counted wrongly among those of strangers"
	}
	return r.checkBody(rec)
}

// checkBody compares what the tables say of the body with it.
func (r *row) checkBody(rec *records.Record) string {
	table, values, err := index.BodyRow(rec)
	if err != nil {
		return err.Error()
	}
	for i, t := range index.BodyTables {
		want := values
		if t.Name != table {
			want = nil
		}
		if !slices.EqualFunc(r.bodies[i], want, equalValues) {
			return fmt.Sprintf("its row in %s is wrong", t.Name)
		}
	}
	return ""
}

// equalValues compares a column's value with what it must be, a string or bytes.
func equalValues(have, want any) bool {
	a, isBytes := have.([]byte)
	b, wantBytes := want.([]byte)
	if isBytes && wantBytes {
		return bytes.Equal(a, b)
	}
	return !isBytes && !wantBytes && have == want
}

// relations checks what follows from several records.
func (v *verifier) relations(ctx context.Context) error {
	for query, reason := range map[string]string{
		"SELECT count(*) FROM pragma_foreign_key_check":                                                                  "rows about records that are not here: %d",
		"SELECT count(*) FROM records WHERE referenced <> " + index.ReferencedQuery:                                      "records whose successors are noted wrongly: %d",
		"SELECT count(*) FROM (" + index.EquivocationsQuery + " EXCEPT SELECT author, name, version FROM equivocations)": "equivocations that are not noted: %d",
		"SELECT count(*) FROM (SELECT author, name, version FROM equivocations EXCEPT " + index.EquivocationsQuery + ")": "equivocations that are noted and are none: %d",
	} {
		var n int64
		if _, err := v.Get(ctx, query, nil, &n); err != nil {
			return err
		}
		if n > 0 {
			v.derived(reason, n)
		}
	}
	return nil
}
