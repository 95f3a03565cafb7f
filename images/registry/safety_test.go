package registry

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/api/types/registry"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/internal/reference"
)

// place is a server that notes what it is shown of credentials.
type place struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string // methods and paths
	shown []string // headers and forms with credentials in them
}

// newPlace serves with a certificate of the authority, or without TLS.
func newPlace(t *testing.T, ca *issuer, answer http.HandlerFunc) *place {
	t.Helper()
	p := &place{}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, r.Method+" "+r.URL.Path)
		for _, text := range []string{r.Header.Get("Authorization"), r.Header.Get("Cookie"), r.FormValue("refresh_token")} {
			if text != "" {
				p.shown = append(p.shown, text)
			}
		}
		p.mu.Unlock()
		answer(w, r)
	}))
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	if ca == nil {
		p.Start()
	} else {
		p.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil).pair()}}
		p.StartTLS()
	}
	t.Cleanup(p.Close)
	return p
}

func (p *place) host() string {
	_, host, _ := strings.Cut(p.URL, "://")
	return host
}

func (p *place) seen() (asked, shown []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.asked...), append([]string{}, p.shown...)
}

// trusting is a client that knows the authority, and for which loopback is a network as any other.
func trusting(t *testing.T, ca *issuer, hosts ...string) *Client {
	t.Helper()
	dir := t.TempDir()
	for _, h := range hosts {
		assert.NilError(t, os.Mkdir(filepath.Join(dir, h), 0o700))
		ca.save(t, filepath.Join(dir, h, "ca.crt"), "")
	}
	return strict(t, Config{CertDirs: []string{dir}, Attempts: 1})
}

func (c *Client) as(creds *registry.AuthConfig, name string, do func(*Repository) error) error {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return err
	}
	return c.Each(context.Background(), named, creds, ActionPull, do)
}

func listTags(r *Repository) error {
	_, err := r.Tags(context.Background())
	return err
}

