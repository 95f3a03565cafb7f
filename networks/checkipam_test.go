package networks_test

import (
	"net/netip"
	"testing"

	"github.com/moby/moby/api/types/network"
	"gotest.tools/v3/assert"
)

func TestAnAddressIsSetAsideOnce(t *testing.T) {
	w := open(t, t.TempDir())
	a, b := netip.MustParseAddr("10.76.0.5"), netip.MustParseAddr("10.76.0.6")
	for _, c := range []struct {
		gateway netip.Addr
		aux     map[string]netip.Addr
		err     string
	}{
		{a, map[string]netip.Addr{"a": a}, "failed to allocate secondary ip address (a:10.76.0.5): Address already in use"},
		{b, map[string]netip.Addr{"a": a, "b": a}, "failed to allocate secondary ip address (b:10.76.0.5): Address already in use"},
		{b, map[string]netip.Addr{"a": a}, ""},
	} {
		in := network.CreateRequest{Name: "web", IPAM: subnetOf("10.76.0.0/24")}
		in.IPAM.Config[0].Gateway, in.IPAM.Config[0].AuxAddress = c.gateway, c.aux
		_, err := w.create(t, in)
		if c.err == "" {
			assert.NilError(t, err)
			continue
		}
		assert.Error(t, err, c.err)
		assert.Equal(t, len(w.list(t, nil)), 2, "nothing is half made")
	}
}
