package server

import (
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// createBody is the body of a create request: the fields of the container's
// configuration, and two objects beside them. The fields here go before those
// of the embedded Config.
type createBody struct {
	*container.Config
	Cmd              words
	Entrypoint       words
	MacAddress       string // of the container as a whole; gone since 1.52
	HostConfig       *container.HostConfig
	NetworkingConfig *network.NetworkingConfig
}

// decodeCreate reads a create request as the client's version means it, and
// returns what the client should be warned of.
func decodeCreate(w *response, r *request) (jobs.CreateIn, []string, error) {
	in := jobs.CreateIn{Name: r.get("name")}
	if !r.version.before(41) {
		in.Platform = r.get("platform")
	}
	var body createBody
	if err := decode(w, r, &body, false); err != nil {
		return in, nil, err
	}
	if body.Config == nil {
		if body.Cmd == nil && body.Entrypoint == nil && body.MacAddress == "" {
			return in, nil, errs.Invalid("config cannot be empty in order to create a container")
		}
		body.Config = &container.Config{}
	}
	in.Config = body.Config
	in.Config.Cmd, in.Config.Entrypoint = body.Cmd, body.Entrypoint
	in.HostConfig, in.NetworkingConfig = body.HostConfig, body.NetworkingConfig
	if in.HostConfig == nil {
		in.HostConfig = &container.HostConfig{}
	}
	warnings, err := createFrom(r.version, &in, body.MacAddress)
	return in, warnings, err
}
