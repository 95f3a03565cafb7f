package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/network"
	"gotest.tools/v3/assert"
)

func TestRefusedBodiesNameTheField(t *testing.T) {
	for _, c := range []struct {
		into       any
		body, want string
	}{
		{new(network.CreateRequest), `{"IPAM":{"Config":[{"Subnet":"nonsense"}]}}`, `invalid JSON: field IPAM.Config.Subnet: netip.ParsePrefix("nonsense"): no '/'`},
		{new(network.CreateRequest), `{"IPAM":{"Config":[{"Subnet":"10.0.0.0/33"}]}}`, `invalid JSON: field IPAM.Config.Subnet: netip.ParsePrefix("10.0.0.0/33"): prefix length out of range`},
		{new(network.ConnectRequest), `{"EndpointConfig":{"IPAMConfig":{"IPv4Address":"nonsense"}}}`, `invalid JSON: field EndpointConfig.IPAMConfig.IPv4Address: ParseAddr("nonsense"): unable to parse IP`},
		{new(network.ConnectRequest), `{"EndpointConfig":{"IPAMConfig":{"LinkLocalIPs":["x"]}}}`, `invalid JSON: field EndpointConfig.IPAMConfig.LinkLocalIPs: ParseAddr("x"): unable to parse IP`},
	} {
		r := httptest.NewRequest(http.MethodPost, "/x", strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/json")
		err := decode(&response{ResponseWriter: httptest.NewRecorder()}, &request{Request: r}, c.into, true)
		assert.Error(t, err, c.want)
	}
}
