package reference

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
)

// What can be wrong with a reference.
var (
	ErrReferenceInvalidFormat = errors.New("invalid reference format")
	ErrTagInvalidFormat       = errors.New("invalid tag format")
	ErrDigestInvalidFormat    = errors.New("invalid digest format")
	ErrNameContainsUppercase  = errors.New("repository name must be lowercase")
	ErrNameEmpty              = errors.New("repository name must have at least one component")
	ErrNameTooLong            = errors.New("repository name must not be more than 255 characters")
)

const (
	maxPath       = 255
	hub           = "docker.io"
	hubOfOld      = "index.docker.io"
	officialSpace = "library/"
	defaultTag    = "latest"
)

// Reference is anything that names an image; String is its full form.
type Reference interface{ String() string }

// Named has a repository's name, domain included.
type Named interface {
	Reference
	Name() string
}

// Tagged has a tag.
type Tagged interface {
	Reference
	Tag() string
}

// NamedTagged has a name and a tag.
type NamedTagged interface {
	Named
	Tag() string
}

// Digested has a digest.
type Digested interface {
	Reference
	Digest() digest.Digest
}

// Canonical has a name and a digest.
type Canonical interface {
	Named
	Digest() digest.Digest
}

// The kinds of references: which methods a value has says what it holds.
type (
	name   struct{ domain, path string }
	tagged struct {
		name
		tag string
	}
	digested struct {
		name
		digest digest.Digest
	}
	full struct {
		tagged
		digest digest.Digest
	}
	bare digest.Digest // an id, without a name
)

func (n name) Name() string {
	if n.domain == "" {
		return n.path
	}
	return n.domain + "/" + n.path
}

func (n name) String() string     { return n.Name() }
func (t tagged) Tag() string      { return t.tag }
func (t tagged) String() string   { return t.Name() + ":" + t.tag }
func (d digested) String() string { return d.Name() + "@" + d.digest.String() }
func (f full) String() string     { return f.tagged.String() + "@" + f.digest.String() }
func (b bare) String() string     { return string(b) }

func (d digested) Digest() digest.Digest { return d.digest }
func (f full) Digest() digest.Digest     { return f.digest }
func (b bare) Digest() digest.Digest     { return digest.Digest(b) }

// join picks the kind that has what is given.
func join(n name, tag string, d digest.Digest) Named {
	switch {
	case tag != "" && d != "":
		return full{tagged{n, tag}, d}
	case tag != "":
		return tagged{n, tag}
	case d != "":
		return digested{n, d}
	}
	return n
}

// parts takes a reference apart again.
func parts(ref Named) (n name, tag string, d digest.Digest) {
	switch r := ref.(type) {
	case name:
		n = r
	case tagged:
		n = r.name
	case digested:
		n = r.name
	case full:
		n = r.name
	default: // someone else's type
		n, _ = splitName(ref.Name())
	}
	if t, ok := ref.(Tagged); ok {
		tag = t.Tag()
	}
	if x, ok := ref.(Digested); ok {
		d = x.Digest()
	}
	return n, tag, d
}

// Parse reads a reference as it stands; nothing is added to the name.
func Parse(s string) (Named, error) {
	n, tag, sum, ok := split(s)
	switch {
	case ok:
	case s == "":
		return nil, ErrNameEmpty
	default:
		if _, _, _, lower := split(strings.ToLower(s)); lower {
			return nil, ErrNameContainsUppercase
		}
		return nil, ErrReferenceInvalidFormat
	}
	if len(n.path) > maxPath {
		return nil, ErrNameTooLong
	}
	if sum == "" {
		return join(n, tag, ""), nil
	}
	d, err := digest.Parse(sum)
	if err != nil {
		return nil, err
	}
	return join(n, tag, d), nil
}

// ParseNormalizedNamed reads a name as people write it and completes it:
// "busybox" is docker.io/library/busybox. A bare id is refused.
func ParseNormalizedNamed(s string) (Named, error) {
	if isID(s) {
		return nil, fmt.Errorf("invalid repository name (%s), cannot specify 64-byte hexadecimal strings", s)
	}
	domain, rest := splitDomain(s)
	repo, _, _ := strings.Cut(rest, ":")
	if strings.ToLower(repo) != repo {
		return nil, fmt.Errorf("invalid reference format: repository name (%s) must be lowercase", repo)
	}
	return Parse(domain + "/" + rest)
}

// ParseAnyReference also takes an id, with or without its algorithm.
func ParseAnyReference(s string) (Reference, error) {
	if isID(s) {
		return bare("sha256:" + s), nil
	}
	if d, err := digest.Parse(s); err == nil {
		return bare(d), nil
	}
	return ParseNormalizedNamed(s)
}

// splitDomain finds the domain of a name as people write it, or gives the hub's.
func splitDomain(s string) (domain, rest string) {
	first, after, slash := strings.Cut(s, "/")
	switch {
	case !slash:
		return hub, officialSpace + s
	case first == hubOfOld:
		domain, rest = hub, after
	case first == "localhost", strings.ContainsAny(first, ".:"), strings.ToLower(first) != first:
		domain, rest = first, after
	default:
		domain, rest = hub, s
	}
	if domain == hub && !strings.Contains(rest, "/") {
		rest = officialSpace + rest
	}
	return domain, rest
}

// TrimNamed leaves the name alone.
func TrimNamed(ref Named) Named {
	n, _, _ := parts(ref)
	return n
}

// WithTag gives the name this tag; a digest stays.
func WithTag(ref Named, tag string) (NamedTagged, error) {
	if !isTag(tag) {
		return nil, ErrTagInvalidFormat
	}
	n, _, d := parts(ref)
	return join(n, tag, d).(NamedTagged), nil
}

// WithDigest gives the name this digest; a tag stays.
func WithDigest(ref Named, d digest.Digest) (Canonical, error) {
	if !isDigest(d.String()) {
		return nil, ErrDigestInvalidFormat
	}
	n, tag, _ := parts(ref)
	return join(n, tag, d).(Canonical), nil
}

// IsNameOnly says that there is neither tag nor digest.
func IsNameOnly(ref Named) bool {
	_, tag, d := parts(ref)
	return tag == "" && d == ""
}

// TagNameOnly gives a name without tag and digest the tag latest.
func TagNameOnly(ref Named) Named {
	if !IsNameOnly(ref) {
		return ref
	}
	n, _, _ := parts(ref)
	return tagged{n, defaultTag}
}

// familiar leaves out the hub's domain and the space of official images.
func familiar(n name) name {
	if n.domain != hub {
		return n
	}
	n.domain = ""
	if rest, ok := strings.CutPrefix(n.path, officialSpace); ok && !strings.Contains(rest, "/") {
		n.path = rest
	}
	return n
}

// FamiliarName is the name as people write it.
func FamiliarName(ref Named) string {
	n, _, _ := parts(ref)
	return familiar(n).Name()
}

// FamiliarString is the reference as people write it.
func FamiliarString(ref Reference) string {
	named, ok := ref.(Named)
	if !ok {
		return ref.String()
	}
	n, tag, d := parts(named)
	return join(familiar(n), tag, d).String()
}

// FamiliarMatch matches a pattern of path.Match against the familiar
// reference, and against its name alone.
func FamiliarMatch(pattern string, ref Reference) (bool, error) {
	matched, err := path.Match(pattern, FamiliarString(ref))
	if named, ok := ref.(Named); ok && !matched {
		matched, _ = path.Match(pattern, FamiliarName(named))
	}
	return matched, err
}
