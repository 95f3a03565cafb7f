package request

import (
	"path"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/internal/errs"
)

// ValidName tells whether a container may be called so: [a-zA-Z0-9][a-zA-Z0-9_.-]+
func ValidName(name string) bool {
	if len(name) < 2 || len(name) > 255 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '_' && c != '.' && c != '-') {
			return false
		}
	}
	return true
}

// CheckName cleans a name of its slash and refuses what is none.
func CheckName(name string) (string, error) {
	clean := strings.TrimPrefix(name, "/")
	if !ValidName(clean) {
		return "", errs.Invalid("Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name)
	}
	return clean, nil
}

// CheckConfig checks what the user said of the Program, before the image is
// known. Errors are of the class invalid, in docker's words where it has some.
func CheckConfig(cfg *container.Config) error {
	if cfg.WorkingDir != "" && !path.IsAbs(cfg.WorkingDir) {
		return errs.Invalid("the working directory '%s' is invalid, it needs to be an absolute path", cfg.WorkingDir)
	}
	if len(cfg.WorkingDir) >= maxPath {
		return errs.Invalid("the working directory is invalid: longer than %d bytes", maxPath-1)
	}
	for _, kv := range cfg.Env {
		if name, _, _ := strings.Cut(kv, "="); name == "" {
			return errs.Invalid("invalid environment variable: %s", kv)
		}
	}
	if cfg.StopSignal != "" {
		if _, err := ParseSignal(cfg.StopSignal); err != nil {
			return err
		}
	}
	if err := checkHostname("hostname", cfg.Hostname, 64); err != nil {
		return err
	}
	if err := checkHostname("domainname", cfg.Domainname, 64); err != nil {
		return err
	}
	if err := checkHealth(cfg.Healthcheck); err != nil {
		return err
	}
	return checkTexts(cfg)
}

// checkHostname refuses what could make lines or fields of its own in a file of
// /etc. Names that DNS would not like are taken, as docker does.
func checkHostname(what, name string, longest int) error {
	if len(name) > longest {
		return errs.Invalid("invalid %s: longer than %d characters", what, longest)
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == ':' {
			return errs.Invalid("invalid %s: %q", what, name)
		}
	}
	return nil
}

func checkHealth(h *container.HealthConfig) error {
	if h == nil {
		return nil
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"Interval", h.Interval}, {"Timeout", h.Timeout}, {"StartPeriod", h.StartPeriod}, {"StartInterval", h.StartInterval}} {
		if d.value != 0 && d.value < container.MinimumDuration {
			return errs.Invalid("%s in Healthcheck cannot be less than %s", d.name, container.MinimumDuration)
		}
	}
	if h.Retries < 0 {
		return errs.Invalid("Retries in Healthcheck cannot be negative")
	}
	return nil
}

// checkTexts refuses NUL bytes, which no Program and no file name can have.
func checkTexts(cfg *container.Config) error {
	lists := map[string][]string{"Env": cfg.Env, "Cmd": cfg.Cmd, "Entrypoint": cfg.Entrypoint,
		"WorkingDir": {cfg.WorkingDir}, "User": {cfg.User}}
	for field, list := range lists {
		for _, text := range list {
			if strings.ContainsRune(text, 0) {
				return errs.Invalid("invalid %s: contains a NUL byte", field)
			}
		}
	}
	if strings.ContainsAny(cfg.User, "\n\r") {
		return errs.Invalid("invalid User: %q", cfg.User)
	}
	return nil
}

// checkPolicy checks the restart policy.
func checkPolicy(p container.RestartPolicy, autoRemove bool) error {
	if autoRemove && !p.IsNone() {
		return errs.Invalid("can't create 'AutoRemove' container with restart policy")
	}
	switch p.Name {
	case container.RestartPolicyAlways, container.RestartPolicyUnlessStopped, container.RestartPolicyDisabled:
		if p.MaximumRetryCount != 0 {
			return errs.Invalid("maximum retry count cannot be used with restart policy '%s'", p.Name)
		}
	case container.RestartPolicyOnFailure:
		if p.MaximumRetryCount < 0 {
			return errs.Invalid("maximum retry count cannot be negative")
		}
	case "":
	default:
		return errs.Invalid("invalid restart policy '%s'", p.Name)
	}
	return nil
}
