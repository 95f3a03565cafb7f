package store

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// formatVersion is in every record. A record of a higher one is not touched.
const formatVersion = 1

// imageRecord is image.json.
type imageRecord struct {
	Version    int
	Parent     digest.Digest   `json:",omitempty"` // the image that this one was made from here
	Beside     []digest.Digest `json:",omitempty"` // the images that this one is for another platform
	LastTagged time.Time
	Names      []nameRecord
	Layers     []digest.Digest // chain ids from the bottom: what to keep when the config is damaged
}

// nameRecord is a name of an image; of two images with the same one, that with
// the higher sequence number has it.
type nameRecord struct {
	Name     string // canonical: docker.io/library/busybox:latest or …@sha256:…
	Sequence uint64
}

// layerRecord is layer.json.
type layerRecord struct {
	Version   int
	DiffID    digest.Digest
	Parent    digest.Digest `json:",omitempty"` // chain id of the layer below
	GraphID   string
	SizeBytes int64  // of the files in it
	Tar       string `json:",omitempty"` // the form in which its tar is kept; "" for layers of old
	TarBytes  int64  `json:",omitempty"` // of the uncompressed tar
}

// initRecord is the record of an init layer.
type initRecord struct {
	Version int
	GraphID string
}
