package client

import (
	"fmt"
	"runtime"
	"sort"
	"text/tabwriter"
	"text/template"
	"time"

	"github.com/jobengine/engine/client/api"
	"github.com/jobengine/engine/client/table"
	"github.com/jobengine/engine/internal/version"
	"github.com/moby/moby/api/types/system"
)

const versionText = `{{with .Client -}}
Client:
 Version:	{{.Version}}
 API version:	{{.APIVersion}}{{if ne .APIVersion .DefaultAPIVersion}} (downgraded from {{.DefaultAPIVersion}}){{end}}
 Go version:	{{.GoVersion}}
 Git commit:	{{.GitCommit}}
 Built:	{{.BuildTime}}
 OS/Arch:	{{.Os}}/{{.Arch}}
 Context:	{{.Context}}
{{- end}}

{{- with .Server}}

Server:{{if ne .Platform.Name ""}} {{.Platform.Name}}{{end}}
 {{- range $part := .Components}}
 {{$part.Name}}:
  {{- if eq $part.Name "Engine" }}
  Version:	{{.Version}}
  API version:	{{index .Details "ApiVersion"}} (minimum version {{index .Details "MinAPIVersion"}})
  Go version:	{{index .Details "GoVersion"}}
  Git commit:	{{index .Details "GitCommit"}}
  Built:	{{index .Details "BuildTime"}}
  OS/Arch:	{{index .Details "Os"}}/{{index .Details "Arch"}}
  Experimental:	{{index .Details "Experimental"}}
  {{- else }}
  Version:	{{$part.Version}}
  {{- range $key := sortedDetails $part}}
  {{$key}}:	{{index $part.Details $key}}
   {{- end}}
  {{- end}}
 {{- end}}
{{- end}}`

// clientVersion is what the CLI knows of itself.
type clientVersion struct {
	Version           string `json:",omitempty"`
	APIVersion        string `json:"ApiVersion,omitempty"`
	DefaultAPIVersion string `json:",omitempty"`
	GitCommit         string `json:",omitempty"`
	GoVersion         string `json:",omitempty"`
	Os                string `json:",omitempty"`
	Arch              string `json:",omitempty"`
	BuildTime         string `json:",omitempty"`
	Context           string
}

func (c *CLI) ownVersion() clientVersion {
	return clientVersion{
		Version:           version.Version,
		DefaultAPIVersion: api.MaxVersion,
		GitCommit:         version.GitCommit,
		GoVersion:         runtime.Version(),
		Os:                runtime.GOOS,
		Arch:              runtime.GOARCH,
		BuildTime:         readableDate(version.BuildTime),
		Context:           c.contextName(),
	}
}

// CmdVersion prints the versions of client and daemon.
func (System) CmdVersion(c *Cmd, args ...string) error {
	c.Describe("version [OPTIONS]", "Show the engine version information").Common(10)
	format := objectFormat(c.Flags(), "f")
	if _, err := c.Parse(args, NoArgs); err != nil {
		return err
	}
	text := *format
	switch text {
	case "":
		text = versionText
	case "json":
		text = "{{json .}}"
	}
	tmpl, err := table.Parse("")
	if err == nil {
		tmpl, err = tmpl.New("version").Funcs(template.FuncMap{"sortedDetails": sortedDetails}).Parse(text)
	}
	if err != nil {
		return &StatusError{Code: 64, Text: "template parsing error: " + err.Error()}
	}
	both := struct {
		Client clientVersion
		Server *system.VersionResponse
	}{Client: c.ownVersion()}
	both.Client.APIVersion = api.MaxVersion
	var server system.VersionResponse
	asked := c.API().Get(c.Context(), "/version", nil, &server)
	if asked == nil {
		if v, err := c.API().Version(c.Context()); err == nil {
			both.Client.APIVersion = v
		}
		completeComponents(&server)
		both.Server = &server
	}
	w := tabwriter.NewWriter(c.Out, 20, 1, 1, ' ', 0)
	err = tmpl.Execute(w, both)
	fmt.Fprintln(w)
	w.Flush()
	if asked != nil {
		return asked
	}
	return err
}

// CmdSystemVersion is version among the system commands.
func (s System) CmdSystemVersion(c *Cmd, args ...string) error {
	return s.CmdVersion(c.Hidden(), args...)
}

// completeComponents makes the Engine component, which the text prints, for a
// daemon that does not list one.
func completeComponents(v *system.VersionResponse) {
	for _, part := range v.Components {
		if part.Name == "Engine" {
			if t, ok := part.Details["BuildTime"]; ok {
				part.Details["BuildTime"] = readableDate(t)
			}
			return
		}
	}
	v.Components = append(v.Components, system.ComponentVersion{
		Name:    "Engine",
		Version: v.Version,
		Details: map[string]string{
			"ApiVersion": v.APIVersion, "MinAPIVersion": v.MinAPIVersion, "Os": v.Os, "Arch": v.Arch,
			"GoVersion": v.GoVersion, "GitCommit": v.GitCommit, "BuildTime": readableDate(v.BuildTime),
			"Experimental": fmt.Sprint(v.Experimental),
		},
	})
}

func sortedDetails(part system.ComponentVersion) []string {
	keys := make([]string, 0, len(part.Details))
	for k := range part.Details {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func readableDate(s string) string {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.Format(time.ANSIC)
	}
	return s
}
