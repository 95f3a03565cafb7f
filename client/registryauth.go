package client

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jobengine/engine/client/credentials"
	"github.com/jobengine/engine/internal/reference"
	"github.com/moby/moby/api/types/registry"
)

// authHeader gives the header with which the daemon can speak for the user to
// the registry of an image. Credentials that cannot be read are none.
func (c *Cmd) authHeader(named reference.Named) []string {
	domain, _, _ := strings.Cut(named.Name(), "/")
	auth := registry.AuthConfig{}
	store, err := credentials.Open(c.configDir())
	if err == nil {
		auth, err = store.Get(credentials.Server(domain))
	}
	if err != nil {
		fmt.Fprintf(c.Err, "WARNING: %v\n", err)
	}
	return []string{registry.AuthHeader, encodeAuth(auth)}
}

// configDir is the folder of config.json.
func (c *Cmd) configDir() string { return c.globals.config }

func encodeAuth(auth registry.AuthConfig) string {
	data, _ := json.Marshal(auth) // strings always encode
	return base64.URLEncoding.EncodeToString(data)
}
