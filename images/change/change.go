package change

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/docker/go-connections/nat"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/sys/signal"

	"github.com/jobengine/engine/internal/errs"
)

type config = dockerspec.DockerOCIImageConfig

// instructions are those that are allowed, by their names in small letters.
var instructions = map[string]func(c *config, args string) error{
	"cmd": cmd, "entrypoint": entrypoint, "env": env, "expose": expose, "healthcheck": healthcheck, "label": label,
	"onbuild": onbuild, "stopsignal": stopsignal, "user": user, "volume": volume, "workdir": workdir,
}

// Apply changes the config as the lines say. Errors are invalid arguments, in
// Docker's words where it has them.
func Apply(c *config, lines []string) error {
	cmdGiven := false
	for _, text := range lines {
		parsed := false
		for _, line := range splitLines(text) {
			word, args := cutWord(line)
			if word == "" || strings.HasPrefix(word, "#") {
				continue
			}
			parsed = true
			name := strings.ToLower(word)
			apply, ok := instructions[name]
			if !ok {
				return errs.Invalid("%s is not a valid change command", name)
			}
			if args == "" {
				return errs.Invalid("%s requires %s", strings.ToUpper(name), needed(name))
			}
			// A new entrypoint makes an older command meaningless, unless the
			// command was given along with it.
			if name == "entrypoint" && !cmdGiven {
				c.Cmd = nil
			}
			cmdGiven = cmdGiven || name == "cmd"
			if err := apply(c, args); err != nil {
				return err
			}
		}
		if !parsed {
			return errs.Invalid("file with no instructions")
		}
	}
	return nil
}

func needed(name string) string {
	switch name {
	case "user", "workdir", "stopsignal":
		return "exactly one argument"
	}
	return "at least one argument"
}

// splitLines joins lines that end in a backslash with the next.
func splitLines(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\\\n", " ")
	return strings.Split(text, "\n")
}

func cutWord(line string) (word, rest string) {
	line = strings.TrimSpace(line)
	if i := strings.IndexFunc(line, unicode.IsSpace); i >= 0 {
		return line[:i], strings.TrimSpace(line[i:])
	}
	return line, ""
}

// command reads the JSON form, or else the shell form.
func command(args string) []string {
	if list, ok := jsonList(args); ok {
		return list
	}
	return []string{"/bin/sh", "-c", args}
}

// jsonList reads ["a","b"]; anything else is not in JSON form.
func jsonList(args string) ([]string, bool) {
	if !strings.HasPrefix(args, "[") {
		return nil, false
	}
	var raw []any
	if err := json.Unmarshal([]byte(args), &raw); err != nil {
		return nil, false
	}
	list := make([]string, len(raw))
	for i, v := range raw {
		s, ok := v.(string)
		if !ok {
			return nil, false
		}
		list[i] = s
	}
	return list, true
}

func cmd(c *config, args string) error {
	c.Cmd = command(args)
	return nil
}

func entrypoint(c *config, args string) error {
	c.Entrypoint = command(args)
	if len(c.Entrypoint) == 0 {
		c.Entrypoint = nil
	}
	return nil
}

func env(c *config, args string) error {
	pairs, err := pairs("ENV", args)
	if err != nil {
		return err
	}
	for _, kv := range pairs {
		c.Env = slices.Clone(c.Env)
		at := slices.IndexFunc(c.Env, func(have string) bool { return strings.HasPrefix(have, kv[0]+"=") })
		if at < 0 {
			at = len(c.Env)
			c.Env = append(c.Env, "")
		}
		c.Env[at] = kv[0] + "=" + kv[1]
	}
	return nil
}

func label(c *config, args string) error {
	pairs, err := pairs("LABEL", args)
	if err != nil {
		return err
	}
	c.Labels = maps.Clone(c.Labels)
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	for _, kv := range pairs {
		c.Labels[kv[0]] = kv[1]
	}
	return nil
}

func expose(c *config, args string) error {
	ports, _, err := nat.ParsePortSpecs(strings.Fields(args))
	if err != nil {
		return errs.Invalid("%v", err)
	}
	c.ExposedPorts = maps.Clone(c.ExposedPorts)
	if c.ExposedPorts == nil {
		c.ExposedPorts = map[string]struct{}{}
	}
	for port := range ports {
		c.ExposedPorts[string(port)] = struct{}{}
	}
	return nil
}

func onbuild(c *config, args string) error {
	word, _ := cutWord(args)
	switch trigger := strings.ToUpper(word); trigger {
	case "ONBUILD":
		return errs.Invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
	case "MAINTAINER", "FROM":
		return errs.Invalid("%s isn't allowed as an ONBUILD trigger", trigger)
	}
	c.OnBuild = append(slices.Clone(c.OnBuild), args)
	return nil
}

func stopsignal(c *config, args string) error {
	if strings.ContainsFunc(args, unicode.IsSpace) {
		return errs.Invalid("STOPSIGNAL requires exactly one argument")
	}
	if _, err := signal.ParseSignal(args); err != nil {
		return errs.Invalid("%v", err)
	}
	c.StopSignal = args
	return nil
}

