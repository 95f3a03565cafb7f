package caps

import (
	"slices"
	"testing"

	"gotest.tools/v3/assert"
)

func TestTweakAddsAndDropsByDockersRules(t *testing.T) {
	base := []string{"CAP_CHOWN", "CAP_KILL"}
	available := []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN", "CAP_SYS_TIME"}
	for _, row := range []struct {
		why            string
		add, drop, out []string
	}{
		{"nothing asked for", nil, nil, base},
		{"one added", []string{"CAP_NET_ADMIN"}, nil, []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN"}},
		{"one dropped", nil, []string{"CAP_KILL"}, []string{"CAP_CHOWN"}},
		{"all dropped", nil, []string{"ALL"}, nil},
		{"all dropped, one kept", []string{"CAP_KILL"}, []string{"ALL"}, []string{"CAP_KILL"}},
		{"all added", []string{"ALL"}, nil, available},
		{"all added but one", []string{"ALL"}, []string{"CAP_CHOWN"}, available[1:]},
		{"what the host lacks is left out", []string{"CAP_SYS_ADMIN"}, nil, base},
	} {
		got := Tweak(base, row.add, row.drop, available)
		assert.Assert(t, slices.Equal(got, row.out), "%s: got %v, want %v", row.why, got, row.out)
	}
}

func TestNormalizeTakesAnyCaseAndRefusesUnknownNames(t *testing.T) {
	got, err := Normalize([]string{"net_admin", "CAP_Kill", "all", "CAP_ALL"})
	assert.NilError(t, err)
	assert.DeepEqual(t, got, []string{"CAP_NET_ADMIN", "CAP_KILL", "ALL", "ALL"})
	_, err = Normalize([]string{"foo"})
	assert.Error(t, err, `unknown capability: "CAP_FOO"`)
}

func TestDefaultIsFourteenKnownCapabilities(t *testing.T) {
	assert.Equal(t, len(Default()), 14)
	_, err := Normalize(Default())
	assert.NilError(t, err)
}
