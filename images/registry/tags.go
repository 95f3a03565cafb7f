package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/jobengine/engine/internal/errs"
)

// The bounds of a list of tags.
const (
	maxTagsPage = 8 << 20
	maxTags     = 100_000
)

// Tags lists all tags of the repository, page by page.
func (r *Repository) Tags(ctx context.Context) ([]string, error) {
	var all []string
	for next := r.url("tags", "list"); next != ""; {
		resp, err := r.do(ctx, request{method: http.MethodGet, url: next})
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(io.LimitReader(resp.Body, maxTagsPage+1))
		resp.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("read the list of tags: %w", err)
		}
		var page struct {
			Tags []string `json:"tags"`
		}
		if len(data) > maxTagsPage || len(all) > maxTags {
			return nil, errs.TooLarge("the registry lists more than %d tags", maxTags)
		}
		if err := json.Unmarshal(data, &page); err != nil {
			return nil, fmt.Errorf("the registry's list of tags: %w", err)
		}
		all = append(all, page.Tags...)
		before := next
		if next, err = r.nextPage(resp); err != nil {
			return nil, err
		}
		if next == before {
			return nil, fmt.Errorf("the registry's list of tags has no end")
		}
	}
	return all, nil
}

// nextPage reads the Link header (RFC 8288); "" is the end.
func (r *Repository) nextPage(resp *http.Response) (string, error) {
	link := resp.Header.Get("Link")
	target, params, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(link), "<"), ">")
	if !ok || !strings.Contains(params, `rel="next"`) && !strings.Contains(params, "rel=next") {
		return "", nil
	}
	u, err := resp.Request.URL.Parse(target)
	if err != nil || !r.home(u) {
		return "", fmt.Errorf("the registry's list of tags goes on at another place")
	}
	return u.String(), nil
}
