package index

import "context"

// ExecOnWriter runs SQL on the write connection, to spoil it for a test.
func (x *Index) ExecOnWriter(ctx context.Context, query string) error {
	_, err := x.file.Writer.ExecContext(ctx, query)
	return err
}
