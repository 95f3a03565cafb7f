package server

import (
	"mime"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/jobengine/engine/internal/errs"
)

// guard refuses what a web page can make a browser send to a TCP socket: pages
// of other origins, and names that were made to resolve to this machine (DNS
// rebinding). No client of this API sends an Origin or a form.
func guard(r *http.Request) error {
	p := peerFrom(r)
	if p == nil || !p.tcp {
		return nil
	}
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		return errs.Forbidden("requests of web pages are refused")
	}
	if r.TLS != nil {
		return nil
	}
	if !ownHost(lowerHost(r.Host)) {
		return errs.Forbidden("host %q is not known to be this machine: use its address, its own name, or TLS", r.Host)
	}
	switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind {
	case "application/x-www-form-urlencoded", "multipart/form-data":
		return errs.Forbidden("requests of web forms are refused")
	}
	return nil
}

// ownHost tells whether a Host header is a name that nobody else can own: an
// address, which no rebinding can fake, localhost, or this machine's own name.
func ownHost(host string) bool {
	if host == "localhost" || host == hostname() {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

var hostname = sync.OnceValue(func() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return strings.ToLower(name)
})
