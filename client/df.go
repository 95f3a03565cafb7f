package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/api/types/volume"

	"github.com/jobengine/engine/client/table"
	"github.com/jobengine/engine/internal/reference"
)

// CmdSystemDf tells what takes how much of the disk.
func (System) CmdSystemDf(c *Cmd, args ...string) error {
	c.Describe("system df [OPTIONS]", "Show disk usage")
	format := c.Flags().String("format", "", listFormatHelp)
	verbose := c.Flags().BoolP("verbose", "v", false, "Show detailed information on space usage")
	if _, err := c.Parse(args, NoArgs); err != nil {
		return err
	}
	query := url.Values{}
	if *verbose {
		query.Set("verbose", "1")
	}
	var usage diskUsage
	if err := c.API().Get(c.Context(), "/system/df", query, &usage); err != nil {
		return err
	}
	usage.settle()
	if *format == "" {
		*format = "table"
	}
	if *verbose {
		return usage.details(c.Out, *format)
	}
	switch *format {
	case "table":
		*format = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"
	case "raw":
		*format = "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\nreclaimable: {{.Reclaimable}}\n"
	}
	headings := table.Headings{"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"}
	return table.Write(c.Out, *format, headings, usage.sums())
}

// diskUsage is the answer of a daemon: the sums, from 1.52 on, or the lists alone.
type diskUsage struct {
	system.DiskUsage
	LayersSize int64
	Images     []image.Summary
	Containers []container.Summary
	Volumes    []volume.Volume
	BuildCache []build.CacheRecord
}

// settle makes sums of the lists where the daemon gave none, and lists of the
// items, so that both are there.
func (u *diskUsage) settle() {
	if u.ImageUsage == nil {
		u.ImageUsage = &image.DiskUsage{TotalCount: int64(len(u.Images)), TotalSize: u.LayersSize, Reclaimable: u.LayersSize}
		for _, img := range u.Images {
			if img.Containers > 0 {
				u.ImageUsage.ActiveCount++
			}
			if img.Containers != 0 && img.Size != -1 && img.SharedSize != -1 {
				u.ImageUsage.Reclaimable -= img.Size - img.SharedSize
			}
		}
	} else if u.ImageUsage.Items != nil {
		u.Images = u.ImageUsage.Items
	}
	if u.ContainerUsage == nil {
		u.ContainerUsage = &container.DiskUsage{TotalCount: int64(len(u.Containers))}
		for _, ctr := range u.Containers {
			u.ContainerUsage.TotalSize += ctr.SizeRw
			switch ctr.State {
			case container.StateRunning, container.StatePaused, container.StateRestarting:
				u.ContainerUsage.ActiveCount++
			default:
				u.ContainerUsage.Reclaimable += ctr.SizeRw
			}
		}
	} else if u.ContainerUsage.Items != nil {
		u.Containers = u.ContainerUsage.Items
	}
	if u.VolumeUsage == nil {
		u.VolumeUsage = &volume.DiskUsage{TotalCount: int64(len(u.Volumes))}
		for _, v := range u.Volumes {
			if v.UsageData == nil || v.UsageData.Size == -1 {
				continue
			}
			u.VolumeUsage.TotalSize += v.UsageData.Size
			if v.UsageData.RefCount > 0 {
				u.VolumeUsage.ActiveCount++
			} else {
				u.VolumeUsage.Reclaimable += v.UsageData.Size
			}
		}
	} else if u.VolumeUsage.Items != nil {
		u.Volumes = u.VolumeUsage.Items
	}
	if u.BuildCacheUsage == nil {
		u.BuildCacheUsage = &build.DiskUsage{TotalCount: int64(len(u.BuildCache))}
		for _, r := range u.BuildCache {
			if r.InUse {
				u.BuildCacheUsage.ActiveCount++
			}
			if !r.Shared {
				u.BuildCacheUsage.TotalSize += r.Size
				if !r.InUse {
					u.BuildCacheUsage.Reclaimable += r.Size
				}
			}
		}
	} else if u.BuildCacheUsage.Items != nil {
		u.BuildCache = u.BuildCacheUsage.Items
	}
}

