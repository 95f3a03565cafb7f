package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/registry"

	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/reference"
)

const maxSearchAnswer = 8 << 20

// Search asks a registry's index of version 1, which the hub and a few others
// still have. The term may begin with the registry's name.
func (c *Client) Search(ctx context.Context, term string, limit int, creds *registry.AuthConfig) (*registry.SearchResults, error) {
	domain, rest := hub, term
	if first, after, ok := strings.Cut(term, "/"); ok && (strings.ContainsAny(first, ".:") || first == "localhost") {
		domain, rest = first, after
	}
	if domain == hubSearch {
		domain = hub
	}
	if rest == "" {
		return nil, errs.Invalid("invalid search term %q", term)
	}
	rest = strings.TrimPrefix(rest, "library/")
	if !meantFor(creds, domain) {
		creds = nil
	}
	named, err := reference.ParseNormalizedNamed("x/search")
	if err != nil {
		return nil, err
	}
	var last error
	for _, at := range c.endpoints(ctx, domain, false) {
		if domain == hub {
			at.host = hubSearch
		}
		found, err := c.searchAt(ctx, named, at, rest, limit, creds)
		if err == nil {
			return found, nil
		}
		last = err
		if ctx.Err() != nil || !plainMayDo(err) {
			break
		}
	}
	return nil, last
}

func (c *Client) searchAt(ctx context.Context, named reference.Named, at endpoint, term string, limit int, creds *registry.AuthConfig) (*registry.SearchResults, error) {
	own, err := c.transport(at.host, at.insecure, true)
	if err != nil {
		return nil, err
	}
	r := &Repository{client: c, named: named, at: at, auth: newAuthorizer(creds), own: own, foreign: map[string]*http.Transport{}}
	defer r.Close()
	r.auth.basic = r.auth.creds.Username != "" // the old index asks for nothing and takes what comes
	query := url.Values{"q": {term}, "n": {strconv.Itoa(limit)}}
	resp, err := r.do(ctx, request{method: http.MethodGet, url: at.scheme + "://" + at.host + "/v1/search?" + query.Encode()})
	if err != nil {
		if e := refusalOf(err); e != nil {
			return nil, &Error{Status: e.Status, text: fmt.Sprintf("Unexpected status code %d", e.Status)}
		}
		return nil, err
	}
	defer resp.Body.Close()
	found := &registry.SearchResults{}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxSearchAnswer))
	if err == nil {
		err = json.Unmarshal(data, found)
	}
	if err != nil {
		return nil, fmt.Errorf("error decoding the registry's answer: %w", err)
	}
	for i := range found.Results {
		found.Results[i].Description = shorten(found.Results[i].Description)
		found.Results[i].Name = shorten(found.Results[i].Name)
	}
	return found, nil
}

// refusalOf gives the registry's refusal in an error, or nil.
func refusalOf(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}
