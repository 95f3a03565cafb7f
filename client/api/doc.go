// Package api is the CLI's thin HTTP client for the Docker Engine API.
//
// It knows how to reach a daemon (unix, tcp, TLS, ssh), agree on a version,
// send a request and turn an error status into an error with a class. It knows
// no routes: a command names its own, so that one reads in one file what goes
// over the wire.
//
//	c, err := api.New(api.Endpoint{Host: "unix:///run/engine.sock"})
//	var list []container.Summary
//	err = c.Get(ctx, "/containers/json", url.Values{"all": {"1"}}, &list)
package api
