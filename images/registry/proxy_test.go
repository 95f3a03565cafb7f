package registry

import (
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"gotest.tools/v3/assert"
)

// proxy is a proxy for http and, by CONNECT, for https. Whatever is asked for,
// it reaches one server.
func proxy(t *testing.T, target string) (address string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		all = append(all, r.Method+" "+r.RequestURI)
		mu.Unlock()
		if r.Method != http.MethodConnect {
			r.URL.Host, r.RequestURI = target, ""
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			defer resp.Body.Close()
			w.WriteHeader(resp.StatusCode)
			io.Copy(w, resp.Body)
			return
		}
		there, err := net.Dial("tcp", target)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer there.Close()
		here, early, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer here.Close()
		io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			io.Copy(there, early) // what came with the request is in its buffer
			there.Close()
		}()
		io.Copy(here, there)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

// TestMain lets this program be the client whose proxies are tested: net/http
// reads them from the environment once.
func TestMain(m *testing.M) {
	if host := os.Getenv("TEST_TAGS_OF"); host != "" {
		os.Exit(printTags(host))
	}
	os.Exit(m.Run())
}

func printTags(host string) int {
	t := &testing.T{}
	c, err := New(Config{CertDirs: []string{os.Getenv("TEST_CERTS")}, Insecure: strings.Fields(os.Getenv("TEST_INSECURE"))})
	if err == nil {
		var all []string
		c.nets = nil
		if all, err = c.tags(t, host); err == nil {
			fmt.Print(all)
			return 0
		}
	}
	fmt.Print(err)
	return 1
}

// tagsWith asks for the tags in a process with the environment.
func tagsWith(t *testing.T, host string, env ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(env, "TEST_TAGS_OF="+host)
	out, err := cmd.Output()
	return string(out), err
}

// Proxies of the environment are used, but for the hosts in NO_PROXY.
func TestProxiesOfTheEnvironmentAreUsed(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"tags":["1"]}`) }))
	defer plain.Close()
	address, asked := proxy(t, strings.TrimPrefix(plain.URL, "http://"))
	// A name that nobody resolves: only the proxy gets anywhere. TLS is tried
	// first and fails in the tunnel.
	const far = "registry.invalid:5000"
	out, err := tagsWith(t, far, "TEST_INSECURE="+far, "HTTP_PROXY="+address, "HTTPS_PROXY="+address)
	assert.NilError(t, err, out)
	assert.Equal(t, out, "[1]")
	assert.DeepEqual(t, asked(), []string{
		"CONNECT " + far, "GET http://" + far + "/v2/", "GET http://" + far + "/v2/app/tags/list",
	})

	// 0.0.0.0 is reached like loopback, which never has a proxy.
	near := "0.0.0.0:" + plain.URL[strings.LastIndex(plain.URL, ":")+1:]
	before := len(asked())
	out, err = tagsWith(t, near, "TEST_INSECURE="+near, "http_proxy="+address, "https_proxy="+address)
	assert.NilError(t, err, out)
	assert.Assert(t, len(asked()) > before)
	before = len(asked())
	out, err = tagsWith(t, near, "TEST_INSECURE="+near, "HTTP_PROXY="+address, "HTTPS_PROXY="+address, "NO_PROXY=other.example,0.0.0.0")
	assert.NilError(t, err, out)
	assert.Equal(t, out, "[1]")
	assert.Equal(t, len(asked()), before)
}

// Through a proxy the registry still has to show its own certificate.
func TestCertificatesAreCheckedThroughAProxy(t *testing.T) {
	const far = "registry.invalid"
	ca := newAuthority(t)
	dir, _ := certsDir(t, far, ca)
	ask := func(names ...string) (string, error) {
		t.Helper()
		address, asked := proxy(t, tlsRegistry(t, ca.issue(t, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, names }), nil))
		out, err := tagsWith(t, far, "TEST_CERTS="+dir, "HTTPS_PROXY="+address)
		assert.Equal(t, asked()[0], "CONNECT "+far+":443")
		return out, err
	}
	out, err := ask(far)
	assert.NilError(t, err, out)
	assert.Equal(t, out, "[1]")
	out, err = ask("other.invalid")
	assert.ErrorContains(t, err, "exit status 1")
	assert.Assert(t, strings.Contains(out, "x509: certificate is valid for other.invalid, not "+far), out)
}
