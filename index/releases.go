package index

import "context"

// ReleasesAfter returns at most limit releases whose signatures count, in the
// order of their arrival, that came after the one with this Meta.Order; 0 is the
// beginning. None means that there are no more.
func (x *Index) ReleasesAfter(ctx context.Context, after int64, limit int) ([]Release, error) {
	all, err := x.statements(ctx, "list releases", "SELECT "+statementColumns+
		" FROM releases JOIN records ON num = record WHERE record > ? AND invalid = '' ORDER BY record LIMIT ?", after, limit)
	return releasesOf(all), err
}
