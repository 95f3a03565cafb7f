package rlimit

import (
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"
)

func TestWhatIsAboveOursIsCappedAndTheSpecIsLeftAlone(t *testing.T) {
	var own unix.Rlimit
	assert.NilError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &own))
	score := ownOOMScore() - 1
	p := &specs.Process{
		OOMScoreAdj: &score,
		Rlimits: []specs.POSIXRlimit{
			{Type: "RLIMIT_NOFILE", Hard: own.Max + 1, Soft: 5},
			{Type: "RLIMIT_NOFILE", Hard: own.Max + 1, Soft: own.Max + 1},
			{Type: "RLIMIT_CORE", Hard: 0, Soft: 0},
			{Type: "RLIMIT_OF_TOMORROW", Hard: 9, Soft: 9},
		},
	}
	q := capped(p)
	assert.DeepEqual(t, q.Rlimits, []specs.POSIXRlimit{
		{Type: "RLIMIT_NOFILE", Hard: own.Max, Soft: 5},
		{Type: "RLIMIT_NOFILE", Hard: own.Max, Soft: own.Max},
		{Type: "RLIMIT_CORE", Hard: 0, Soft: 0},
		{Type: "RLIMIT_OF_TOMORROW", Hard: 9, Soft: 9},
	})
	assert.Equal(t, *q.OOMScoreAdj, score+1)
	assert.Equal(t, p.Rlimits[0].Hard, own.Max+1)
	assert.Equal(t, *p.OOMScoreAdj, score)
}

func TestNoProcessIsNoProcess(t *testing.T) {
	assert.Assert(t, WithinReach(nil) == nil)
}
