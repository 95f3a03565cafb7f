package harness

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Tokens is a token service as Docker's registries ask for one: it gives a user
// with a password, or with an identity that stands for it, signed permissions.
type Tokens struct {
	Issuer   string
	Service  string
	Signer   *Certificate // the registry knows it
	User     string
	Password string

	mu       sync.Mutex
	identity string
	asked    []TokenRequest
	expired  int // of the next tokens
}

// TokenRequest is one that was made, with what was shown for it.
type TokenRequest struct {
	Method, Scope, Shown string
	Granted              bool
}

// Asked gives the requests since it was last called.
func (s *Tokens) Asked() []TokenRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// Expire lets the next so many tokens be of yesterday.
func (s *Tokens) Expire(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expired = n
}

// Revoke makes the identities that were given worth nothing.
func (s *Tokens) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identity = ""
}

func (s *Tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	req := TokenRequest{Method: r.Method, Scope: strings.Join(strings.Fields(strings.Join(append(r.URL.Query()["scope"], r.PostFormValue("scope")), " ")), " ")}
	user, password, basic := r.BasicAuth()
	switch token := r.PostFormValue("refresh_token"); {
	case basic:
		req.Shown = "password"
		req.Granted = user == s.User && password == s.Password
	case token != "":
		req.Shown = "identity"
		req.Granted = token == s.identity && r.PostFormValue("grant_type") == "refresh_token"
	}
	req.Granted = req.Granted && r.FormValue("service") == s.Service
	s.asked = append(s.asked, req)
	w.Header().Set("Content-Type", "application/json")
	if !req.Granted {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"details":"incorrect username or password"}`)
		return
	}
	from := time.Now()
	if s.expired > 0 {
		s.expired--
		from = from.Add(-24 * time.Hour)
	}
	token, err := s.sign(req.Scope, from)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer := map[string]any{"token": token, "expires_in": 300}
	if r.URL.Query().Get("offline_token") == "true" {
		s.identity = fmt.Sprintf("identity-%d", time.Now().UnixNano())
		answer["refresh_token"] = s.identity
	}
	json.NewEncoder(w).Encode(answer)
}

// sign makes a JSON web token for scopes: "repository:NAME:pull,push …".
func (s *Tokens) sign(scopes string, from time.Time) (string, error) {
	type access struct {
		Type    string   `json:"type"`
		Name    string   `json:"name"`
		Actions []string `json:"actions"`
	}
	all := []access{}
	for _, scope := range strings.Fields(scopes) {
		kind, rest, _ := strings.Cut(scope, ":")
		i := strings.LastIndex(rest, ":")
		if i < 0 {
			return "", fmt.Errorf("no scope: %q", scope)
		}
		all = append(all, access{kind, rest[:i], strings.Split(rest[i+1:], ",")})
	}
	encode := func(v any) string {
		data, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(data)
	}
	text := encode(map[string]any{"typ": "JWT", "alg": "ES256", "x5c": []string{base64.StdEncoding.EncodeToString(s.Signer.Raw)}}) + "." +
		encode(map[string]any{
			"iss": s.Issuer, "sub": s.User, "aud": s.Service, "access": all, "jti": fmt.Sprint(time.Now().UnixNano()),
			"iat": from.Unix(), "nbf": from.Add(-time.Minute).Unix(), "exp": from.Add(5 * time.Minute).Unix(),
		})
	sum := sha256.Sum256([]byte(text))
	a, b, err := ecdsa.Sign(rand.Reader, s.Signer.Key, sum[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64)
	a.FillBytes(signature[:32])
	b.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// Permissions reads what a token that was signed here permits, as scopes.
func Permissions(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "no token"
	}
	var claims struct {
		Access []struct {
			Type, Name string
			Actions    []string
		} `json:"access"`
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(data, &claims) != nil {
		return "no token"
	}
	var all []string
	for _, a := range claims.Access {
		all = append(all, a.Type+":"+a.Name+":"+strings.Join(a.Actions, ","))
	}
	return strings.Join(all, " ")
}
