//go:build system

package test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// endless are so many bytes of one kind.
type endless struct {
	left int64
	what byte
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), e.left))
	for i := range p[:n] {
		p[i] = e.what
	}
	e.left -= int64(n)
	return n, nil
}

// onDisk is the bytes and the names below the data root.
func (e *engine) onDisk() (bytes int64, names []string) {
	e.t.Helper()
	err := filepath.WalkDir(e.DataRoot, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() {
			bytes += info.Size()
		}
		rel, _ := filepath.Rel(e.DataRoot, path)
		names = append(names, rel)
		return nil
	})
	assert.NilError(e.t, err)
	return bytes, names
}

// A registry and an archive that have no end cost the daemon little memory and
// no place, and it answers as before (CVE-2017-14992, CVE-2023-25153 and others).
func TestStrangersBytesTakeLittleMemory(t *testing.T) {
	e := start(t)
	gz := func(write func(io.Writer)) []byte {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		write(z)
		z.Close()
		return b.Bytes()
	}
	whole := harness.Tar(harness.File("f", "x"))
	padded := gz(func(w io.Writer) { // 8 GB in TORTURE
		w.Write(whole)
		io.Copy(w, &endless{left: int64(size(256, 8192)) << 20})
	})
	attributes := gz(func(w io.Writer) {
		tw := tar.NewWriter(w)
		for n := range 64 {
			tw.WriteHeader(&tar.Header{Name: fmt.Sprint(n), Mode: 0o600, Format: tar.FormatPAX, PAXRecords: map[string]string{"comment": strings.Repeat("x", 1_000_000)}})
		}
		tw.Close()
	})
	entries := gz(func(w io.Writer) {
		tw := tar.NewWriter(w)
		for range size(20_000, 1_000_000) {
			tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o755})
		}
		tw.Close()
	})
	noTar := gz(func(w io.Writer) { io.Copy(w, &endless{left: 1 << 30, what: 'x'}) })

	// What a registry says without end is written to it as long as it listens.
	var evil http.HandlerFunc
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			return
		}
		evil(w, r)
	}))
	t.Cleanup(srv.Close)
	host := strings.TrimPrefix(srv.URL, "http://")
	const manifestType = "application/vnd.docker.distribution.manifest.v2+json"
	says := func(status int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for n := 0; n+1 < len(header); n += 2 {
				w.Header().Set(header[n], header[n+1])
			}
			w.WriteHeader(status)
			if r.Method == http.MethodHead {
				return
			}
			io.Copy(w, &endless{left: 3 << 29, what: ' '})
		}
	}
	image := func(config string, blobs map[string][]byte, configSize int64, layers ...string) http.HandlerFunc {
		var list []map[string]any
		for _, l := range layers {
			list = append(list, map[string]any{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "digest": "sha256:" + l, "size": len(blobs[l])})
		}
		hex := harness.Digest([]byte(config))
		if configSize == 0 {
			configSize = int64(len(config))
		}
		manifest, _ := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": manifestType, "layers": list,
			"config": map[string]any{"mediaType": "application/vnd.docker.container.image.v1+json", "digest": "sha256:" + hex, "size": configSize}})
		return func(w http.ResponseWriter, r *http.Request) {
			_, digest, _ := strings.Cut(r.URL.Path, "/blobs/sha256:")
			switch {
			case strings.Contains(r.URL.Path, "/manifests/"):
				w.Header().Set("Content-Type", manifestType)
				w.Header().Set("Docker-Content-Digest", "sha256:"+harness.Digest(manifest))
				w.Write(manifest)
			case digest == hex && configSize == int64(len(config)):
				io.WriteString(w, config)
			case digest == hex:
				io.Copy(w, &endless{left: configSize, what: ' '})
			default:
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(blobs[digest]))
			}
		}
	}
	configOf := func(diff string) string {
		return fmt.Sprintf(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}`, diff)
	}
	layered := func(layer []byte) http.HandlerFunc {
		z, err := gzip.NewReader(bytes.NewReader(layer))
		assert.NilError(t, err)
		sum := sha256.New()
		_, err = io.Copy(sum, z)
		assert.NilError(t, err)
		hex := harness.Digest(layer)
		return image(configOf(fmt.Sprintf("%x", sum.Sum(nil))), map[string][]byte{hex: layer}, 0, hex)
	}
	pull := func(handler http.HandlerFunc, args ...string) func() harness.Result {
		return func() harness.Result { evil = handler; return e.any(append([]string{"pull"}, args...)...) }
	}
	load := func(name string) func() harness.Result {
		return func() harness.Result {
			pr, pw := io.Pipe()
			go func() {
				tw := tar.NewWriter(pw)
				tw.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: 2 << 30})
				io.Copy(tw, &endless{left: 2 << 30, what: ' '})
				pw.CloseWithError(tw.Close())
			}()
			cmd := e.Command(e.cli, "load", "-q")
			cmd.Stdin = pr
			res, err := cmd.Run(t.Context())
			pr.Close()
			assert.NilError(t, err)
			return res
		}
	}
	ref := host + "/evil:1"
	for name, row := range map[string]struct {
		do   func() harness.Result
		want string // of the refusal; "" is taken
	}{
		"a manifest.json of 2 GB":         {load("manifest.json"), `"manifest.json" of `},
		"a repositories of 2 GB":          {load("repositories"), `"repositories" of `},
		"an oci-layout of 2 GB":           {load("oci-layout"), `"oci-layout" of `},
		"an index.json of 2 GB":           {load("index.json"), `"index.json" of `},
		"a manifest of 1.5 GB":            {pull(says(200, "Content-Type", manifestType), ref), "is larger than"},
		"… of which the size is known":    {pull(says(200, "Content-Type", manifestType, "Content-Length", fmt.Sprint(3<<29)), ref), "is larger than"},
		"an error of 1.5 GB":              {pull(says(400, "Content-Type", "application/json"), ref), "400 Bad Request"},
		"tags of 1.5 GB":                  {pull(says(200), "-a", host+"/evil"), "the registry lists more than"},
		"a config of 1.5 GB":              {pull(image("{}", nil, 3<<29), ref), "image config of 1610612736 bytes is larger than"},
		"a header of 4 MB":                {pull(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 4<<20)) }, ref), "server response headers exceeded"},
		"padding behind the end of a tar": {pull(layered(padded), ref), ""},
		"attributes of a megabyte":        {pull(layered(attributes), ref), ""},
		"the same folder 20000 times":     {pull(layered(entries), ref), ""},
		"a gigabyte that is no tar":       {pull(image(configOf(strings.Repeat("0", 64)), map[string][]byte{harness.Digest(noTar): noTar}, 0, harness.Digest(noTar)), ref), "not a tar"},
	} {
		t.Run(name, func(t *testing.T) {
			before, names := e.onDisk()
			e.bounded(func() {
				res := row.do()
				if row.want == "" {
					assert.Equal(t, res.Code, 0, res.String())
					e.must("rmi", ref)
					return
				}
				assert.Equal(t, res.Code, 1, res.String())
				assert.Assert(t, strings.Contains(res.Stderr, row.want), "%.2000s", res.String())
				assert.Assert(t, len(res.Stderr) < 10_000)
			})
			after, left := e.onDisk()
			assert.DeepEqual(t, left, names)
			assert.Equal(t, after, before)
			assert.Equal(t, e.must("images", "-aq"), "")
		})
	}
	t.Logf("the daemon's peak after all of them: %d MB", e.peakMemory()>>20)
}

// No program of the host takes archives apart, whatever its name and wherever
// the PATH leads (CVE-2014-9357).
func TestNoProgramOfTheHostUnpacks(t *testing.T) {
	programs, marks := t.TempDir(), t.TempDir()
	for _, name := range []string{"xz", "unxz", "gzip", "gunzip", "unpigz", "pigz", "igzip", "bzip2", "zstd", "unzstd", "tar", "docker-untar", "docker-applylayer"} {
		assert.NilError(t, os.WriteFile(filepath.Join(programs, name), []byte("#!/bin/sh\necho $0 $* >>"+marks+"/"+name+"\nexec cat\n"), 0o755))
	}
	e := startWith(t, harness.Options{Env: []string{"PATH=" + programs + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}})
	layer := harness.Tar(harness.File("f", "x"), harness.Entry{Header: tar.Header{Name: "xz", Typeflag: tar.TypeReg, Mode: 0o755}, Body: []byte("#!/bin/sh\n")})
	file := filepath.Join(t.TempDir(), "layer.tar")
	for name, pack := range map[string][]string{"plain": {"cat"}, "gzip": {"gzip", "-c"}, "xz": {"xz", "-c"}, "bzip2": {"bzip2", "-c"}} {
		assert.NilError(t, os.WriteFile(file, layer, 0o600))
		packed, err := harness.Command{Path: "/bin/sh", Args: []string{"-c", strings.Join(pack, " ") + " <" + file + " >" + file + ".packed"}}.Run(t.Context())
		assert.NilError(t, err)
		if packed.Code == 127 {
			continue // not on this machine
		}
		res := e.any("import", file+".packed", "packed:1")
		if name == "plain" || name == "gzip" {
			assert.Equal(t, res.Code, 0, res.String())
		}
	}
	left, err := os.ReadDir(marks)
	assert.NilError(t, err)
	assert.Equal(t, len(left), 0, "%v", left)
}

// While images come in, what of them is half there is for the daemon alone,
// whatever umask it was started with (CVE-2014-0047, CVE-2025-4953).
func TestWhatIsHalfThereIsNobodyElses(t *testing.T) {
	e := startWith(t, harness.Options{Wrap: []string{"sh", "-c", `umask 0; exec "$0" "$@"`}})
	c := newCounter(t, startRegistry(t))
	ref := c.host + "/random:1"
	const hold = 1 << 20
	e.loadRandom(ref, 2, 2<<20)
	e.must("push", "-q", ref)
	e.must("rmi", ref)
	c.after(hold)
	pulled := make(chan struct{})
	go func() {
		defer close(pulled)
		e.Run(e.cli, "pull", "-q", ref)
	}()
	// Beside it a load and an import that stand still in the middle.
	archive := harness.ImageArchive("held:1", [][]byte{harness.Tar(harness.Entry{Header: tar.Header{Name: "f", Typeflag: tar.TypeReg, Mode: 0o666}, Body: make([]byte, 2<<20)})}, nil)
	tree := harness.Tar(harness.Entry{Header: tar.Header{Name: "f", Typeflag: tar.TypeReg, Mode: 0o666}, Body: make([]byte, 2<<20)})
	var ends []io.Closer
	for path, body := range map[string][]byte{"/images/load": archive, "/images/create?fromSrc=-&repo=held": tree} {
		conn, err := net.Dial("unix", e.Socket)
		assert.NilError(t, err)
		ends = append(ends, conn)
		fmt.Fprintf(conn, "POST %s%s HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nContent-Length: %d\r\n\r\n", harness.Version, path, len(body))
		_, err = conn.Write(body[:1<<20])
		assert.NilError(t, err)
	}
	half := func() (files []string) {
		_, names := e.onDisk()
		for _, n := range names {
			if strings.Contains(n, "/blobs/") || strings.Contains(n, "/tmp/") || strings.Contains(n, "tmp-") || strings.Contains(n, ".tmp") {
				files = append(files, n)
			}
		}
		return files
	}
	eventually(t, "all of them stand still in the middle", func() bool { return len(half()) >= 4 })
	// Whoever is not root gets nowhere below the data root, and without that
	// nowhere below the images either.
	st, err := os.Stat(e.DataRoot)
	assert.NilError(t, err)
	assert.Equal(t, st.Mode().Perm()&0o007, fs.FileMode(0))
	for _, name := range half() {
		var open []string
		for path := filepath.Join(e.DataRoot, name); path != e.DataRoot; path = filepath.Dir(path) {
			st, err := os.Lstat(path)
			if os.IsNotExist(err) {
				open = nil
				break
			}
			assert.NilError(t, err)
			if st.Mode().Perm()&0o077 == 0 {
				open = nil
				break
			}
			open = append(open, fmt.Sprint(path, " ", st.Mode()))
		}
		assert.Equal(t, len(open), 0, "%v", open)
	}
	// Nothing lies where others could have put something first.
	others, err := os.ReadDir(e.TmpDir)
	assert.NilError(t, err)
	assert.Equal(t, len(others), 0, "%v", others)
	for _, end := range ends {
		end.Close()
	}
	c.after(0)
	e.Kill()
	<-pulled
	assert.NilError(t, e.Start())
	e.must("pull", "-q", ref)
	assert.Equal(t, e.must("images", "-q"), e.must("images", "-q", ref))
}

// Labels, annotations, variables and privileges that an image names say nothing
// about its containers (CVE-2014-6408, CVE-2026-53488).
func TestAnImageSaysNothingAboutPrivileges(t *testing.T) {
	body, err := probe()
	assert.NilError(t, err)
	e := start(t)
	layer := harness.Tar(harness.Entry{Header: tar.Header{Name: "probe", Typeflag: tar.TypeReg, Mode: 0o755}, Body: body})
	marker := filepath.Join(t.TempDir(), "marker")
	names := map[string]string{}
	for _, key := range []string{
		"io.containerd.image.name", "io.containerd.log.uri", "io.containerd.runc.v2.binary-name", "containerd.io/restart.loguri", "org.criu.config", "run.oci.handler", "run.oci.hooks.stderr",
		"run.oci.seccomp_fd_receiver", "io.podman.annotations.privileged", "io.podman.annotations.seccomp", "io.kubernetes.cri.container-type", "com.docker.compose.project", "com.docker.network.bridge.name",
		"com.docker.swarm.service.id", "org.systemd.property.ExecStartPre", "module.wasm.image/variant", "log-driver", "log-opts", "runtime", "binary", "privileged", "seccomp", "apparmor", "hooks",
	} {
		names[key] = "binary:///bin/sh?-c=touch%20" + marker
	}
	for name, change := range map[string]func(*harness.ImageParts){
		"plain:1": func(*harness.ImageParts) {},
		"odd:1": func(p *harness.ImageParts) {
			danger := map[string]any{"Privileged": true, "SecurityOpt": []string{"seccomp=unconfined", "apparmor=unconfined"}, "CapAdd": []string{"ALL"}, "Runtime": "/bin/sh",
				"Binds": []string{"/:/host"}, "PidMode": "host", "NetworkMode": "host", "LogConfig": map[string]any{"Type": "syslog", "Config": names}, "Annotations": names, "Devices": []any{}}
			config := map[string]any{"Cmd": []string{"sh"}, "Labels": names, "HostConfig": danger, "Annotations": names, "Hooks": map[string]any{"prestart": []any{map[string]any{"path": "/bin/touch", "args": []string{"touch", marker}}}},
				"Env": []string{"LD_PRELOAD=/probe", "_LIBCONTAINER_INITPIPE=3", "LISTEN_FDS=9", "NOTIFY_SOCKET=/run/x", "DOCKER_HOST=tcp://127.0.0.1:1", "GODEBUG=gctrace=1"}}
			for k, v := range danger {
				config[k] = v
				p.ConfigBody[k] = v
			}
			p.ConfigBody["config"], p.ConfigBody["HostConfig"] = config, danger
		},
	} {
		code, text, _, err := e.Do("POST", "/images/load?quiet=1", strings.NewReader(string(harness.ImageArchive(name, [][]byte{layer}, change))))
		assert.NilError(t, err)
		assert.Equal(t, code, 200, text)
	}
	look := func(image string) (config, printed string) {
		t.Helper()
		e.must("create", "--name", "look", "--network", "none", image, "/probe")
		var is struct{ HostConfig, AppArmorProfile, Driver, ExecIDs, Mounts, GraphDriver any }
		assert.NilError(t, e.JSON("GET", "/containers/look/json", nil, &is))
		is.GraphDriver = nil
		data, err := json.Marshal(is)
		assert.NilError(t, err)
		e.must("rm", "look")
		return string(data), e.must("run", "--rm", "--network", "none", image, "/probe")
	}
	config, printed := look("plain:1")
	odd, oddPrinted := look("odd:1")
	assert.Equal(t, odd, config)
	was := values(printed)
	for what, verdict := range values(oddPrinted) {
		if !strings.HasPrefix(what, "env:") && !strings.HasPrefix(what, "environment") {
			assert.Equal(t, verdict, was[what], what)
		}
	}
	_, err = os.Lstat(marker)
	assert.Assert(t, os.IsNotExist(err))
	data, err := json.Marshal(e.must("image", "inspect", "odd:1"))
	assert.NilError(t, err)
	for _, word := range []string{"Privileged", "SecurityOpt", "Binds", "prestart"} {
		assert.Assert(t, !bytes.Contains(data, []byte(word)), word)
	}
}

// A volume of an image gets what is at its place inside of the image, wherever
// links lead (CVE-2022-23648).
func TestVolumesOfAnImageHoldNothingOfTheHost(t *testing.T) {
	h := newHost(t)
	e := startLoaded(t)
	base, err := os.ReadFile(rootfs)
	assert.NilError(t, err)
	up := strings.Repeat("../", 20) + h.aim[1:]
	for n, row := range []struct {
		volume string
		tree   []harness.Entry
	}{
		{"/" + up, nil},
		{"/../.." + h.aim, nil},
		{h.aim, nil},
		{"/data", []harness.Entry{harness.Symlink("data", h.aim)}},
		{"/data", []harness.Entry{harness.Symlink("data", up)}},
		{"/data/x", []harness.Entry{harness.Symlink("data", filepath.Dir(h.aim)), harness.Symlink("x", filepath.Base(h.aim))}},
		{"/a/b", []harness.Entry{harness.Dir("a"), harness.Symlink("a/b", "/proc/self/cwd")}},
		{"/a/b", []harness.Entry{harness.Dir("a"), harness.Symlink("a/b", "/proc/1/root")}},
		{"/a", []harness.Entry{harness.Dir("a"), harness.Symlink("a/secret", h.aim+"/secret"), harness.Symlink("a/all", h.aim)}},
	} {
		name := fmt.Sprintf("volume:%d", n)
		archive := harness.ImageArchive(name, [][]byte{base, harness.Tar(row.tree...)}, func(p *harness.ImageParts) {
			p.ConfigBody["config"] = map[string]any{"Cmd": []string{"sh"}, "Volumes": map[string]any{row.volume: map[string]any{}}}
		})
		code, text, _, err := e.Do("POST", "/images/load?quiet=1", strings.NewReader(string(archive)))
		assert.NilError(t, err)
		assert.Equal(t, code, 200, text)
		res := e.any("create", "--name", "held", "--network", "none", name, "sleep", "1000")
		t.Logf("%s: exit %d %s", row.volume, res.Code, strings.TrimSpace(res.Stderr))
		if res.Code == 0 {
			started := e.any("start", "held")
			t.Logf("start: exit %d %s", started.Code, strings.TrimSpace(started.Stderr))
			// Whatever is in the folders of the engine, the canary is not.
			filepath.WalkDir(filepath.Join(e.DataRoot, "containers"), func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() {
					if data, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(data), "canary") {
						t.Errorf("%s of %s has the host's %s", path, name, data)
					}
				}
				return nil
			})
			if started.Code == 0 {
				seen := e.any("exec", "held", "find", "/a", "/data", row.volume, "-maxdepth", "1", "-type", "f")
				assert.Assert(t, !strings.Contains(seen.Stdout, "secret"), seen.String())
			}
			e.must("rm", "-f", "held")
		}
		h.unchanged(t)
	}
}
