package client

import (
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/containerd/platforms"
)

// addPlatform puts "os[/arch[/variant]]" into a request as the JSON that it
// takes there; several values make several parameters. What is left out is
// this host's, and other names of an architecture are its usual one.
func addPlatform(query url.Values, texts ...string) error {
	for _, s := range texts {
		if s == "" {
			continue
		}
		p, err := platforms.Parse(s)
		if err != nil {
			return fmt.Errorf("invalid platform: %w", err)
		}
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		query.Add("platform", string(text))
	}
	return nil
}
