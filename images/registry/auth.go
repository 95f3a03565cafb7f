package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/registry"
)

// clientID is how the engine calls itself at token services; Docker's hub knows this one.
const clientID = "docker"

// challenge is what a registry asks for in WWW-Authenticate.
type challenge struct {
	scheme string // in lower case
	params map[string]string
}

// challenges reads all headers of that name. What cannot be read ends it.
func challenges(h http.Header) []challenge {
	var all []challenge
	for _, text := range h.Values("WWW-Authenticate") {
		for text != "" {
			var c challenge
			c, text = parseChallenge(text)
			if c.scheme == "" {
				break
			}
			all = append(all, c)
		}
	}
	return all
}

// parseChallenge reads one challenge (RFC 9110, 11.6.1) and gives what follows it.
func parseChallenge(text string) (c challenge, rest string) {
	text = strings.TrimLeft(text, " \t,")
	scheme, text := token(text)
	c = challenge{strings.ToLower(scheme), map[string]string{}}
	for {
		trimmed := strings.TrimLeft(text, " \t,")
		key, after := token(trimmed)
		after = strings.TrimLeft(after, " \t")
		if key == "" || !strings.HasPrefix(after, "=") {
			return c, trimmed // the next scheme, or the end
		}
		value, after, ok := paramValue(strings.TrimLeft(after[1:], " \t"))
		if !ok {
			return c, ""
		}
		c.params[strings.ToLower(key)] = value
		text = after
	}
}

func token(s string) (tok, rest string) {
	i := 0
	for i < len(s) && (s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z' || s[i] >= '0' && s[i] <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) >= 0) {
		i++
	}
	return s[:i], s[i:]
}

func paramValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		value, rest = token(s)
		return value, rest, true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// errNoBasic is docker's sentence for a registry that wants a password when there is none.
var errNoBasic = errors.New("no basic auth credentials")

// authorizer has one caller's credentials for one registry, and the tokens that
// they were worth.
type authorizer struct {
	creds    registry.AuthConfig
	exchange func(*http.Request) (*http.Response, error) // to the token service
	insecure bool                                        // it may be asked over plain HTTP
	offline  bool                                        // a token that lasts is wanted (login)

	mu       sync.Mutex
	basic    bool
	bearer   *challenge // nil until the registry has asked
	tokens   map[string]accessToken
	identity string // that a token service gave
}

type accessToken struct {
	text  string
	until time.Time
}

func newAuthorizer(creds *registry.AuthConfig) *authorizer {
	a := &authorizer{tokens: map[string]accessToken{}}
	if creds != nil {
		a.creds = *creds
		if a.creds.Username == "" && a.creds.Password == "" && a.creds.Auth != "" {
			if data, err := base64.StdEncoding.DecodeString(a.creds.Auth); err == nil {
				a.creds.Username, a.creds.Password, _ = strings.Cut(strings.TrimRight(string(data), "\x00"), ":")
			}
		}
	}
	return a
}

// learn takes what the registry asks for; false if there is nothing new in it.
func (a *authorizer) learn(h http.Header) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range challenges(h) {
		switch c.scheme {
		case "bearer":
			a.bearer = &c
			return true
		case "basic":
			a.basic = true
		}
	}
	return a.basic
}

// header gives what a request for the scope has to say of its caller, "" for
// nothing. refused is what the registry did not want to hear: a newer token is
// fetched unless somebody else has done so meanwhile.
func (a *authorizer) header(ctx context.Context, scope, refused string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.bearer != nil:
		text, err := a.token(ctx, scope, strings.TrimPrefix(refused, "Bearer "))
		if err != nil {
			return "", err
		}
		return "Bearer " + text, nil
	case a.basic:
		if a.creds.Username == "" {
			return "", errNoBasic
		}
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.creds.Username+":"+a.creds.Password)), nil
	}
	return "", nil
}

