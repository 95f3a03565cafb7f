package images

import (
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/jobengine/engine/images/store"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/internal/reference"
)

// find gives the image that a client means: by reference, by id, by a unique
// prefix of its id. The errors' texts are Docker's.
func (i *Images) find(text string) (*store.Image, error) {
	if text == "" {
		return nil, errs.Invalid("image name cannot be blank")
	}
	ref, err := reference.ParseAnyReference(text)
	if err != nil {
		return nil, errs.Invalid("%v", err)
	}
	snap := i.store.Snapshot()
	named, isNamed := ref.(reference.Named)
	if !isNamed {
		if d, ok := ref.(reference.Digested); ok {
			if img := snap.ByID(d.Digest()); img != nil {
				return img, nil
			}
		}
		return nil, noSuchImage(ref)
	}
	if img := snap.ByName(canonical(named)); img != nil {
		return img, nil
	}
	if img := byIDPrefix(snap, text); img != nil {
		return img, nil
	}
	return nil, noSuchImage(ref)
}

// canonical is the form in which names are kept: with a tag, or with a digest
// and no tag.
func canonical(named reference.Named) string {
	if d, ok := named.(reference.Digested); ok {
		if _, tagged := named.(reference.Tagged); tagged {
			if c, err := reference.WithDigest(reference.TrimNamed(named), d.Digest()); err == nil {
				return c.String()
			}
		}
		return named.String()
	}
	return reference.TagNameOnly(named).String()
}

func noSuchImage(ref reference.Reference) error {
	if named, ok := ref.(reference.Named); ok {
		ref = reference.TagNameOnly(named)
	}
	return errs.NotFound("No such image: %s", familiar(ref))
}

func familiar(ref reference.Reference) string { return reference.FamiliarString(ref) }

// familiarName is a kept name as people write it.
func familiarName(name string) string {
	ref, err := reference.Parse(name)
	if err != nil {
		return name
	}
	return reference.FamiliarString(ref)
}

// byIDPrefix gives the only image whose id starts so, with or without the
// algorithm, or nil.
func byIDPrefix(snap *store.Snapshot, prefix string) *store.Image {
	var match *store.Image
	for _, img := range snap.Images {
		if isIDPrefix(img.ID, prefix) {
			if match != nil {
				return nil
			}
			match = img
		}
	}
	return match
}

func isIDPrefix(id digest.Digest, prefix string) bool {
	hex := strings.TrimPrefix(prefix, "sha256:")
	return hex != "" && strings.HasPrefix(id.Encoded(), hex)
}

// shortID is an id as messages show it.
func shortID(id string) string {
	hex := strings.TrimPrefix(id, "sha256:")
	return hex[:min(12, len(hex))]
}

// newName makes the canonical name that an image is to get; "" for no repository.
func newName(repository, tag, digestRefused string) (string, error) {
	named, err := reference.ParseNormalizedNamed(repository)
	if err != nil {
		return "", errs.Invalid("%v", err)
	}
	if _, ok := named.(reference.Digested); ok {
		return "", errs.Invalid("%s", digestRefused)
	}
	if tag != "" {
		tagged, err := reference.WithTag(reference.TrimNamed(named), tag)
		if err != nil {
			return "", errs.Invalid("%v", err)
		}
		named = tagged
	}
	if reference.FamiliarName(named) == string(digest.Canonical) {
		return "", errs.Invalid("refusing to create an ambiguous tag using digest algorithm as name")
	}
	return reference.TagNameOnly(named).String(), nil
}
