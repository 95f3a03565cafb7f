package vfs

import (
	"testing"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/graphdriver/graphtest"
)

func open(home string) (graphdriver.Driver, error) {
	return New(graphdriver.Options{Home: home})
}

func TestContract(t *testing.T) { graphtest.Run(t, open) }
