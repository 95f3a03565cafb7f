package server

import "github.com/jobengine/engine/internal/errs"

// missingRoutes are docker's routes that have no job yet. They say so, instead
// of pretending that the path is unknown.
func missingRoutes() []route {
	rows := []route{
		{"POST", "/build", missing("build")},
		{"GET", "/containers/{name:.+}/archive", missing("cp")},
		{"HEAD", "/containers/{name:.+}/archive", missing("cp")},
		{"PUT", "/containers/{name:.+}/archive", missing("cp")},
		{"GET", "/containers/{name:.+}/attach/ws", missing("attach over websocket")},
		{"POST", "/volumes/create", missing("volume create")},
	}
	return rows
}

func missing(what string) handler {
	return func(*response, *request) error {
		return errs.NotImplemented("%s is not available yet in this version of engine", what)
	}
}

// getAttestations is a route of 1.55. What says how an image was built is no
// part of the images here.
func getAttestations(_ *response, r *request) error {
	if r.version.before(55) {
		return errs.NotFound("page not found")
	}
	return errs.NotImplemented("the image store does not support attestations")
}
