package client

import (
	"fmt"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/jobengine/engine/client/table"
	"github.com/jobengine/engine/internal/reference"
	"github.com/moby/moby/api/types/image"
)

// Images has the commands that deal with images.
type Images struct{}

// CmdImage is the group of image commands.
func (Images) CmdImage(c *Cmd, args ...string) error {
	return c.Group("image", "Manage images", args)
}

// CmdImages lists images.
func (Images) CmdImages(c *Cmd, args ...string) error {
	c.Describe("images [OPTIONS] [REPOSITORY[:TAG]]", "List images", "image ls", "image list").Common(7)
	var l listFlags
	l.declare(c.Flags(), "Only show image IDs", "Don't truncate output", "Filter output based on conditions provided")
	all := c.Flags().BoolP("all", "a", false, "Show all images (default hides intermediate images)")
	digests := c.Flags().Bool("digests", false, "Show digests")
	args, err := c.Parse(args, Between(0, 1))
	if err != nil {
		return err
	}
	if len(args) == 1 {
		l.filter.add("reference", args[0])
	}
	query := url.Values{}
	if *all {
		query.Set("all", "1")
	}
	l.filter.addTo(query)
	var list []image.Summary
	if err := c.API().Get(c.Context(), "/images/json", query, &list); err != nil {
		return err
	}
	format := imagesFormat(l.choose(c.Config().ImagesFormat), l.quiet, *digests)
	rows := []*imageRow{}
	for _, img := range list {
		rows = append(rows, imageRows(img, !l.noTrunc, *digests || strings.Contains(format, "{{.Digest}}"), *digests)...)
	}
	if err := table.Write(c.Out, format, imagesHeadings(), rows); err != nil {
		return err
	}
	// "engine images ls" looks for an image named ls, which nobody means.
	if len(args) == 1 && len(list) == 0 && c.called[0] == "images" && c.member(c.Context(), "image", args[0]) != nil {
		fmt.Fprintf(c.Err, "\nNo images found matching %q: did you mean \"engine image %[1]s\"?\n", args[0])
	}
	return nil
}

func imagesFormat(format string, quiet, digests bool) string {
	switch {
	case format == "table" && quiet:
		return table.Quiet
	case format == "table":
		digest := ""
		if digests {
			digest = "{{.Digest}}\t"
		}
		return "table {{.Repository}}\t{{.Tag}}\t" + digest + "{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}"
	case format == "raw" && quiet:
		return "image_id: {{.ID}}"
	case format == "raw":
		digest := ""
		if digests {
			digest = "digest: {{.Digest}}\n"
		}
		return "repository: {{ .Repository }}\ntag: {{.Tag}}\n" + digest + "image_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n"
	case strings.HasPrefix(format, "table") && digests && !strings.Contains(format, "{{.Digest}}"):
		return format + "\t{{.Digest}}"
	}
	return format
}

func imagesHeadings() table.Headings {
	return table.Headings{
		"ID": "IMAGE ID", "Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "CreatedSince": "CREATED", "CreatedAt": "CREATED AT",
		"Size": "SIZE", "Containers": "CONTAINERS", "SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE", "VirtualSize": "SIZE",
	}
}

// imageRows makes a row of each tag, and one of each repository that has only
// digests. With digests a tag has a row for each of them.
func imageRows(img image.Summary, trunc, digests, everyDigest bool) []*imageRow {
	const none = "<none>"
	row := func(repo, tag, digest string) *imageRow {
		return &imageRow{i: img, trunc: trunc, repo: repo, tag: tag, digest: digest}
	}
	tags, sums := map[string][]string{}, map[string][]string{}
	for _, s := range img.RepoTags {
		if n, err := reference.ParseNormalizedNamed(s); err == nil {
			if t, ok := n.(reference.Tagged); ok {
				tags[reference.FamiliarName(n)] = append(tags[reference.FamiliarName(n)], t.Tag())
			}
		}
	}
	for _, s := range img.RepoDigests {
		if n, err := reference.ParseNormalizedNamed(s); err == nil {
			if d, ok := n.(reference.Digested); ok {
				sums[reference.FamiliarName(n)] = append(sums[reference.FamiliarName(n)], d.Digest().String())
			}
		}
	}
	if len(tags) == 0 && len(sums) == 0 {
		return []*imageRow{row(none, none, none)}
	}
	var rows []*imageRow
	for _, repo := range sortedKeys(tags) {
		of := sums[repo]
		delete(sums, repo)
		if !digests || len(of) == 0 {
			of = []string{none}
		}
		for _, tag := range tags[repo] {
			for _, d := range of {
				rows = append(rows, row(repo, tag, d))
			}
		}
	}
	for _, repo := range sortedKeys(sums) {
		of := sums[repo]
		if !everyDigest {
			of = []string{""}
		}
		for _, d := range of {
			rows = append(rows, row(repo, none, d))
		}
	}
	return rows
}

func sortedKeys(m map[string][]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return slices.Clip(keys)
}

// imageRow is a name of an image as the templates see it.
type imageRow struct {
	i                 image.Summary
	trunc             bool
	repo, tag, digest string
}

func (r *imageRow) MarshalJSON() ([]byte, error) { return table.JSON(r) }

func (r *imageRow) ID() string {
	if r.trunc {
		return table.ShortID(r.i.ID)
	}
	return r.i.ID
}

func (r *imageRow) Repository() string   { return r.repo }
func (r *imageRow) Tag() string          { return r.tag }
func (r *imageRow) Digest() string       { return r.digest }
func (r *imageRow) CreatedSince() string { return table.Ago(r.i.Created) }
func (r *imageRow) CreatedAt() string    { return time.Unix(r.i.Created, 0).String() }
func (r *imageRow) Size() string         { return table.Size(r.i.Size) }

// VirtualSize is Size under the name it had before API 1.44.
func (r *imageRow) VirtualSize() string { return units.HumanSize(float64(r.i.Size)) }

func (r *imageRow) Containers() string {
	if r.i.Containers == -1 {
		return "N/A"
	}
	return strconv.FormatInt(r.i.Containers, 10)
}

func (r *imageRow) SharedSize() string {
	if r.i.SharedSize == -1 {
		return "N/A"
	}
	return units.HumanSize(float64(r.i.SharedSize))
}

func (r *imageRow) UniqueSize() string {
	if r.i.Size == -1 || r.i.SharedSize == -1 {
		return "N/A"
	}
	return units.HumanSize(float64(r.i.Size - r.i.SharedSize))
}
