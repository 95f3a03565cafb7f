package client_test

import (
	"context"
	"testing"

	"gotest.tools/v3/assert"
)

func TestExpectingIsNotAnsweredAndCostsNoRequest(t *testing.T) {
	b := newBench(t)
	for range 100 {
		b.Expect()
		_, err := b.List(context.Background())
		assert.NilError(t, err)
	}
}