// sums are the rows of the short form.
func (u *diskUsage) sums() []*dfRow {
	return []*dfRow{
		{"Images", u.ImageUsage.TotalCount, u.ImageUsage.ActiveCount, u.ImageUsage.TotalSize, u.ImageUsage.Reclaimable, true},
		{"Containers", u.ContainerUsage.TotalCount, u.ContainerUsage.ActiveCount, u.ContainerUsage.TotalSize, u.ContainerUsage.Reclaimable, true},
		{"Local Volumes", u.VolumeUsage.TotalCount, u.VolumeUsage.ActiveCount, u.VolumeUsage.TotalSize, u.VolumeUsage.Reclaimable, true},
		{"Build Cache", u.BuildCacheUsage.TotalCount, u.BuildCacheUsage.ActiveCount, u.BuildCacheUsage.TotalSize, u.BuildCacheUsage.Reclaimable, false},
	}
}

// dfRow is a kind of thing as the templates see it.
type dfRow struct {
	kind                             string
	total, active, size, reclaimable int64
	percent                          bool
}

func (r *dfRow) MarshalJSON() ([]byte, error) { return table.JSON(r) }

func (r *dfRow) Type() string       { return r.kind }
func (r *dfRow) TotalCount() string { return strconv.FormatInt(r.total, 10) }
func (r *dfRow) Active() string     { return strconv.FormatInt(r.active, 10) }
func (r *dfRow) Size() string       { return units.HumanSize(float64(r.size)) }

func (r *dfRow) Reclaimable() string {
	text := units.HumanSize(float64(r.reclaimable))
	if r.percent && r.size > 0 {
		text += fmt.Sprintf(" (%d%%)", r.reclaimable*100/r.size)
	}
	return text
}

// dfDetails is what a template of the long form sees.
type dfDetails struct {
	Images     []*imageRow
	Containers []*psRow
	Volumes    []*volumeRow
	BuildCache []*cacheRow
}

// details prints the long form.
func (u *diskUsage) details(w io.Writer, format string) error {
	cut := strings.HasPrefix(format, "table")
	d := dfDetails{Images: []*imageRow{}, Containers: []*psRow{}, Volumes: []*volumeRow{}, BuildCache: []*cacheRow{}}
	for _, img := range u.Images {
		row := &imageRow{i: img, trunc: cut, repo: "<none>", tag: "<none>"}
		if len(img.RepoTags) > 0 && img.RepoTags[0] != "<none>:<none>" { // only the first one
			if named, err := reference.ParseNormalizedNamed(img.RepoTags[0]); err == nil {
				if tagged, ok := named.(reference.Tagged); ok {
					row.repo, row.tag = reference.FamiliarName(named), tagged.Tag()
				}
			}
		}
		d.Images = append(d.Images, row)
	}
	for _, ctr := range u.Containers {
		ctr.SizeRootFs = 0 // the image's part has its own list
		d.Containers = append(d.Containers, &psRow{c: ctr, trunc: cut})
	}
	for _, v := range u.Volumes {
		d.Volumes = append(d.Volumes, &volumeRow{v})
	}
	slices.SortStableFunc(u.BuildCache, func(a, b build.CacheRecord) int { return lastUse(a).Compare(lastUse(b)) })
	for _, r := range u.BuildCache {
		d.BuildCache = append(d.BuildCache, &cacheRow{r, cut})
	}
	switch format {
	case "table":
		return d.tables(w, u.BuildCacheUsage.TotalSize)
	case "raw":
		return d.raw(w)
	case "json":
		text, err := json.Marshal(d)
		if err == nil {
			_, err = w.Write(text)
		}
		return err
	}
	text := strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(strings.Trim(strings.TrimPrefix(format, "table"), " "))
	tmpl, err := table.Parse(text)
	if err != nil {
		return fmt.Errorf("template parsing error: %w", err)
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, d); err != nil {
		return fmt.Errorf("template parsing error: %w", err)
	}
	_, err = out.WriteTo(w)
	return err
}