// Credentials that name a registry go to no other one, above all not to the
// hub, where a name without a registry leads (CVE-2021-41092).
func TestCredentialsGoToTheRegistryThatTheyName(t *testing.T) {
	for _, row := range []struct {
		address, domain string
		meant           bool
	}{
		{"", "docker.io", true},
		{"https://index.docker.io/v1/", "docker.io", true},
		{"docker.io", "docker.io", true},
		{"registry-1.docker.io", "docker.io", true},
		{"a.example", "docker.io", false},
		{"a.example:5000", "a.example", false},
		{"https://a.example/v2/", "a.example", true},
		{"https://index.docker.io/v1/", "a.example", false},
		{"https://index.docker.io.a.example/v1/", "docker.io", false},
		{"a.example@docker.io", "docker.io", false},
	} {
		assert.Equal(t, meantFor(&registry.AuthConfig{ServerAddress: row.address}, row.domain), row.meant, "%+v", row)
	}
	p := newPlace(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if user, _, _ := r.BasicAuth(); user != "me" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"tags":["1"]}`)
	})
	c := strict(t, Config{CertDirs: []string{}, Insecure: []string{p.host()}})
	creds := registry.AuthConfig{Username: "me", Password: "secret", ServerAddress: "a.example"}
	assert.ErrorContains(t, c.as(&creds, p.host()+"/app", listTags), "no basic auth credentials")
	_, shown := p.seen()
	assert.Equal(t, len(shown), 0)
	_, err := c.Search(context.Background(), p.host()+"/app", 5, &creds)
	assert.ErrorContains(t, err, "no basic auth credentials")
	_, shown = p.seen()
	assert.Equal(t, len(shown), 0)
	creds.ServerAddress = "https://" + p.host() + "/v1/"
	assert.NilError(t, c.as(&creds, p.host()+"/app", listTags))
}

// Where a registry sends its clients for a token is its word. Credentials go
// there by https only, and from there no further.
func TestCredentialsGoToTokenServicesByHTTPSOnly(t *testing.T) {
	ca := newAuthority(t)
	give := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"token":"given"}`) }
	plain, safe, third := newPlace(t, nil, give), newPlace(t, ca, give), newPlace(t, ca, give)
	onward := newPlace(t, ca, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, third.URL+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	})
	for name, row := range map[string]struct {
		realm string
		to    *place // nobody else sees anything
		want  string
	}{
		"https":                      {realm: safe.URL + "/token", to: safe},
		"http":                       {realm: plain.URL + "/token", want: "is not reached by https"},
		"a socket":                   {realm: "unix:///run/engine.sock", want: "names no token service"},
		"a file":                     {realm: "file://localhost/etc/passwd", want: "is not reached by https"},
		"nothing":                    {realm: "", want: "names no token service"},
		"no scheme":                  {realm: "//" + plain.host() + "/token", want: "is not reached by https"},
		"one that redirects further": {realm: onward.URL + "/token", to: onward, want: "307"},
	} {
		for _, creds := range []registry.AuthConfig{{Username: "me", Password: "secret"}, {IdentityToken: "identity"}} {
			t.Run(name+" "+creds.Username, func(t *testing.T) {
				asks := newPlace(t, ca, func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Authorization") != "Bearer given" {
						w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="s",scope="repository:other:pull,push,delete"`, row.realm))
						w.WriteHeader(http.StatusUnauthorized)
						return
					}
					fmt.Fprint(w, `{"tags":["1"]}`)
				})
				before := map[*place]int{}
				for _, p := range []*place{plain, safe, third, onward} {
					_, shown := p.seen()
					before[p] = len(shown)
				}
				c := trusting(t, ca, asks.host(), safe.host(), third.host(), onward.host())
				err := c.as(&creds, asks.host()+"/app", listTags)
				if row.want == "" {
					assert.NilError(t, err)
				} else {
					assert.ErrorContains(t, err, row.want)
				}
				for p, n := range before {
					_, shown := p.seen()
					if p != row.to {
						assert.Equal(t, len(shown), n, "%s was shown credentials", p.URL)
					} else {
						assert.Assert(t, len(shown) > n)
					}
				}
				_, shown := asks.seen() // the registry itself gets the token and not the password
				for _, text := range shown {
					assert.Equal(t, text, "Bearer given")
				}
			})
		}
	}
}

// A token is asked for one repository and for what is to be done there, whatever
// the registry's challenge names, and is shown for that only.
func TestTokensAreForOneRepository(t *testing.T) {
	ca := newAuthority(t)
	var mu sync.Mutex
	var scopes []string
	service := newPlace(t, ca, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		scopes = append(scopes, r.FormValue("scope"))
		fmt.Fprintf(w, `{"token":%q}`, base64.RawURLEncoding.EncodeToString([]byte(r.FormValue("scope"))))
	})
	var wrong []string
	asks := newPlace(t, ca, func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/t",service="s",scope="repository:victim:pull,push,delete registry:catalog:*"`, service.URL))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		scope, _ := base64.RawURLEncoding.DecodeString(token)
		repo := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v2/"), "/tags/list")
		mu.Lock()
		defer mu.Unlock()
		if string(scope) != "repository:"+repo+":pull" {
			wrong = append(wrong, r.URL.Path+" with "+string(scope))
		}
		fmt.Fprint(w, `{"tags":["1"]}`)
	})
	c := trusting(t, ca, asks.host(), service.host())
	for _, name := range []string{"a", "b/c", "a"} {
		assert.NilError(t, c.as(&registry.AuthConfig{Username: "me", Password: "secret"}, asks.host()+"/"+name, listTags))
	}
	assert.Equal(t, len(wrong), 0, "%q", wrong)
	assert.DeepEqual(t, scopes, []string{"repository:a:pull", "repository:b/c:pull", "repository:a:pull"})
}

// Redirects lead to http and https, not in circles, not out of TLS, and names
// and passwords in them go nowhere.
func TestRedirectsLeadToFewPlaces(t *testing.T) {
	ca := newAuthority(t)
	plain := newPlace(t, nil, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"tags":["1"]}`) })
	target := newPlace(t, ca, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"tags":["1"]}`) })
	for to, want := range map[string]string{
		"unix:///run/engine.sock":     "redirects to nowhere",
		"unix://host/run/engine.sock": `redirects to a "unix" URL`,
		"file:///etc/passwd":          "redirects to nowhere",
		"ftp://127.0.0.1/x":           `redirects to a "ftp" URL`,
		"gopher://127.0.0.1:6379/_x":  `redirects to a "gopher" URL`,
		"http://x y/":                 "redirects to nowhere",
		"":                            "redirects to nowhere",
		plain.URL + "/x":              "redirects from https to http",
		"/v2/app/tags/list":           "redirects more than 10 times",
		"https://me:secret@" + target.host() + "/x": "",
	} {
		front := newPlace(t, ca, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/" {
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
		})
		err := trusting(t, ca, front.host(), target.host()).as(&registry.AuthConfig{Username: "me", Password: "secret"}, front.host()+"/app", listTags)
		if want == "" {
			assert.NilError(t, err)
		} else {
			assert.ErrorContains(t, err, want, to)
		}
		asked, _ := front.seen()
		assert.Assert(t, len(asked) <= 12, "%q", asked)
	}
	for _, p := range []*place{plain, target} {
		asked, shown := p.seen()
		assert.Equal(t, len(shown), 0, "%q", shown)
		assert.Equal(t, len(asked), map[*place]int{plain: 0, target: 1}[p])
	}
}

