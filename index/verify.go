package index

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
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

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

// Looked says how much Verify looked at.
type Looked struct {
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
func (x *Index) Verify(ctx context.Context, step func(done, total int64), found func(Damage)) (Looked, error) {
	db, err := sql.Open("sqlite", dsn(x.path, x.reading))
	if err != nil {
		return Looked{}, x.explain("verify index", err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	// A table of this connection alone, through which the words can be read.
	if _, err := db.ExecContext(ctx, "CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab('main', 'words', 'instance')"); err != nil {
		return Looked{}, x.explain("verify index", err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return Looked{}, x.explain("verify index", err)
	}
	defer tx.Rollback()
	v := &verifier{queries: newQueries(tx), step: step, found: found}
	if err := v.all(ctx); err != nil {
		return v.looked, x.explain("verify index", err)
	}
	return v.looked, nil
}

type verifier struct {
	queries
	step func(done, total int64)

	mu     sync.Mutex // workers find things too
	found  func(Damage)
	looked Looked
	total  int64
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
	if _, err := v.get(ctx, "PRAGMA integrity_check(1)", nil, &verdict); err != nil {
		return v.corrupt(err)
	}
	if verdict != "ok" {
		return v.corrupt(errors.New(verdict))
	}
	if _, err := v.get(ctx, "SELECT (SELECT count(*) FROM keys) + (SELECT count(*) FROM records)", nil, &v.total); err != nil {
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
	var se *sqlite.Error
	if errors.As(err, &se) && se.Code()&0xff != sqlite3.SQLITE_CORRUPT {
		return err
	}
	if se == nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return err
	}
	v.damage(Damage{Reason: "the file is damaged: " + clip(err.Error()), file: true})
	return nil
}

// set checks the elements and their sums.
func (v *verifier) set(ctx context.Context) error {
	err := v.checkSet(ctx)
	if err == nil || errors.As(err, new(*sqlite.Error)) || ctx.Err() != nil {
		return err
	}
	v.derived("%v", err)
	return nil
}

func (v *verifier) keys(ctx context.Context) error {
	return v.each(ctx, "SELECT fingerprint, block, charged FROM keys", nil, func(rows *sql.Rows) error {
		var raw, block []byte
		var charged int64
		if err := rows.Scan(&raw, &block, &charged); err != nil {
			return err
		}
		v.looked.Keys++
		v.step(v.looked.Keys, v.total)
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
	num                          int64
	id, author, sealed, envelope []byte
	kind, void                   string
	seq, time, signed            int64
	releaseName, releaseVersion  sql.NullString
	releaseAuthor, module        []byte
	tagName, tag, tagVersion     sql.NullString
	tagAuthor                    []byte
	remarkName, remarkKind       sql.NullString
	prev                         []byte // the ids that it links to, sorted
	block                        []byte // its author's key, nil when there is none
	strange                      sql.NullInt64
	strangeAuthor                []byte
}

const rowColumns = `SELECT num, id, records.author, sealed, envelope, records.kind, void, seq, time, signed,
		releases.name, releases.version, releases.author, module,
		tags.name, tag, tags.version, tags.author, remarks.name, remarks.kind,
		(SELECT unhex(group_concat(hex(id), '')) FROM (SELECT id FROM prev WHERE record = num ORDER BY id)),
		block, size, strangers.author
	FROM records
		LEFT JOIN releases ON releases.record = num LEFT JOIN tags ON tags.record = num LEFT JOIN remarks ON remarks.record = num
		LEFT JOIN strangers ON strangers.record = num LEFT JOIN keys ON fingerprint = records.author
	ORDER BY records.author, records.kind`

func (r *row) scan(rows *sql.Rows) error {
	return rows.Scan(&r.num, &r.id, &r.author, &r.sealed, &r.envelope, &r.kind, &r.void, &r.seq, &r.time, &r.signed,
		&r.releaseName, &r.releaseVersion, &r.releaseAuthor, &r.module,
		&r.tagName, &r.tag, &r.tagVersion, &r.tagAuthor, &r.remarkName, &r.remarkKind,
		&r.prev, &r.block, &r.strange, &r.strangeAuthor)
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
			v.looked.Records += int64(len(job))
			v.step(v.looked.Keys+v.looked.Records, v.total)
			job = nil
			return nil
		}
		err := v.each(ctx, rowColumns, nil, func(rows *sql.Rows) error {
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
	if !bytes.Equal(records.EnvelopeID(r.envelope).Bytes(), r.sealed) {
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
	void := ""
	if _, err := sign.Open(r.envelope, sign.KeyRing{key.Fingerprint(): key}); err != nil {
		if errors.As(err, new(*sign.SignatureError)) {
			return "its " + err.Error(), true
		}
		void = err.Error()
	}
	if void == r.void {
		return "", false
	}
	// A byte of the signer's name may be wrong, and then the key is not found.
	lost = !bytes.Equal(records.EnvelopeID(r.envelope).Bytes(), r.sealed)
	if r.void == "" {
		return "its signature does not count: " + void, lost
	}
	return fmt.Sprintf("its signature is noted as %q, and is %q", r.void, void), lost
}

// checkColumns compares what was derived from the record with it.
func (r *row) checkColumns(e *records.Envelope) string {
	rec := e.Record
	var want row
	switch body := rec.Body.(type) {
	case *records.Release:
		want.releaseName, want.releaseVersion = text(string(body.Name)), text(string(body.Version))
		want.releaseAuthor, want.module = rec.Author.Bytes(), body.Module.Bytes()
	case *records.Tag:
		want.tagName, want.tag, want.tagVersion = text(string(body.Name)), text(body.Tag), text(string(body.Version))
		want.tagAuthor = rec.Author.Bytes()
	case *records.Notice:
		want.remarkName, want.remarkKind = text(string(body.Name)), text(body.Kind())
	case *records.Endorse:
		want.remarkName, want.remarkKind = text(string(body.Name)), text(body.Kind())
	}
	for _, p := range slices.SortedFunc(slices.Values(rec.Prev), func(a, b cid.Cid) int { return bytes.Compare(a.Bytes(), b.Bytes()) }) {
		want.prev = append(want.prev, p.Bytes()...)
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
	case r.releaseName != want.releaseName, r.releaseVersion != want.releaseVersion, !bytes.Equal(r.releaseAuthor, want.releaseAuthor), !bytes.Equal(r.module, want.module):
		return "its name, version or module is noted wrongly"
	case r.tagName != want.tagName, r.tag != want.tag, r.tagVersion != want.tagVersion, !bytes.Equal(r.tagAuthor, want.tagAuthor):
		return "its tag is noted wrongly"
	case r.remarkName != want.remarkName, r.remarkKind != want.remarkKind:
		return "the name that it is about is noted wrongly"
	case !bytes.Equal(r.prev, want.prev):
		return "the records that it follows are noted wrongly"
	case r.strange.Valid && (r.strange.Int64 != int64(len(r.envelope)) || !bytes.Equal(r.strangeAuthor, rec.Author.Bytes())):
		return "it is counted wrongly among those of strangers"
	}
	return ""
}

func text(s string) sql.NullString { return sql.NullString{String: s, Valid: true} }

// relations checks what follows from several records.
func (v *verifier) relations(ctx context.Context) error {
	for query, reason := range map[string]string{
		"SELECT count(*) FROM pragma_foreign_key_check": "rows about records that are not here: %d",
		`SELECT count(*) FROM records WHERE named <> EXISTS (SELECT 1 FROM prev JOIN records AS later ON later.num = prev.record
			WHERE prev.id = records.id AND later.author = records.author AND later.void = '')`: "records whose successors are noted wrongly: %d",
		"SELECT count(*) FROM (" + equivocated + " EXCEPT SELECT author, name, version FROM equivocations)": "equivocations that are not noted: %d",
		"SELECT count(*) FROM (SELECT author, name, version FROM equivocations EXCEPT " + equivocated + ")": "equivocations that are noted and are none: %d",
	} {
		var n int64
		if _, err := v.get(ctx, query, nil, &n); err != nil {
			return err
		}
		if n > 0 {
			v.derived(reason, n)
		}
	}
	return nil
}

// equivocated finds what is to be in the table equivocations.
const equivocated = `SELECT releases.author, name, version FROM records JOIN releases ON record = num
	WHERE kind = 'release' AND void = '' GROUP BY releases.author, name, version HAVING count(DISTINCT module) > 1`
