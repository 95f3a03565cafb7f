package client

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/term"

	"github.com/jobengine/engine/client/credentials"
)

// Registries has the commands that deal with registries.
type Registries struct{}

// maxSecret bounds a password.
const maxSecret = 1 << 20

// CmdLogin asks for credentials, has the registry look at them, and keeps them.
func (Registries) CmdLogin(c *Cmd, args ...string) error {
	c.Describe("login [OPTIONS] [SERVER]", "Authenticate to a registry").Common(9)
	f := c.Flags()
	user := f.StringP("username", "u", "", "Username")
	password := f.StringP("password", "p", "", "Password or Personal Access Token (PAT)")
	stdin := f.Bool("password-stdin", false, "Take the Password or Personal Access Token (PAT) from stdin")
	args, err := c.Parse(args, Between(0, 1))
	if err != nil {
		return err
	}
	if f.Changed("password") {
		fmt.Fprintln(c.Err, "WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
		if *stdin {
			return errors.New("--password and --password-stdin are mutually exclusive")
		}
	}
	if *stdin {
		if *user == "" {
			return errors.New("the --password-stdin option requires --username to be set")
		}
		data, err := io.ReadAll(io.LimitReader(c.In, maxSecret))
		if err != nil {
			return err
		}
		*password = strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	}
	server := credentials.Hub
	if len(args) == 1 {
		server = loginServer(args[0])
	}
	store, err := credentials.Open(c.configDir())
	if err != nil {
		return err
	}
	auth := registry.AuthConfig{ServerAddress: server, Username: *user, Password: *password}
	var answer registry.AuthResponse
	known := false
	if *user == "" && *password == "" {
		if auth, err = store.Get(server); err == nil && (auth.Username != "" && auth.Password != "" || auth.IdentityToken != "") {
			fmt.Fprintln(c.Err, "Authenticating with existing credentials...")
			err = c.API().Post(c.Context(), "/auth", nil, auth, &answer)
			known = err == nil
			if err != nil && !errdefs.IsUnauthorized(err) {
				return err
			}
			if err != nil {
				fmt.Fprintf(c.Err, "Login did not succeed, error: %v\n", err)
			}
		}
	}
	if !known {
		if err := c.askCredentials(&auth, *user, *password); err != nil {
			return err
		}
		auth.IdentityToken = ""
		if err := c.API().Post(c.Context(), "/auth", nil, auth, &answer); err != nil {
			return err
		}
	}
	if answer.IdentityToken != "" {
		auth.Password, auth.IdentityToken = "", answer.IdentityToken
	}
	if !known || answer.IdentityToken != "" {
		if err := store.Put(server, auth); err != nil {
			return fmt.Errorf("Error saving credentials: %w", err)
		}
		if !store.Helped(server) {
			fmt.Fprintf(c.Err, "\nWARNING! Your credentials are stored unencrypted in '%s'.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n\n", store.Path())
		}
	}
	if answer.Status != "" {
		c.println(answer.Status)
	}
	return nil
}

// loginServer is the registry that an argument of login names.
func loginServer(arg string) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "http://"), "https://"), "/")
	return credentials.Server(host)
}

// askCredentials asks on the terminal for what is missing.
func (c *Cmd) askCredentials(auth *registry.AuthConfig, user, password string) error {
	in, isFile := c.In.(*os.File)
	if user == "" || password == "" {
		if !isFile || !term.IsTerminal(in.Fd()) {
			return errors.New("Error: Cannot perform an interactive login from a non TTY device")
		}
	}
	lines := bufio.NewReader(c.In)
	ask := func(question, preset string) (string, error) {
		if preset != "" {
			question += " (" + preset + ")"
		}
		fmt.Fprint(c.Out, question+": ")
		line, err := lines.ReadString('\n')
		if err != nil && line == "" {
			return "", err
		}
		if line = strings.TrimSpace(line); line == "" {
			line = preset
		}
		return line, nil
	}
	var err error
	if user == "" {
		if user, err = ask("Username", auth.Username); err != nil {
			return err
		}
		if user == "" {
			return errors.New("username is required")
		}
	}
	if password == "" {
		state, err := term.SaveState(in.Fd())
		if err != nil {
			return err
		}
		if err := term.DisableEcho(in.Fd(), state); err != nil {
			return err
		}
		password, err = ask("Password", "")
		term.RestoreTerminal(in.Fd(), state)
		fmt.Fprintln(c.Out)
		if err != nil {
			return err
		}
		if password == "" {
			return errors.New("password is required")
		}
	}
	auth.Username, auth.Password = user, password
	return nil
}

// CmdLogout forgets the credentials of a registry.
func (Registries) CmdLogout(c *Cmd, args ...string) error {
	c.Describe("logout [SERVER]", "Log out from a registry").Common(10)
	args, err := c.Parse(args, Between(0, 1))
	if err != nil {
		return err
	}
	server, shown := credentials.Hub, credentials.Hub
	if len(args) == 1 {
		server = loginServer(args[0])
		shown = server
	}
	store, err := credentials.Open(c.configDir())
	if err != nil {
		return err
	}
	c.println("Removing login credentials for " + shown)
	if err := store.Erase(server); err != nil {
		fmt.Fprintf(c.Err, "WARNING: could not erase credentials: %v\n", err)
	}
	return nil
}
