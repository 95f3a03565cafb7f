package server

import (
	"net/http"
	"net/http/pprof"
)

// debugRoutes serve Go's profiles. They are there in debug mode only.
func debugRoutes() []route {
	plain := func(h http.HandlerFunc) handler {
		return func(w *response, r *request) error {
			h(w, r.Request)
			return nil
		}
	}
	return []route{
		{"GET", "/debug/pprof/cmdline", plain(pprof.Cmdline)},
		{"GET", "/debug/pprof/profile", plain(pprof.Profile)},
		{"GET", "/debug/pprof/symbol", plain(pprof.Symbol)},
		{"GET", "/debug/pprof/trace", plain(pprof.Trace)},
		{"GET", "/debug/pprof/{name:.*}", plain(pprof.Index)},
	}
}