func user(c *config, args string) error {
	if strings.ContainsFunc(args, unicode.IsSpace) {
		return errs.Invalid("USER requires exactly one argument")
	}
	c.User = args
	return nil
}

func volume(c *config, args string) error {
	list, ok := jsonList(args)
	if !ok {
		list = strings.Fields(args)
	}
	c.Volumes = maps.Clone(c.Volumes)
	if c.Volumes == nil {
		c.Volumes = map[string]struct{}{}
	}
	for _, v := range list {
		v = strings.TrimSpace(v)
		if v == "" {
			return errs.Invalid("VOLUME specified can not be an empty string")
		}
		c.Volumes[v] = struct{}{}
	}
	return nil
}

func workdir(c *config, args string) error {
	dir := args
	if !strings.HasPrefix(dir, "/") {
		dir = "/" + strings.TrimPrefix(c.WorkingDir, "/") + "/" + dir
	}
	c.WorkingDir = path.Clean(dir)
	return nil
}

// healthcheck reads NONE, or options and then CMD with a command.
func healthcheck(c *config, args string) error {
	h := &dockerspec.HealthcheckConfig{}
	word, rest := cutWord(args)
	for strings.HasPrefix(word, "--") {
		if err := healthOption(h, word); err != nil {
			return err
		}
		word, rest = cutWord(rest)
	}
	switch strings.ToUpper(word) {
	case "NONE":
		if rest != "" {
			return errs.Invalid("HEALTHCHECK NONE takes no arguments")
		}
		c.Healthcheck = &dockerspec.HealthcheckConfig{Test: []string{"NONE"}}
		return nil
	case "CMD":
	default:
		return errs.Invalid("Unknown type %q in HEALTHCHECK (try CMD)", word)
	}
	if rest == "" {
		return errs.Invalid("Missing command after HEALTHCHECK CMD")
	}
	if list, ok := jsonList(rest); ok {
		h.Test = append([]string{"CMD"}, list...)
	} else {
		h.Test = []string{"CMD-SHELL", rest}
	}
	c.Healthcheck = h
	return nil
}

func healthOption(h *dockerspec.HealthcheckConfig, option string) error {
	name, value, _ := strings.Cut(strings.TrimPrefix(option, "--"), "=")
	into := map[string]*time.Duration{
		"interval": &h.Interval, "timeout": &h.Timeout, "start-period": &h.StartPeriod, "start-interval": &h.StartInterval,
	}[name]
	switch {
	case into != nil:
		d, err := time.ParseDuration(value)
		if err != nil {
			return errs.Invalid("%v", err)
		}
		if d < time.Millisecond && !(d == 0 && name != "interval") {
			return errs.Invalid("Interval %q cannot be less than %v", name, time.Millisecond)
		}
		*into = d
	case name == "retries":
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			return errs.Invalid("%v", err)
		}
		if n < 0 {
			return errs.Invalid("--retries cannot be negative (%d)", n)
		}
		h.Retries = int(n)
	default:
		return errs.Invalid("Unknown flag: %s", name)
	}
	return nil
}

// pairs reads A=b C="d e" or, for ENV and LABEL of old, one name and the rest as value.
func pairs(instruction, args string) ([][2]string, error) {
	words, err := words(args)
	if err != nil {
		return nil, errs.Invalid("%s: %v", instruction, err)
	}
	if !strings.Contains(words[0].raw, "=") {
		name, value := cutWord(args)
		if value == "" {
			return nil, errs.Invalid("%s must have two arguments", instruction)
		}
		return [][2]string{{name, value}}, nil
	}
	var out [][2]string
	for _, w := range words {
		name, value, ok := strings.Cut(w.text, "=")
		if !ok {
			return nil, errs.Invalid("Syntax error - can't find = in %q. Must be of the form: name=value", w.text)
		}
		if name == "" {
			return nil, errs.Invalid("%s names can not be blank", instruction)
		}
		out = append(out, [2]string{name, value})
	}
	return out, nil
}

type word struct{ raw, text string }

// words splits at spaces outside of quotes and takes quotes and backslashes away.
func words(args string) ([]word, error) {
	var out []word
	var raw, text strings.Builder
	var quote rune
	escaped, in := false, false
	flush := func() {
		if in {
			out = append(out, word{raw.String(), text.String()})
			raw.Reset()
			text.Reset()
			in = false
		}
	}
	for _, r := range args {
		if quote == 0 && !escaped && unicode.IsSpace(r) {
			flush()
			continue
		}
		in = true
		raw.WriteRune(r)
		switch {
		case escaped:
			if quote == '"' && r != '"' && r != '\\' && r != '$' {
				text.WriteByte('\\')
			}
			text.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped = true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		default:
			text.WriteRune(r)
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("unexpected end of statement while looking for matching %s-quote", map[rune]string{'"': "double", '\'': "single"}[quote])
	}
	flush()
	return out, nil
}
