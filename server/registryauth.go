package server

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/moby/moby/api/types/registry"
)

// registryAuth reads X-Registry-Auth: an object of JSON in base64, of which both
// alphabets, with and without padding, are in use. Credentials that cannot be
// read are as good as none, as in Docker; no text of them goes anywhere.
func registryAuth(r *request) *registry.AuthConfig {
	return decodeAuth(r.Header.Get(registry.AuthHeader))
}

func decodeAuth(header string) *registry.AuthConfig {
	text := strings.TrimRight(strings.TrimSpace(header), "=")
	if text == "" {
		return nil
	}
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		if data, err = base64.RawStdEncoding.DecodeString(text); err != nil {
			return nil
		}
	}
	auth := &registry.AuthConfig{}
	if json.Unmarshal(data, auth) != nil {
		return nil
	}
	return auth
}
