package client

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/jobengine/engine/client/table"
	"github.com/jobengine/engine/internal/reference"
	"github.com/moby/moby/api/types/registry"
)

// CmdSearch looks for repositories in a registry that offers that.
func (Registries) CmdSearch(c *Cmd, args ...string) error {
	c.Describe("search [OPTIONS] TERM", "Search Docker Hub for images").Common(11)
	f := c.Flags()
	filter := filters{}
	f.VarP(filter, "filter", "f", "Filter output based on conditions provided")
	limit := f.Int("limit", 0, "Max number of search results")
	noTrunc := f.Bool("no-trunc", false, "Don't truncate output")
	format := f.String("format", "", "Pretty-print search using a Go template")
	args, err := c.Parse(args, Exactly(1))
	if err != nil {
		return err
	}
	query := url.Values{"term": {args[0]}}
	if *limit > 0 {
		query.Set("limit", strconv.Itoa(*limit))
	}
	filter.addTo(query)
	domain := "docker.io"
	if first, _, ok := strings.Cut(args[0], "/"); ok && strings.ContainsAny(first, ".:") {
		domain = first
	}
	named, err := reference.ParseNormalizedNamed(domain + "/library/search")
	if err != nil {
		return err
	}
	resp, err := c.API().Do(c.Context(), "GET", "/images/search", query, nil, c.authHeader(named)...)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var found []registry.SearchResult
	if err := decodeJSON(resp.Body, &found); err != nil {
		return err
	}
	rows := make([]*searchRow, len(found))
	for i, r := range found {
		rows[i] = &searchRow{r, !*noTrunc}
	}
	if *format == "" || *format == "table" {
		*format = "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}"
	}
	return table.Write(c.Out, *format, table.Headings{"Name": "NAME", "Description": "DESCRIPTION", "StarCount": "STARS", "IsOfficial": "OFFICIAL"}, rows)
}

type searchRow struct {
	r     registry.SearchResult
	trunc bool
}

func (s *searchRow) Name() string { return s.r.Name }
func (s *searchRow) Description() string {
	text := strings.NewReplacer("\n", " ", "\r", " ").Replace(s.r.Description)
	if runes := []rune(text); s.trunc && len(runes) > 45 {
		return string(runes[:44]) + "…"
	}
	return text
}
func (s *searchRow) StarCount() string { return strconv.Itoa(s.r.StarCount) }
func (s *searchRow) IsOfficial() string {
	if s.r.IsOfficial {
		return "[OK]"
	}
	return ""
}
