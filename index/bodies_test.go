package index_test

import (
	"slices"
	"testing"

	"github.com/everythingstays/es/index"
	"github.com/everythingstays/es/records"
)

// TestBodyTables is that the index has a place for every kind of body that there is, and
// refuses to drop one that it does not know.
func TestBodyTables(t *testing.T) {
	for _, b := range records.Bodies() {
		table, values, err := index.BodyRow(&records.Record{Body: b})
		if err != nil {
			t.Errorf("%s: %v", b.Kind(), err)
			continue
		}
		i := slices.IndexFunc(index.BodyTables, func(t index.BodyTable) bool { return t.Name == table })
		if table != "" && (i < 0 || len(index.BodyTables[i].Columns) != len(values)) {
			t.Errorf("%s: %d values for the table %q", b.Kind(), len(values), table)
		}
	}
	unknown := struct{ records.Body }{&records.Heartbeat{}}
	if _, _, err := index.BodyRow(&records.Record{Body: unknown}); err == nil {
		t.Error("a body that is unknown has a place")
	}
}
