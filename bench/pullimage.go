package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"
)

// layer is a layer of the image that is pulled.
type layer struct {
	path           string // of the compressed tar
	digest, diffID string
	size           int64 // compressed
	files          int
}

// realLayers packs files of this machine into six layers, in the order of their paths, as builders do: programs,
// libraries, headers, documents and sources.
func (b *bench) realLayers(bytes int) ([]layer, error) {
	all := make([]layer, layers)
	var g errgroup.Group
	g.SetLimit(2)
	from := []string{"/usr/bin", "/usr/lib", "/usr/share", "/usr/local/go/src", "/usr/include", "/usr/sbin"}
	for i := range all {
		all[i].path = filepath.Join(b.dir, fmt.Sprintf("layer%d.tar.gz", i))
		// Who is too small on this machine is filled with what comes later in /usr.
		roots := append([]string{from[i]}, "/usr/lib", "/usr/share")
		g.Go(func() error { return all[i].pack(roots, int64(bytes/layers)) })
	}
	return all, g.Wait()
}

var errEnough = errors.New("enough")

// pack writes up to so many bytes of files below the roots.
func (l *layer) pack(roots []string, enough int64) (err error) {
	file, err := os.Create(l.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	sum, plain := sha256.New(), sha256.New()
	z := gzip.NewWriter(io.MultiWriter(file, sum))
	t := tar.NewWriter(io.MultiWriter(z, plain))
	have, seen := int64(0), map[string]bool{}
	add := func(path string, d fs.DirEntry, err error) error {
		if err != nil || seen[path] {
			return nil // what cannot be read is not needed
		}
		seen[path] = true
		info, err := d.Info()
		if err != nil || info.Size() > enough/2 || !info.IsDir() && !info.Mode().IsRegular() && info.Mode().Type() != fs.ModeSymlink {
			return nil
		}
		link, _ := os.Readlink(path)
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		h.Name = path[1:]
		if info.IsDir() {
			h.Name += "/"
		}
		var body []byte
		if info.Mode().IsRegular() {
			if body, err = os.ReadFile(path); err != nil {
				return nil
			}
			h.Size = int64(len(body))
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(body); err != nil {
			return err
		}
		l.files++
		if have += h.Size; have >= enough {
			return errEnough
		}
		return nil
	}
	for _, root := range roots {
		if err := filepath.WalkDir(root, add); err != nil && err != errEnough {
			return err
		}
		if have >= enough {
			break
		}
	}
	if err := errors.Join(t.Close(), z.Close()); err != nil {
		return err
	}
	l.digest, l.diffID = fmt.Sprintf("sha256:%x", sum.Sum(nil)), fmt.Sprintf("sha256:%x", plain.Sum(nil))
	info, err := file.Stat()
	if err != nil {
		return err
	}
	l.size = info.Size()
	return nil
}

// serveImage starts Debian's docker-registry with the image in it and gives its name.
func (b *bench) serveImage(layers []layer) (ref string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	host := l.Addr().String()
	if err := l.Close(); err != nil {
		return "", err
	}
	config := filepath.Join(b.dir, "registry.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\n", filepath.Join(b.dir, "registry"), host)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return "", err
	}
	cmd := exec.Command("docker-registry", "serve", config)
	if err := cmd.Start(); err != nil {
		return "", err
	}
	b.undo = append(b.undo, func() error {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil
	})
	base := "http://" + host + "/v2/"
	for i := 0; ; i++ {
		resp, err := http.Get(base)
		if err == nil {
			resp.Body.Close()
			break
		}
		if i == 1000 {
			return "", err
		}
		time.Sleep(10 * time.Millisecond)
	}
	base += "bench/"
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Size      int64  `json:"size"`
		Digest    string `json:"digest"`
	}
	var described []descriptor
	var diffIDs []string
	for _, l := range layers {
		file, err := os.Open(l.path)
		if err != nil {
			return "", err
		}
		err = upload(base, l.digest, file, l.size)
		file.Close()
		if err != nil {
			return "", err
		}
		described = append(described, descriptor{"application/vnd.docker.image.rootfs.diff.tar.gzip", l.size, l.digest})
		diffIDs = append(diffIDs, l.diffID)
	}
	image, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{"Cmd": []string{"true"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	})
	if err != nil {
		return "", err
	}
	id := fmt.Sprintf("sha256:%x", sha256.Sum256(image))
	if err := upload(base, id, bytes.NewReader(image), int64(len(image))); err != nil {
		return "", err
	}
	const kind = "application/vnd.docker.distribution.manifest.v2+json"
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": kind, "layers": described,
		"config": descriptor{"application/vnd.docker.container.image.v1+json", int64(len(image)), id},
	})
	if err != nil {
		return "", err
	}
	if err := put(base+"manifests/1", kind, bytes.NewReader(manifest), int64(len(manifest))); err != nil {
		return "", err
	}
	return host + "/bench:1", nil
}

// upload puts a blob into a registry.
func upload(base, digest string, body io.Reader, size int64) error {
	resp, err := http.Post(base+"blobs/uploads/", "", nil)
	if err != nil {
		return err
	}
	resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		return err
	}
	q := to.Query()
	q.Set("digest", digest)
	to.RawQuery = q.Encode()
	return put(to.String(), "application/octet-stream", body, size)
}

func put(url, kind string, body io.Reader, size int64) error {
	req, err := http.NewRequest(http.MethodPut, url, body)
	if err != nil {
		return err
	}
	req.ContentLength = size
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return fmt.Errorf("PUT %s: %s: %s", url, resp.Status, text)
	}
	return nil
}