// token gives a token for the scope; a.mu is held, so that it is asked for once.
func (a *authorizer) token(ctx context.Context, scope, refused string) (string, error) {
	if a.creds.RegistryToken != "" {
		return a.creds.RegistryToken, nil
	}
	if t, ok := a.tokens[scope]; ok && t.text != refused && time.Now().Before(t.until) {
		return t.text, nil
	}
	t, err := a.fetchToken(ctx, scope)
	if err != nil {
		return "", err
	}
	a.tokens[scope] = t
	return t.text, nil
}

// tokenAnswer is what token services say; which fields depends on their age.
type tokenAnswer struct {
	Token        string    `json:"token"`
	AccessToken  string    `json:"access_token"`
	RefreshToken string    `json:"refresh_token"`
	ExpiresIn    int       `json:"expires_in"`
	IssuedAt     time.Time `json:"issued_at"`
}

const maxTokenAnswer = 1 << 20

func (a *authorizer) fetchToken(ctx context.Context, scope string) (accessToken, error) {
	realm, err := url.Parse(a.bearer.params["realm"])
	if err != nil || realm.Host == "" {
		return accessToken{}, errors.New("the registry names no token service")
	}
	hasSecret := a.creds.IdentityToken != "" || a.creds.Username != ""
	if realm.Scheme != "https" && (realm.Scheme != "http" || hasSecret && !a.insecure) {
		return accessToken{}, fmt.Errorf("the registry's token service %s is not reached by https", realm.Redacted())
	}
	var req *http.Request
	form := url.Values{}
	if service := a.bearer.params["service"]; service != "" {
		form.Set("service", service)
	}
	for s := range strings.FieldsSeq(scope) {
		form.Add("scope", s)
	}
	if a.creds.IdentityToken != "" {
		form.Set("grant_type", "refresh_token")
		form.Set("refresh_token", a.creds.IdentityToken)
		form.Set("client_id", clientID)
		form.Set("scope", scope)
		req, err = http.NewRequestWithContext(ctx, http.MethodPost, realm.String(), strings.NewReader(form.Encode()))
		if err == nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	} else {
		query := realm.Query()
		for key, values := range form {
			query[key] = append(query[key], values...)
		}
		if a.creds.Username != "" {
			query.Set("account", a.creds.Username)
		}
		if a.offline {
			query.Set("offline_token", "true")
			query.Set("client_id", clientID)
		}
		realm.RawQuery = query.Encode()
		req, err = http.NewRequestWithContext(ctx, http.MethodGet, realm.String(), nil)
		if err == nil && a.creds.Username != "" {
			req.SetBasicAuth(a.creds.Username, a.creds.Password)
		}
	}
	if err != nil {
		return accessToken{}, err
	}
	resp, err := a.exchange(req)
	if err != nil {
		return accessToken{}, withoutQuery(err)
	}
	if resp.StatusCode != http.StatusOK {
		return accessToken{}, errorFrom(resp)
	}
	defer resp.Body.Close()
	var answer tokenAnswer
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer))
	if err == nil {
		err = json.Unmarshal(data, &answer)
	}
	if err != nil {
		return accessToken{}, errors.New("unable to decode token response: it is not what a token service says")
	}
	text := answer.Token
	if text == "" {
		text = answer.AccessToken
	}
	if text == "" {
		return accessToken{}, errors.New("authorization server did not include a token in the response")
	}
	if answer.RefreshToken != "" {
		a.identity = answer.RefreshToken
	}
	// A minute is what the protocol promises at least. The clocks of others are
	// not trusted: what counts is how long it lasts.
	life := max(time.Duration(answer.ExpiresIn)*time.Second, time.Minute)
	return accessToken{text, time.Now().Add(life - life/10)}, nil
}

// withoutQuery leaves out what a URL has behind its path: it may be a secret.
func withoutQuery(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		base, _, _ := strings.Cut(u.URL, "?")
		return &url.Error{Op: u.Op, URL: base, Err: u.Err}
	}
	return err
}