// Where an upload goes on is the registry's word too: not out of TLS, and to
// another place without credentials.
func TestUploadsGoOnWhereItIsSafe(t *testing.T) {
	ca := newAuthority(t)
	plain := newPlace(t, nil, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusAccepted) })
	var other *place
	other = newPlace(t, ca, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", other.URL+"/next")
		w.WriteHeader(http.StatusAccepted)
	})
	for to, want := range map[string]string{
		plain.URL + "/upload":       "redirects from https to http",
		"unix:///run/engine.sock":   `wants the upload at a "unix" URL`,
		"file:///etc/passwd":        `wants the upload at a "file" URL`,
		"":                          "does not say where to upload to",
		other.URL + "/upload?x=y#z": "",
	} {
		front := newPlace(t, ca, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet || r.Header.Get("Authorization") == "" {
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusAccepted)
		})
		c := trusting(t, ca, front.host(), other.host())
		err := c.as(&registry.AuthConfig{Username: "me", Password: "secret"}, front.host()+"/app", func(r *Repository) error {
			u, err := r.Upload(context.Background())
			if err != nil {
				return err
			}
			return u.Append(context.Background(), bytes.NewReader([]byte("layer")), 0)
		})
		if want == "" {
			assert.NilError(t, err)
		} else {
			assert.ErrorContains(t, err, want, to)
		}
	}
	for _, p := range []*place{plain, other} {
		asked, shown := p.seen()
		assert.Equal(t, len(shown), 0, "%q", shown)
		assert.Equal(t, len(asked), map[*place]int{plain: 0, other: 1}[p], "%q", asked)
	}
}

// A request to where clouds have the secrets of their machines is told, before it is made.
func TestRequestsToMetadataServicesAreTold(t *testing.T) {
	front := newPlace(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			http.Redirect(w, r, "http://169.254.1.1:1/latest/meta-data/", http.StatusFound)
		}
	})
	for _, name := range []string{"169.254.1.1:1/x", front.host() + "/x"} {
		ctx, cancel := context.WithCancel(context.Background())
		var mu sync.Mutex
		var told []string
		c := strict(t, Config{CertDirs: []string{}, Insecure: []string{front.host()}, Notice: func(text string) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, text)
			cancel() // who knows what answers there
		}})
		named, err := reference.ParseNormalizedNamed(name)
		assert.NilError(t, err)
		err = c.Each(ctx, named, nil, ActionPull, func(r *Repository) error {
			_, err := r.Tags(ctx)
			return err
		})
		assert.Assert(t, err != nil)
		mu.Lock()
		assert.Assert(t, len(told) > 0)
		assert.Assert(t, strings.Contains(told[0], `"169.254.1.1:1" goes to the address 169.254.1.1`), told)
		mu.Unlock()
		cancel()
	}
}

// What a registry says is no order to a terminal.
func TestWhatARegistrySaysIsPlainText(t *testing.T) {
	p := newPlace(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"errors":[{"code":"X\u001b[2J","message":"a\u001b[31m\u009bb\u202ec\u0007\u0000d`+strings.Repeat("x", 5000)+`"}]}`)
	})
	c := strict(t, Config{CertDirs: []string{}, Insecure: []string{p.host()}})
	err := c.as(nil, p.host()+"/app", listTags)
	assert.ErrorContains(t, err, "x[2j: a[31mbcdxxx")
	assert.Assert(t, len(err.Error()) < 1200)
	assert.Assert(t, !strings.ContainsAny(err.Error(), "\x1b\x00\x07\u009b\u202e"), "%q", err)
}
