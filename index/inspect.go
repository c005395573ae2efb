package index

import (
	"context"

	"github.com/everythingstays/es/index/internal/db"
)

// View lets the rooms of this package read the tables: all that fn asks sees the store
// at one moment. With an op, an error says what failed and what a user can do about it.
func (x *Index) View(ctx context.Context, op string, fn func(*db.Tx) error) error {
	if err := x.file.View(ctx, fn); err != nil {
		return x.explain(op, err)
	}
	return nil
}

// ViewApart is View over a connection of its own, for which setup may make temporary
// tables.
func (x *Index) ViewApart(ctx context.Context, op, setup string, fn func(*db.Tx) error) error {
	if err := x.file.ViewApart(ctx, setup, fn); err != nil {
		return x.explain(op, err)
	}
	return nil
}

// Path returns where the store lies.
func (x *Index) Path() string { return x.file.Path }
