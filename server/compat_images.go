package server

import (
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"

	"github.com/jobengine/engine/jobs"
)

// The names that images without one had before 1.43.
const (
	noTag    = "<none>:<none>"
	noDigest = "<none>@<none>"
)

// imagesFor gives the rows of a list of images in a version's shape.
func imagesFor(v apiVersion, rows []image.Summary) any {
	if !v.before(51) {
		return list(rows)
	}
	old := make([]imageSummaryBefore51, len(rows))
	for i := range rows {
		row := &rows[i]
		row.Containers = -1
		if v.before(47) {
			row.Manifests = nil
		}
		if v.before(48) {
			row.Descriptor = nil
		}
		if v.before(43) {
			if len(row.RepoTags) == 0 && len(row.RepoDigests) == 0 {
				row.RepoTags, row.RepoDigests = []string{noTag}, []string{noDigest}
			}
		}
		old[i].Summary = row
		if v.before(44) {
			old[i].VirtualSize = &row.Size
		}
	}
	return old
}

type imageSummaryBefore51 struct {
	*image.Summary
	VirtualSize *int64 `json:",omitempty"`
}

// imageFor gives the inspection of an image in a version's shape.
func imageFor(v apiVersion, out *jobs.ImageInspectOut) any {
	img := &out.InspectResponse
	if v.before(48) {
		img.Descriptor, img.Manifests = nil, nil
	}
	if v.before(53) {
		img.Identity = nil
	}
	if !v.before(52) {
		return imageSince52{img, out.ParentID, out.DockerVersion}
	}
	old := imageBefore52{
		InspectResponse: img,
		Parent:          out.ParentID,
		Comment:         img.Comment,
		Author:          img.Author,
		DockerVersion:   out.DockerVersion,
		Config:          imageConfigFor(v, img.Config),
	}
	if v.before(44) {
		old.VirtualSize = &img.Size
		if img.Created == "" {
			img.Created = time.Time{}.Format(time.RFC3339Nano)
		}
	}
	if v.before(45) {
		of := out.ContainerConfig
		if of == nil {
			of = &container.Config{}
		}
		old.Container = &out.Container
		old.ContainerConfig = &configBefore52{Config: of, OnBuild: of.OnBuild}
	}
	return old
}

type imageSince52 struct {
	*image.InspectResponse
	Parent        string `json:",omitempty"`
	DockerVersion string `json:",omitempty"`
}

type imageBefore52 struct {
	*image.InspectResponse
	Parent          string
	Comment         string
	Author          string
	DockerVersion   string
	VirtualSize     *int64          `json:",omitempty"`
	Container       *string         `json:",omitempty"`
	ContainerConfig *configBefore52 `json:",omitempty"`
	Config          any
}

// imageConfig50 does not leave out what is empty.
type imageConfig50 struct {
	User         string
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Env          []string
	Cmd          []string
	Healthcheck  *dockerspec.HealthcheckConfig `json:",omitempty"`
	ArgsEscaped  bool                          `json:",omitempty"`
	Volumes      map[string]struct{}
	WorkingDir   string
	Entrypoint   []string
	OnBuild      []string
	Labels       map[string]string
	StopSignal   string   `json:",omitempty"`
	Shell        []string `json:",omitempty"`
}

// imageConfigBefore50 has the fields of a container's configuration too,
// always empty.
type imageConfigBefore50 struct {
	Hostname     string
	Domainname   string
	AttachStdin  bool
	AttachStdout bool
	AttachStderr bool
	Tty          bool
	OpenStdin    bool
	StdinOnce    bool
	Image        string
	imageConfig50
}

func imageConfigFor(v apiVersion, c *dockerspec.DockerOCIImageConfig) any {
	if c == nil {
		c = &dockerspec.DockerOCIImageConfig{}
	}
	cfg := imageConfig50{
		User: c.User, ExposedPorts: c.ExposedPorts, Env: c.Env, Cmd: c.Cmd, Healthcheck: c.Healthcheck,
		ArgsEscaped: c.ArgsEscaped, Volumes: c.Volumes, WorkingDir: c.WorkingDir, Entrypoint: c.Entrypoint,
		OnBuild: c.OnBuild, Labels: c.Labels, StopSignal: c.StopSignal, Shell: c.Shell,
	}
	if v.before(50) {
		return imageConfigBefore50{imageConfig50: cfg}
	}
	return cfg
}
