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

// What NaiveDiff makes of a plain ProtoDriver is a whole driver.
func TestContractThroughNaiveDiff(t *testing.T) {
	graphtest.Run(t, func(home string) (graphdriver.Driver, error) {
		d, err := open(home)
		if err != nil {
			return nil, err
		}
		return graphdriver.NaiveDiff(d), nil
	})
}
