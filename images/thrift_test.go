package images

import (
	"runtime/debug"
	"testing"

	"gotest.tools/v3/assert"
)

func TestThriftEndsWithTheLastOne(t *testing.T) {
	now := func() int {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	usual := debug.SetGCPercent(80)
	defer debug.SetGCPercent(usual)
	one, two := beThrifty(), beThrifty()
	assert.Equal(t, now(), thriftyPercent)
	one()
	one()
	assert.Equal(t, now(), thriftyPercent)
	two()
	assert.Equal(t, now(), 80)
	debug.SetGCPercent(10)
	three := beThrifty()
	assert.Equal(t, now(), 10)
	three()
	assert.Equal(t, now(), 10)
}
