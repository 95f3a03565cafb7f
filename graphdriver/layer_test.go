package graphdriver

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"
)

func TestIDsAreFileNamesAndNothingElse(t *testing.T) {
	for _, id := range []string{"a", "A-b_9", strings.Repeat("f", 128)} {
		assert.NilError(t, CheckID(id))
	}
	for _, id := range []string{"", ".", "..", ".a", "a.b", "a/b", "a\x00", "ä", "a b", strings.Repeat("f", 129)} {
		assert.Assert(t, !ValidID(id), "%q", id)
		assert.Assert(t, errdefs.IsInvalidArgument(CheckID(id)))
	}
}

func TestUnknownOptionsAreAllNamed(t *testing.T) {
	opts := map[string]string{"b": "", "known": "", "a": ""}
	err := CheckOptions("mine", opts, "known", "other")
	assert.Error(t, err, "mine: unknown storage option: a, b")
	assert.NilError(t, CheckOptions("mine", opts, "a", "b", "known"))
	assert.NilError(t, CheckOptions("mine", nil))
}

func TestErrorsHaveTheirClass(t *testing.T) {
	assert.Assert(t, errdefs.IsNotFound(ErrNotFound))
	assert.Assert(t, errdefs.IsAlreadyExists(ErrExists))
	assert.Assert(t, errdefs.IsNotImplemented(ErrNotSupported))
	assert.Assert(t, errdefs.IsInvalidArgument(ErrBreakout))
	assert.Assert(t, errdefs.IsOutOfRange(ErrTooLarge))
	assert.Assert(t, !errors.Is(ErrNotFound, ErrExists))
}

// plain has none of the optional interfaces.
type plain struct{ ProtoDriver }

type syncing struct {
	ProtoDriver
	err error
}

func (s syncing) Sync(context.Context, string) error { return s.err }
func (s syncing) Capabilities() Capabilities         { return Capabilities{ReadOnlyRoot: true} }

func TestOptionalInterfacesAreOptional(t *testing.T) {
	broken := errors.New("the disk failed")
	assert.NilError(t, Sync(t.Context(), plain{}, "a"))
	assert.ErrorIs(t, Sync(t.Context(), syncing{err: broken}, "a"), broken)
	assert.Equal(t, CapabilitiesOf(plain{}), Capabilities{})
	assert.Equal(t, CapabilitiesOf(syncing{}), Capabilities{ReadOnlyRoot: true})
}
