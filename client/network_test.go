package client

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

func TestNetworkFlagsAreParsedByTheClient(t *testing.T) {
	s := newStandIn(t)
	s.on("GET /containers/web/json", answers(200, map[string]any{"Id": "web", "NetworkSettings": map[string]any{"Ports": map[string]any{}}}))
	for line, want := range map[string]string{
		"network create --subnet 10.0.0.0/24 --gateway x n":        `invalid gateway x: ParseAddr("x"): unable to parse IP`,
		"network create --subnet 10.0.0.0/24 --ip-range x n":       `invalid ip-range x: netip.ParsePrefix("x"): no '/'`,
		"network create --subnet 10.0.0.0/24 --aux-address a=x n":  `invalid aux-address a=x: ParseAddr("x"): unable to parse IP`,
		"network create --gateway 10.0.0.1 n":                      "every ip-range or gateway must have a corresponding subnet",
		"network create --subnet 10.0.0.0/24 --gateway 10.1.0.1 n": "no matching subnet for gateway 10.1.0.1",
		"port web x":                  "invalid port 'x': invalid syntax",
		"port web 70000":              "invalid port '70000': value out of range",
		"run --expose x image":        "invalid range format for --expose: x, error: invalid start port 'x': invalid syntax",
		"run --expose 90-80 image":    "invalid range format for --expose: 90-80, error: invalid port range: 90-80",
		"create --expose 70000 image": "invalid range format for --expose: 70000, error: invalid start port '70000': value out of range",
	} {
		code, _, text := s.run(strings.Fields(line)...)
		assert.Check(t, code != 0 && strings.Contains(text, want), "%s: %d %s", line, code, text)
	}
}
