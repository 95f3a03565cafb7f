package server

import (
	"encoding/json"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/jobengine/engine/internal/errs"
)

// platform reads a platform that requests have since 1.minor; clients of old
// may send one that their daemon never looked at. "" is unset.
func (r *request) platform(key string, minor int) (string, error) {
	text := r.get(key)
	if text == "" || r.version.before(minor) {
		return "", nil
	}
	return platformFrom(text)
}

// platforms reads a parameter that may be there several times, likewise.
func (r *request) platforms(key string, minor int) ([]string, error) {
	if r.version.before(minor) {
		return nil, nil
	}
	var all []string
	for _, text := range r.form[key] {
		p, err := platformFrom(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// archivePlatforms are those that an archive is to have: one since 1.48,
// several since 1.52.
func (r *request) archivePlatforms() ([]string, error) {
	if !r.version.before(48) && r.version.before(52) && len(r.form["platform"]) > 1 {
		return nil, errs.Invalid("multiple platform parameters are not supported in this API version; use API version 1.52 or later")
	}
	return r.platforms("platform", 48)
}

// platformFrom gives a platform, which is in requests as the JSON object of the
// OCI, as os/arch[/variant]. The sentences are docker's.
func platformFrom(text string) (string, error) {
	var p ocispec.Platform
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return "", errs.Invalid("failed to parse platform: %w", err)
	}
	optional := p.Variant != "" || p.OSVersion != "" || len(p.OSFeatures) > 0
	switch {
	case p.OS == "" && p.Architecture == "" && optional:
		return "", errs.Invalid("optional platform fields provided, but OS and Architecture are missing")
	case p.OS == "" || p.Architecture == "":
		return "", errs.Invalid("both OS and Architecture must be provided")
	case p.Variant == "":
		return p.OS + "/" + p.Architecture, nil
	}
	return p.OS + "/" + p.Architecture + "/" + p.Variant, nil
}
