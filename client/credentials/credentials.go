package credentials

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	helper "github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"
	"github.com/moby/moby/api/types/registry"
)

// Hub is the address under which credentials of docker.io are kept.
const Hub = "https://index.docker.io/v1/"

// tokenUser is the user name with which helpers keep identity tokens.
const tokenUser = "<token>"

// entry is a member of "auths".
type entry struct {
	Auth          string `json:"auth,omitempty"`
	Email         string `json:"email,omitempty"`
	IdentityToken string `json:"identitytoken,omitempty"`
	RegistryToken string `json:"registrytoken,omitempty"`
}

// Store reads and changes the credentials of one config.json. Its other keys are
// kept as they are.
type Store struct {
	path    string
	raw     map[string]json.RawMessage
	auths   map[string]entry
	store   string            // helper of all registries
	helpers map[string]string // helpers of some
}

// Open reads the config.json of a folder; an absent one is empty.
func Open(dir string) (*Store, error) {
	s := &Store{path: filepath.Join(dir, "config.json"), raw: map[string]json.RawMessage{}, auths: map[string]entry{}}
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &s.raw); err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	for key, into := range map[string]any{"auths": &s.auths, "credsStore": &s.store, "credHelpers": &s.helpers} {
		if part, ok := s.raw[key]; ok {
			if err := json.Unmarshal(part, into); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", s.path, key, err)
			}
		}
	}
	if s.auths == nil {
		s.auths = map[string]entry{}
	}
	return s, nil
}

// Path is where credentials lie that no helper keeps.
func (s *Store) Path() string { return s.path }

// Server gives the address under which a registry's credentials are kept.
func Server(domain string) string {
	switch domain {
	case "", "docker.io", "index.docker.io", "registry-1.docker.io":
		return Hub
	}
	return domain
}

// hostOf strips what people write around a registry's name.
func hostOf(address string) string {
	address = strings.TrimPrefix(strings.TrimPrefix(address, "http://"), "https://")
	host, _, _ := strings.Cut(address, "/")
	return host
}

// helperOf gives the program that keeps a server's credentials, or nil.
func (s *Store) helperOf(server string) helper.ProgramFunc {
	name := s.helpers[hostOf(server)]
	if n, ok := s.helpers[server]; ok {
		name = n
	}
	if name == "" {
		name = s.store
	}
	if name == "" {
		return nil
	}
	return helper.NewShellProgramFunc("docker-credential-" + name)
}

// Helped tells whether a helper keeps a server's credentials.
func (s *Store) Helped(server string) bool { return s.helperOf(server) != nil }

// Get gives what is known for a server, empty if nothing is.
func (s *Store) Get(server string) (registry.AuthConfig, error) {
	out := registry.AuthConfig{ServerAddress: server}
	if program := s.helperOf(server); program != nil {
		found, err := helper.Get(program, server)
		if err != nil {
			if credentials.IsErrCredentialsNotFound(err) {
				return out, nil
			}
			return out, fmt.Errorf("error getting credentials - %w", err)
		}
		if found.Username == tokenUser {
			out.IdentityToken = found.Secret
		} else {
			out.Username, out.Password = found.Username, found.Secret
		}
		return out, nil
	}
	e, ok := s.auths[server]
	if !ok {
		for _, key := range slices.Sorted(maps.Keys(s.auths)) {
			if hostOf(key) == hostOf(server) {
				e, ok = s.auths[key], true
				break
			}
		}
	}
	if !ok {
		return out, nil
	}
	out.IdentityToken, out.RegistryToken = e.IdentityToken, e.RegistryToken
	if e.Auth != "" {
		data, err := base64.StdEncoding.DecodeString(e.Auth)
		if err != nil {
			return out, fmt.Errorf("%s: the credentials of %s are damaged", s.path, server)
		}
		user, password, ok := strings.Cut(string(data), ":")
		if !ok || user == "" {
			return out, fmt.Errorf("%s: the credentials of %s are damaged", s.path, server)
		}
		out.Username, out.Password = user, strings.Trim(password, "\x00")
	}
	return out, nil
}

// Put keeps credentials.
func (s *Store) Put(server string, auth registry.AuthConfig) error {
	if program := s.helperOf(server); program != nil {
		c := &credentials.Credentials{ServerURL: server, Username: auth.Username, Secret: auth.Password}
		if auth.IdentityToken != "" {
			c.Username, c.Secret = tokenUser, auth.IdentityToken
		}
		if err := helper.Store(program, c); err != nil {
			return fmt.Errorf("error storing credentials - %w", err)
		}
		s.auths[server] = entry{} // a sign that there are some
		return s.write()
	}
	e := entry{IdentityToken: auth.IdentityToken}
	if auth.Username != "" {
		password := auth.Password
		if auth.IdentityToken != "" {
			password = ""
		}
		e.Auth = base64.StdEncoding.EncodeToString([]byte(auth.Username + ":" + password))
	}
	s.auths[server] = e
	return s.write()
}

// Erase forgets a server's credentials.
func (s *Store) Erase(server string) error {
	if program := s.helperOf(server); program != nil {
		if err := helper.Erase(program, server); err != nil {
			return err
		}
	}
	for key := range s.auths {
		if key == server || hostOf(key) == hostOf(server) {
			delete(s.auths, key)
		}
	}
	return s.write()
}

// write replaces the file, which may be a link to another place. It is for its
// owner alone.
func (s *Store) write() error {
	auths, err := json.Marshal(s.auths)
	if err != nil {
		return err
	}
	s.raw["auths"] = auths
	data, err := json.MarshalIndent(s.raw, "", "\t")
	if err != nil {
		return err
	}
	path := s.path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "config.json")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(data)
	if cerr := temp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	return err
}
