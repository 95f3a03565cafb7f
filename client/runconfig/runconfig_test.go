package runconfig

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/spf13/pflag"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"
)

// TestFlagsMakeTheseRequests keeps what each line of testdata/flags.txt sends,
// as the fields that differ from a request without flags, or how it is refused.
// The golden file was compared with what docker 28 sends for the same lines.
func TestFlagsMakeTheseRequests(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	os.Unsetenv("NOPE")
	lines, err := os.ReadFile("testdata/flags.txt")
	assert.NilError(t, err)
	plain, err := fields("x")
	assert.NilError(t, err)
	dir, err := os.Getwd()
	assert.NilError(t, err)

	var out strings.Builder
	for _, line := range strings.Split(strings.TrimSpace(string(lines)), "\n") {
		fmt.Fprintf(&out, "%s\n", line)
		got, err := fields(line)
		if err != nil {
			fmt.Fprintf(&out, "\trefused: %s\n", err)
			continue
		}
		for _, change := range differences(plain, got) {
			fmt.Fprintf(&out, "\t%s\n", strings.ReplaceAll(change, dir, "DIR"))
		}
	}
	golden.Assert(t, out.String(), "flags.golden") // -update writes it anew
}

// fields parses one line and flattens the request to path → JSON.
func fields(line string) (map[string]string, error) {
	f := pflag.NewFlagSet("create", pflag.ContinueOnError)
	f.SetInterspersed(false)
	f.SetOutput(new(strings.Builder))
	o := Add(f)
	if err := f.Parse(words(line)); err != nil {
		return nil, err
	}
	args := f.Args()
	if err := o.Supported(); err != nil {
		return nil, err
	}
	if err := o.Finish(args[0], args[1:]); err != nil {
		return nil, err
	}
	text, err := json.Marshal(container.CreateRequest{Config: &o.Config, HostConfig: &o.Host, NetworkingConfig: &o.Networking})
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	flat := map[string]string{}
	flatten(flat, "", tree)
	return flat, nil
}

func flatten(out map[string]string, path string, v any) {
	m, ok := v.(map[string]any)
	if !ok || len(m) == 0 {
		text, _ := json.Marshal(v)
		out[path] = string(text)
		return
	}
	for k, child := range m {
		flatten(out, path+"."+k, child)
	}
}

func differences(before, after map[string]string) []string {
	var out []string
	for k, v := range after {
		if before[k] != v {
			out = append(out, k+" = "+v)
		}
	}
	for k := range before {
		if _, still := after[k]; !still {
			out = append(out, k+" gone")
		}
	}
	sort.Strings(out)
	return out
}

// words splits a line as a shell would that knows only single quotes.
func words(line string) []string {
	var out []string
	word, begun, quoted := "", false, false
	for _, r := range line {
		switch {
		case r == '\'':
			quoted, begun = !quoted, true
		case r == ' ' && !quoted:
			if begun {
				out = append(out, word)
			}
			word, begun = "", false
		default:
			word, begun = word+string(r), true
		}
	}
	if begun {
		out = append(out, word)
	}
	return out
}

func TestEnvFileComesBeforeTheFlags(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	os.Unsetenv("NOPE")
	env, err := Env([]string{"testdata/env1"}, []string{"A=2"})
	assert.NilError(t, err)
	assert.DeepEqual(t, env, []string{"A=1", "B=2 ", "HOME=/home/me", "A=2"})
}

func TestDetachedStreams(t *testing.T) {
	for _, c := range []struct {
		line               string
		in, out, err, once bool
	}{
		{"x", false, true, true, false},
		{"-i x", true, true, true, true},
		{"-a stdin x", true, false, false, false},
		{"-i -a stdout x", true, true, false, true},
	} {
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		o := Add(f)
		assert.NilError(t, f.Parse(words(c.line)))
		assert.NilError(t, o.Finish("x", nil))
		got := []bool{o.Config.AttachStdin, o.Config.AttachStdout, o.Config.AttachStderr, o.Config.StdinOnce}
		assert.Assert(t, reflect.DeepEqual(got, []bool{c.in, c.out, c.err, c.once}), "%s: %v", c.line, got)
	}
}
