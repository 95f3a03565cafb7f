package harness

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// Entry is one member of an archive, exactly as given: nothing is cleaned or
// checked, since hostile archives are made from it.
type Entry struct {
	tar.Header
	Body []byte
}

// File, Dir, Symlink, Link and Device make the usual members.
func File(name, body string) Entry {
	return Entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, []byte(body)}
}
func Dir(name string) Entry {
	return Entry{tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}, nil}
}
func Symlink(name, to string) Entry {
	return Entry{tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to, Mode: 0o777}, nil}
}
func Link(name, to string) Entry {
	return Entry{tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to, Mode: 0o644}, nil}
}
func Device(name string, kind byte, major, minor int64) Entry {
	return Entry{tar.Header{Name: name, Typeflag: kind, Devmajor: major, Devminor: minor, Mode: 0o666}, nil}
}

// Tar packs the entries.
func Tar(entries ...Entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := e.Header
		if h.Typeflag == tar.TypeReg && h.Size == 0 {
			h.Size = int64(len(e.Body))
		}
		if err := w.WriteHeader(&h); err != nil {
			panic(fmt.Sprintf("entry %q: %v", h.Name, err))
		}
		w.Write(e.Body)
	}
	w.Close() // a body shorter than its size is wanted sometimes
	return b.Bytes()
}

// Digest is the sha256 of b in hex.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// ImageArchive is a docker-archive of one image with the given layers. Change,
// when not nil, may spoil the parts before they are packed.
func ImageArchive(tag string, layers [][]byte, change func(*ImageParts)) []byte {
	p := ImageParts{Tags: []string{tag}}
	var diffs []string
	for i, layer := range layers {
		diffs = append(diffs, "sha256:"+Digest(layer))
		p.Layers = append(p.Layers, fmt.Sprintf("layer%d/layer.tar", i))
		p.Files = append(p.Files, Entry{tar.Header{Name: p.Layers[i], Typeflag: tar.TypeReg, Mode: 0o644}, layer})
	}
	p.ConfigBody = map[string]any{
		"architecture": "amd64", "os": "linux", "created": "2024-01-02T03:04:05Z",
		"config": map[string]any{"Cmd": []string{"sh"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
	}
	if change != nil {
		change(&p)
	}
	config, _ := json.Marshal(p.ConfigBody)
	if p.Config == "" {
		p.Config = Digest(config) + ".json"
	}
	manifest, _ := json.Marshal([]map[string]any{{"Config": p.Config, "RepoTags": p.Tags, "Layers": p.Layers}})
	files := append([]Entry{File(p.Config, string(config))}, p.Files...)
	return Tar(append(files, File("manifest.json", string(manifest)))...)
}

// ImageParts are what ImageArchive packs.
type ImageParts struct {
	Tags       []string
	Config     string // file name; empty: the digest of its body
	ConfigBody map[string]any
	Layers     []string // file names in order
	Files      []Entry
}

// ArchiveImageID reads the id of the only image of a docker-archive, which is
// its config's name there.
func ArchiveImageID(file string) (string, error) {
	fd, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer fd.Close()
	r := tar.NewReader(fd)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return "", fmt.Errorf("%s: no manifest.json", file)
		}
		if err != nil {
			return "", err
		}
		if strings.TrimPrefix(h.Name, "./") != "manifest.json" {
			continue
		}
		var m []struct{ Config string }
		if err := json.NewDecoder(r).Decode(&m); err != nil || len(m) != 1 {
			return "", fmt.Errorf("%s: unexpected manifest.json: %v", file, err)
		}
		return strings.TrimSuffix(m[0].Config, ".json"), nil
	}
}
