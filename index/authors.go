package index

import (
	"context"
	"database/sql"

	"github.com/everythingstays/es/index/internal/db"
	"github.com/everythingstays/es/records"
)

// An Author says how much of one is stored.
type Author struct {
	Key       records.Fingerprint
	Records   int64
	Invalid   int64 // of these, whose signatures do not count
	Strangers int64 // of these, that count towards the limit of strangers
}

// Authors returns who signed at least one stored record, by fingerprint.
func (x *Index) Authors(ctx context.Context) ([]Author, error) {
	return list(ctx, x, "list authors", `SELECT records.author, count(*), sum(invalid <> ''), count(strangers.record)
		FROM records LEFT JOIN strangers ON strangers.record = num GROUP BY records.author ORDER BY records.author`, nil,
		func(rows *sql.Rows) (a Author, err error) {
			var f db.Fingerprint
			err = rows.Scan(&f, &a.Records, &a.Invalid, &a.Strangers)
			a.Key = f.Fingerprint
			return a, err
		})
}
