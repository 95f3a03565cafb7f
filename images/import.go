package images

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/containerd/platforms"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/images/change"
	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// importedConfig is the config of an image made here. Comment is Docker's own field.
type importedConfig struct {
	dockerspec.DockerOCIImage
	Comment string `json:"comment,omitempty"`
}

// importTar makes an image of one layer from a tar.
func (i *Images) importTar(ctx context.Context, job *engine.StreamJob[jobs.ImportOpen], in jobs.ImportIn) (jobs.ImportOut, error) {
	defer i.collectSoon()
	config, err := newConfig(in, i.Clock.Now().UTC())
	if err != nil {
		return jobs.ImportOut{}, err
	}
	var names []string
	if in.Repository != "" {
		name, err := newName(in.Repository, in.Tag, "cannot import digest reference")
		if err != nil {
			return jobs.ImportOut{}, err
		}
		names = []string{name}
	}
	// With a download the answer begins early; else an error is still a status.
	var p *progress
	tar := io.NopCloser(job.Stdin)
	if in.Source != "-" {
		if tar, p, err = i.download(ctx, job, in.Source); err != nil {
			return jobs.ImportOut{}, err
		}
		defer p.close()
	}
	defer tar.Close()
	published, err := i.importLayer(ctx, config, names, tar)
	if err != nil {
		return jobs.ImportOut{}, err
	}
	id := published.ID.String()
	for _, name := range names {
		i.tell(events.ActionTag, id, published, familiarName(name))
	}
	i.tell(events.ActionImport, id, published, id)
	if p == nil {
		if err := job.Open(jobs.ImportOpen{}); err != nil {
			return jobs.ImportOut{}, err
		}
		p = newProgress(job.Stdout)
		defer p.close()
	}
	p.send(jsonstream.Message{Status: id})
	return jobs.ImportOut{ID: id}, nil
}

// importLayer unpacks the tar and publishes the image that it makes.
func (i *Images) importLayer(ctx context.Context, config *importedConfig, names []string, tar io.Reader) (*store.Image, error) {
	diffID, lease, err := i.store.Add(ctx, nil, tar)
	if err != nil {
		return nil, err
	}
	defer lease.Release()
	config.RootFS = ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}}
	data, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	n := store.NewImage{Config: data, Names: names}
	if len(names) > 0 {
		n.LastTagged = i.Clock.Now().UTC()
	}
	published, err := i.store.Publish(n, lease)
	return published.Image, err
}

// newConfig is the config of the image but for its layer.
func newConfig(in jobs.ImportIn, now time.Time) (*importedConfig, error) {
	c := &importedConfig{Comment: in.Message}
	c.Platform = ocispec.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH}
	if in.Platform != "" {
		p, err := platforms.Parse(in.Platform)
		if err != nil {
			return nil, errs.Invalid("%v", err)
		}
		if p.OS != runtime.GOOS {
			return nil, errs.Invalid("operating system is not supported")
		}
		c.Platform = p
	}
	if err := change.Apply(&c.Config, in.Changes); err != nil {
		return nil, err
	}
	if c.Comment == "" {
		c.Comment = "Imported from " + in.Source
	}
	c.Created = &now
	c.History = []ocispec.History{{Created: &now, Comment: c.Comment}}
	return c, nil
}

// download begins to fetch the tar and tells the client so. The limit for
// layers bounds it.
func (i *Images) download(ctx context.Context, job *engine.StreamJob[jobs.ImportOpen], source string) (io.ReadCloser, *progress, error) {
	if !strings.Contains(source, "://") {
		source = "http://" + source
	}
	u, err := url.Parse(source)
	if err != nil {
		return nil, nil, errs.Invalid("source: %v", err)
	}
	if scheme := strings.ToLower(u.Scheme); scheme != "http" && scheme != "https" || u.Host == "" {
		return nil, nil, errs.Invalid("source %q: only http and https URLs can be imported", u.Redacted())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, nil, errs.Invalid("source: %v", err)
	}
	// The tar may well be compressed itself: what arrives is what is there.
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := downloads().Do(req)
	if err != nil {
		return nil, nil, errs.Invalid("%w", err) // it is the client who names the source
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, nil, fmt.Errorf("%s answered %s", u.Redacted(), resp.Status)
	}
	if err := job.Open(jobs.ImportOpen{}); err != nil {
		resp.Body.Close()
		return nil, nil, err
	}
	p := newProgress(job.Stdout)
	p.send(jsonstream.Message{Status: "Downloading from " + u.Redacted()})
	return p.reader(resp.Body, "Importing", "", max(resp.ContentLength, 0)), p, nil
}

// downloads is a client that does not wait for ever for a server that says
// nothing, and keeps no connections.
func downloads() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		DisableKeepAlives:     true,
	}}
}
