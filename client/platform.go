package client

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// addPlatform puts "os[/arch[/variant]]" into a request as the JSON that it
// takes there; several values make several parameters.
func addPlatform(query url.Values, platforms ...string) error {
	for _, s := range platforms {
		if s == "" {
			continue
		}
		parts := strings.Split(s, "/")
		if len(parts) > 3 || parts[0] == "" {
			return fmt.Errorf("invalid platform: %q: must be os[/arch[/variant]]", s)
		}
		p := ocispec.Platform{OS: parts[0]}
		if len(parts) > 1 {
			p.Architecture = parts[1]
		}
		if len(parts) > 2 {
			p.Variant = parts[2]
		}
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		query.Add("platform", string(text))
	}
	return nil
}
