package graphdriver

import "context"

// Checker is implemented by drivers that can tell whether a layer is whole: its
// record can be read and its folders are there. See Check.
type Checker interface {
	Check(ctx context.Context, id string) error
}

// Check gives what is wrong with a layer: data loss for one that is damaged, as far
// as the driver can tell without reading all its files, ErrNotFound for one that
// is not there.
func Check(ctx context.Context, d ProtoDriver, id string) error {
	if c, ok := d.(Checker); ok {
		return c.Check(ctx, id)
	}
	_, err := d.Parent(ctx, id)
	return err
}
