package server

import (
	"net/http"
	"net/url"

	"github.com/gorilla/mux"
)

// route is a row of the route table. The path is gorilla/mux's, without a
// version: every route is served with one and without.
type route struct {
	method string
	path   string
	handle handler
}

// handler answers one request. An error is answered by the caller, unless the
// handler has begun to.
type handler func(w *response, r *request) error

// ServeHTTP is here so that mux keeps a handler; it is never called.
func (handler) ServeHTTP(http.ResponseWriter, *http.Request) {}

// request is an http.Request with what the router has learned from its path.
type request struct {
	*http.Request
	version apiVersion
	vars    map[string]string
	form    url.Values // the query
}

// router matches the paths of one method. A router for each method keeps a
// request from being compared with routes that cannot be meant.
type router struct{ *mux.Router }

func newRouters(routes []route) map[string]router {
	routers := make(map[string]router)
	for _, row := range routes {
		r, ok := routers[row.method]
		if !ok {
			r = router{mux.NewRouter().SkipClean(true)}
			routers[row.method] = r
		}
		r.Path(row.path).Handler(row.handle)
	}
	return routers
}

// find gives the handler of a request whose path has no version any more.
func (r router) find(req *http.Request) (handler, map[string]string, bool) {
	if r.Router == nil {
		return nil, nil, false
	}
	var match mux.RouteMatch
	if !r.Match(req, &match) {
		return nil, nil, false
	}
	h, ok := match.Handler.(handler)
	return h, match.Vars, ok
}
