package server

import (
	"net/http"
	"strconv"

	"github.com/moby/moby/api/types/network"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

func (s *Server) getNetworks(w *response, r *request) error {
	f, err := r.filters()
	if err != nil {
		return err
	}
	out, err := jobs.Networks.Run(r.Context(), s.eng, jobs.NetworksIn{Filters: f}, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, networksFor(r.version, out.Networks))
}

func (s *Server) getNetwork(w *response, r *request) error {
	in := jobs.NetworkInspectIn{Network: r.vars["name"], Scope: r.get("scope")}
	if v := r.get("verbose"); v != "" {
		var err error
		if in.Verbose, err = strconv.ParseBool(v); err != nil {
			return errs.Invalid("invalid value for verbose: %s: %w", v, err)
		}
	}
	out, err := jobs.NetworkInspect.Run(r.Context(), s.eng, in, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, networkFor(r.version, &out.Inspect))
}

// networkCreateAnswer keeps the order of docker's fields.
type networkCreateAnswer struct {
	ID      string `json:"Id"`
	Warning string
}

func (s *Server) postNetworkCreate(w *response, r *request) error {
	var in jobs.NetworkCreateIn
	if err := decode(w, r, &in.CreateRequest, true); err != nil {
		return err
	}
	networkCreateFrom(r.version, &in.CreateRequest)
	out, err := jobs.NetworkCreate.Run(r.Context(), s.eng, in, caller(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, networkCreateAnswer{out.ID, out.Warning})
}

func (s *Server) deleteNetwork(w *response, r *request) error {
	if _, err := jobs.NetworkRemove.Run(r.Context(), s.eng, jobs.NetworkRemoveIn{Network: r.vars["name"]}, caller(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) postNetworkConnect(w *response, r *request) error {
	var body network.ConnectRequest
	if err := decode(w, r, &body, true); err != nil {
		return err
	}
	if err := named(body.Container); err != nil {
		return err
	}
	connectFrom(r.version, &body)
	in := jobs.NetworkConnectIn{Network: r.vars["name"], Container: body.Container, Endpoint: body.EndpointConfig}
	if _, err := jobs.NetworkConnect.Run(r.Context(), s.eng, in, caller(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func named(container string) error {
	if container == "" {
		return errs.Invalid("invalid name or ID supplied: %q", container)
	}
	return nil
}

func (s *Server) postNetworkDisconnect(w *response, r *request) error {
	var body network.DisconnectRequest
	if err := decode(w, r, &body, true); err != nil {
		return err
	}
	if err := named(body.Container); err != nil {
		return err
	}
	in := jobs.NetworkDisconnectIn{Network: r.vars["name"], Container: body.Container, Force: body.Force}
	if _, err := jobs.NetworkDisconnect.Run(r.Context(), s.eng, in, caller(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
