package bridge

import (
	"testing"

	"github.com/containerd/errdefs"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/networkdriver"
)

func TestOptionsOfANetwork(t *testing.T) {
	with := func(key, value string) (settings, error) {
		return parse(networkdriver.Network{ID: "0123456789abcdef", Options: map[string]string{key: value}})
	}
	for _, c := range [][3]string{
		{optMTU, "nonsense", `failed to parse com.docker.network.driver.mtu value: nonsense (strconv.Atoi: parsing "nonsense": invalid syntax)`},
		{optMTU, "-5", "invalid MTU number: -5"},
		{optICC, "nonsense", `failed to parse com.docker.network.bridge.enable_icc value: nonsense (strconv.ParseBool: parsing "nonsense": invalid syntax)`},
		{optBinding, "nonsense", "failed to parse com.docker.network.bridge.host_binding_ipv4 value: nonsense (not an IPv4 address)"},
		{optBinding, "::1", "failed to parse com.docker.network.bridge.host_binding_ipv4 value: ::1 (not an IPv4 address)"},
		{optName, "averyveryverylongname", `invalid bridge name "averyveryverylongname": at most 15 characters, no '/', ':' or space`},
		{ownPrefix + "nonsense", "1", `unknown option "com.docker.network.bridge.nonsense" of a bridge network`},
	} {
		_, err := with(c[0], c[1])
		assert.Error(t, err, c[2])
		assert.Check(t, errdefs.IsInvalidArgument(err))
	}
	_, err := with(optTrusted, "lan0:averyveryverylongname")
	assert.Error(t, err, `failed to parse com.docker.network.bridge.trusted_host_interfaces value: lan0:averyveryverylongname ("averyveryverylongname" is no name of an interface)`)
	s, err := with(optTrusted, ":lan0::eth1:lan0")
	assert.NilError(t, err)
	assert.DeepEqual(t, s.trusted, []string{"lan0", "eth1"})
	s, err = with("nonsense", "1")
	assert.NilError(t, err, "what is nobody's is kept and means nothing, as in docker")
	assert.Equal(t, s.name, "br-0123456789ab")
	s, err = with(optMTU, "1400")
	assert.NilError(t, err)
	assert.Equal(t, s.mtu, 1400)
}