func (d *dfDetails) tables(w io.Writer, cacheBytes int64) error {
	fmt.Fprint(w, "Images space usage:\n\n")
	err := table.Write(w, "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}", imagesHeadings(), d.Images)
	if err != nil {
		return err
	}
	fmt.Fprint(w, "\nContainers space usage:\n\n")
	err = table.Write(w, "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}", psHeadings(), d.Containers)
	if err != nil {
		return err
	}
	fmt.Fprint(w, "\nLocal Volumes space usage:\n\n")
	err = table.Write(w, "table {{.Name}}\t{{.Links}}\t{{.Size}}", table.Headings{"Name": "VOLUME NAME", "Links": "LINKS", "Size": "SIZE"}, d.Volumes)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nBuild cache usage: %s\n\n", units.HumanSize(float64(cacheBytes)))
	return table.Write(w, "table {{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}", table.Headings{
		"ID": "CACHE ID", "CacheType": "CACHE TYPE", "Size": "SIZE", "CreatedSince": "CREATED", "LastUsedSince": "LAST USED", "UsageCount": "USAGE", "Shared": "SHARED",
	}, d.BuildCache)
}

func (d *dfDetails) raw(w io.Writer) error {
	images := "type: Image\n" + imagesFormat("raw", false, true)
	if err := table.Write(w, images, nil, d.Images); err != nil {
		return err
	}
	if err := table.Write(w, "type: Container\n"+psFormat("raw", false, true), nil, d.Containers); err != nil {
		return err
	}
	if err := table.Write(w, "type: Volume\nname: {{.Name}}\ndriver: {{.Driver}}\n", nil, d.Volumes); err != nil {
		return err
	}
	return table.Write(w, "build_cache: {{.ID}}\ntype: {{.CacheType}}\nsize: {{.Size}}\n", nil, d.BuildCache)
}

// volumeRow is a volume as the templates see it.
type volumeRow struct{ v volume.Volume }

func (r *volumeRow) MarshalJSON() ([]byte, error) { return table.JSON(r) }

func (r *volumeRow) Name() string             { return r.v.Name }
func (r *volumeRow) Driver() string           { return r.v.Driver }
func (r *volumeRow) Scope() string            { return r.v.Scope }
func (r *volumeRow) Mountpoint() string       { return r.v.Mountpoint }
func (r *volumeRow) Labels() string           { return joinLabels(r.v.Labels) }
func (r *volumeRow) Label(name string) string { return r.v.Labels[name] }

func (r *volumeRow) Links() string {
	if r.v.UsageData == nil {
		return "N/A"
	}
	return strconv.FormatInt(r.v.UsageData.RefCount, 10)
}

func (r *volumeRow) Size() string {
	if r.v.UsageData == nil || r.v.UsageData.Size == -1 {
		return "N/A"
	}
	return units.HumanSize(float64(r.v.UsageData.Size))
}

// What only volumes of a cluster have.

func (r *volumeRow) Group() string        { return "N/A" }
func (r *volumeRow) Availability() string { return "N/A" }
func (r *volumeRow) Status() string       { return "N/A" }

// cacheRow is a record of the build cache as the templates see it.
type cacheRow struct {
	r   build.CacheRecord
	cut bool
}

func (r *cacheRow) MarshalJSON() ([]byte, error) { return table.JSON(r) }

func (r *cacheRow) ID() string {
	id := r.r.ID
	if r.cut {
		id = table.ShortID(id)
	}
	if r.r.InUse {
		id += "*"
	}
	return id
}

func (r *cacheRow) Parent() string       { return strings.Join(r.r.Parents, ", ") }
func (r *cacheRow) CacheType() string    { return r.r.Type }
func (r *cacheRow) Description() string  { return r.r.Description }
func (r *cacheRow) Size() string         { return units.HumanSize(float64(r.r.Size)) }
func (r *cacheRow) CreatedAt() string    { return r.r.CreatedAt.String() }
func (r *cacheRow) CreatedSince() string { return table.Ago(r.r.CreatedAt.Unix()) }
func (r *cacheRow) UsageCount() string   { return strconv.Itoa(r.r.UsageCount) }
func (r *cacheRow) InUse() string        { return strconv.FormatBool(r.r.InUse) }
func (r *cacheRow) Shared() string       { return strconv.FormatBool(r.r.Shared) }

func (r *cacheRow) LastUsedAt() string { return lastUse(r.r).String() }

func (r *cacheRow) LastUsedSince() string {
	if r.r.LastUsedAt == nil {
		return ""
	}
	return table.Ago(r.r.LastUsedAt.Unix())
}

func lastUse(r build.CacheRecord) time.Time {
	if r.LastUsedAt == nil {
		return time.Time{}
	}
	return *r.LastUsedAt
}
