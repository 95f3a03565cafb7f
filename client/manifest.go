package client

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/jobengine/engine/internal/reference"
)

// maxDocument bounds what is printed of an answer.
const maxDocument = 16 << 20

// CmdManifest is the group of commands about manifests in registries.
func (Registries) CmdManifest(c *Cmd, args ...string) error {
	return c.Group("manifest", "Look at image manifests and manifest lists", args)
}

// CmdManifestInspect prints what a registry has under a name, asked by the daemon.
func (Registries) CmdManifestInspect(c *Cmd, args ...string) error {
	c.Describe("manifest inspect [OPTIONS] MANIFEST", "Display an image manifest, or manifest list")
	c.Flags().Bool("insecure", false, "Allow communication with an insecure registry (it is the daemon that knows which ones are)")
	args, err := c.Parse(args, Exactly(1))
	if err != nil {
		return err
	}
	named, err := reference.ParseNormalizedNamed(args[0])
	if err != nil {
		return err
	}
	resp, err := c.API().Do(c.Context(), "GET", "/distribution/"+args[0]+"/manifest", nil, nil, c.authHeader(named)...)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "   "); err != nil {
		return err
	}
	c.println(out.String())
	return nil
}

func decodeJSON(r io.Reader, v any) error {
	return json.NewDecoder(io.LimitReader(r, maxDocument)).Decode(v)
}
