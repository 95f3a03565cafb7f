package change

import (
	"testing"
	"time"

	"github.com/containerd/errdefs"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"gotest.tools/v3/assert"
)

func TestEachInstructionChangesItsField(t *testing.T) {
	for _, row := range []struct {
		lines []string
		check func(t *testing.T, c config)
	}{
		{[]string{"CMD ls -l"}, func(t *testing.T, c config) { assert.DeepEqual(t, c.Cmd, []string{"/bin/sh", "-c", "ls -l"}) }},
		{[]string{`cmd ["ls", "-l"]`}, func(t *testing.T, c config) { assert.DeepEqual(t, c.Cmd, []string{"ls", "-l"}) }},
		{[]string{`CMD ["ls"`}, func(t *testing.T, c config) { assert.DeepEqual(t, c.Cmd, []string{"/bin/sh", "-c", `["ls"`}) }},
		{[]string{`CMD ["ls", 1]`}, func(t *testing.T, c config) { assert.DeepEqual(t, c.Cmd, []string{"/bin/sh", "-c", `["ls", 1]`}) }},
		{[]string{`ENTRYPOINT ["/x"]`}, func(t *testing.T, c config) {
			assert.DeepEqual(t, c.Entrypoint, []string{"/x"})
			assert.Assert(t, c.Cmd == nil)
		}},
		{[]string{`CMD y`, `ENTRYPOINT /x`}, func(t *testing.T, c config) { assert.DeepEqual(t, c.Cmd, []string{"/bin/sh", "-c", "y"}) }},
		{[]string{"ENV A=b C=\"d e\" F='g h' I=j\\ k"}, func(t *testing.T, c config) {
			assert.DeepEqual(t, c.Env, []string{"OLD=1", "A=b", "C=d e", "F=g h", "I=j k"})
		}},
		{[]string{"ENV OLD=2"}, func(t *testing.T, c config) { assert.DeepEqual(t, c.Env, []string{"OLD=2"}) }},
		{[]string{"ENV A the rest  of it"}, func(t *testing.T, c config) {
			assert.DeepEqual(t, c.Env, []string{"OLD=1", "A=the rest  of it"})
		}},
		{[]string{`LABEL a=b "c d"="e f"`}, func(t *testing.T, c config) {
			assert.DeepEqual(t, c.Labels, map[string]string{"a": "b", "c d": "e f"})
		}},
		{[]string{"EXPOSE 80 53/udp 8000-8001"}, func(t *testing.T, c config) {
			assert.DeepEqual(t, c.ExposedPorts, map[string]struct{}{"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}})
		}},
		{[]string{"VOLUME /a /b", `VOLUME ["/c d"]`}, func(t *testing.T, c config) {
			assert.DeepEqual(t, c.Volumes, map[string]struct{}{"/a": {}, "/b": {}, "/c d": {}})
		}},
		{[]string{"USER alice:users"}, func(t *testing.T, c config) { assert.Equal(t, c.User, "alice:users") }},
		{[]string{"WORKDIR /a", "WORKDIR b/../c"}, func(t *testing.T, c config) { assert.Equal(t, c.WorkingDir, "/a/c") }},
		{[]string{"WORKDIR x"}, func(t *testing.T, c config) { assert.Equal(t, c.WorkingDir, "/x") }},
		{[]string{"STOPSIGNAL SIGUSR1"}, func(t *testing.T, c config) { assert.Equal(t, c.StopSignal, "SIGUSR1") }},
		{[]string{"ONBUILD RUN ls  -l"}, func(t *testing.T, c config) { assert.DeepEqual(t, c.OnBuild, []string{"RUN ls  -l"}) }},
		{[]string{"HEALTHCHECK NONE"}, func(t *testing.T, c config) { assert.DeepEqual(t, c.Healthcheck.Test, []string{"NONE"}) }},
		{[]string{"HEALTHCHECK --interval=5s --retries=3 CMD curl x"}, func(t *testing.T, c config) {
			assert.DeepEqual(t, *c.Healthcheck, dockerspec.HealthcheckConfig{Test: []string{"CMD-SHELL", "curl x"}, Interval: 5 * time.Second, Retries: 3})
		}},
		{[]string{"# a comment\nUSER x"}, func(t *testing.T, c config) { assert.Equal(t, c.User, "x") }},
		{[]string{"CMD a \\\n b"}, func(t *testing.T, c config) { assert.DeepEqual(t, c.Cmd, []string{"/bin/sh", "-c", "a   b"}) }},
	} {
		var c config
		c.Cmd, c.Env = []string{"old"}, []string{"OLD=1"}
		assert.NilError(t, Apply(&c, row.lines), "%q", row.lines)
		row.check(t, c)
	}
}

func TestBadLinesAreRefusedInDockersWords(t *testing.T) {
	for line, text := range map[string]string{
		"RUN ls":                           "run is not a valid change command",
		"FOO ls":                           "foo is not a valid change command",
		"FROM x":                           "from is not a valid change command",
		"ENV":                              "ENV requires at least one argument",
		"ENV A":                            "ENV must have two arguments",
		"ENV A=b C":                        `Syntax error - can't find = in "C". Must be of the form: name=value`,
		"ENV =b":                           "ENV names can not be blank",
		`ENV A="b`:                         "ENV: unexpected end of statement while looking for matching double-quote",
		"EXPOSE foo":                       "nvalid containerPort: foo",
		"STOPSIGNAL NOSUCH":                "nvalid signal: NOSUCH",
		"USER a b":                         "USER requires exactly one argument",
		"USER":                             "USER requires exactly one argument",
		"ONBUILD ONBUILD RUN x":            "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
		"ONBUILD FROM x":                   "FROM isn't allowed as an ONBUILD trigger",
		"HEALTHCHECK ls":                   `Unknown type "ls" in HEALTHCHECK (try CMD)`,
		"HEALTHCHECK CMD":                  "Missing command after HEALTHCHECK CMD",
		"HEALTHCHECK --retries=-1 CMD x":   "--retries cannot be negative (-1)",
		"HEALTHCHECK --interval=1us CMD x": `Interval "interval" cannot be less than 1ms`,
		"HEALTHCHECK --nosuch=1 CMD x":     "Unknown flag: nosuch",
		"#x":                               "file with no instructions",
		"":                                 "file with no instructions",
	} {
		var c config
		err := Apply(&c, []string{line})
		assert.ErrorContains(t, err, text)
		assert.Assert(t, errdefs.IsInvalidArgument(err), "%q", line)
	}
}

func FuzzApply(f *testing.F) {
	for _, s := range []string{"ENV A=b 'c'=\"d\"", `CMD ["a"`, "HEALTHCHECK --interval=1s CMD x", "EXPOSE 1-65535", "LABEL \\", "VOLUME []"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var c config
		if err := Apply(&c, []string{line}); err != nil {
			assert.Assert(t, errdefs.IsInvalidArgument(err), "%v", err)
		}
	})
}
