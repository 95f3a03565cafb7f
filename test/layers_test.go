//go:build system

package test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/test/harness"
)

// oddLayers are layers as other programs write them: formats, padding, names and
// orders that the engine itself would never choose.
func oddLayers(t *testing.T) [][]byte {
	t.Helper()
	var gnu, pax bytes.Buffer
	for buf, format := range map[*bytes.Buffer]tar.Format{&gnu: tar.FormatGNU, &pax: tar.FormatPAX} {
		tw := tar.NewWriter(buf)
		for _, h := range []tar.Header{
			{Name: "./z/", Typeflag: tar.TypeDir, Mode: 0o711},
			{Name: "./z/late", Typeflag: tar.TypeReg, Mode: 0o4755, Size: 3, Uname: "somebody", Uid: 1000},
			{Name: "a", Typeflag: tar.TypeReg, Mode: 0o600, Size: 3},
			{Name: "hard", Typeflag: tar.TypeLink, Linkname: "./z/late"},
			{Name: "soft", Typeflag: tar.TypeSymlink, Linkname: "/z/late"},
			{Name: "pipe", Typeflag: tar.TypeFifo, Mode: 0o600},
			{Name: strings.Repeat("long/", 30) + "name", Typeflag: tar.TypeReg, Mode: 0o644, Size: 3},
		} {
			h.Format = format
			assert.NilError(t, tw.WriteHeader(&h))
			if h.Size > 0 {
				_, err := io.WriteString(tw, "abc")
				assert.NilError(t, err)
			}
		}
		assert.NilError(t, tw.Close())
	}
	padded := append(gnu.Bytes(), make([]byte, 7*1024)...)
	twice := harness.Tar(harness.File("twice", "first"), harness.File("b", "b"), harness.File("twice", "second"))
	marks := harness.Tar(harness.File(".wh.a", ""), harness.Dir("z"), harness.File("z/.wh..wh..opq", ""), harness.File("z/new", "n"))
	return [][]byte{padded, pax.Bytes(), twice, marks}
}

// layersOf gives the diff ids that a daemon's image has.
func layersOf(t *testing.T, d *harness.Daemon, image string) []string {
	t.Helper()
	var out struct {
		RootFS struct{ Layers []string }
	}
	assert.NilError(t, d.JSON("GET", "/images/"+image+"/json", nil, &out))
	return out.RootFS.Layers
}

func idOfImage(t *testing.T, d *harness.Daemon, image string) string {
	t.Helper()
	var out struct{ ID string }
	assert.NilError(t, d.JSON("GET", "/images/"+image+"/json", nil, &out))
	return out.ID
}

func save(t *testing.T, d *harness.Daemon, names ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "saved.tar")
	resp, err := d.HTTP().Get("http://engine/v1.41/images/get?names=" + strings.Join(names, "&names="))
	assert.NilError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, resp.StatusCode, 200)
	f, err := os.Create(file)
	assert.NilError(t, err)
	defer f.Close()
	_, err = io.Copy(f, resp.Body)
	assert.NilError(t, err)
	return file
}

func loadFile(t *testing.T, d *harness.Daemon, file string) {
	t.Helper()
	f, err := os.Open(file)
	assert.NilError(t, err)
	defer f.Close()
	code, text, _, err := d.Do("POST", "/images/load?quiet=1", f)
	assert.NilError(t, err)
	assert.Equal(t, code, 200, text)
	assert.Assert(t, !strings.Contains(text, "errorDetail"), text)
}

// members reads a tar's names and contents.
func members(t *testing.T, file string) (names []string, contents map[string][]byte) {
	t.Helper()
	f, err := os.Open(file)
	assert.NilError(t, err)
	defer f.Close()
	contents = map[string][]byte{}
	for tr := tar.NewReader(f); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return names, contents
		}
		assert.NilError(t, err)
		names = append(names, h.Name)
		contents[h.Name], err = io.ReadAll(tr)
		assert.NilError(t, err)
	}
}

// What is saved has the bytes that were loaded, and every loader takes it: ours,
// dockerd 20.10, skopeo. What dockerd saves, we take.
func TestSavedImagesAreWhatWasLoadedForEveryLoader(t *testing.T) {
	e := startLoaded(t)
	layers := oddLayers(t)
	archive := filepath.Join(t.TempDir(), "odd.tar")
	assert.NilError(t, os.WriteFile(archive, harness.ImageArchive("odd:latest", layers, nil), 0o600))
	loadFile(t, e.Daemon, archive)
	id, want := idOfImage(t, e.Daemon, "odd"), layersOf(t, e.Daemon, "odd")
	for n, layer := range layers {
		assert.Equal(t, want[n], "sha256:"+harness.Digest(layer))
	}

	saved := save(t, e.Daemon, "odd", "busybox")
	names, contents := members(t, saved)
	for n, layer := range layers {
		assert.Assert(t, bytes.Equal(contents["blobs/sha256/"+strings.TrimPrefix(want[n], "sha256:")], layer), "layer %d", n)
	}
	assert.Assert(t, slices.Contains(names, "oci-layout") && slices.Contains(names, "index.json") && slices.Contains(names, "manifest.json") && slices.Contains(names, "repositories"))
	again := save(t, e.Daemon, "odd", "busybox")
	a, err := os.ReadFile(saved)
	assert.NilError(t, err)
	b, err := os.ReadFile(again)
	assert.NilError(t, err)
	assert.Assert(t, bytes.Equal(a, b), "two archives of the same images differ")

	t.Run("ourselves", func(t *testing.T) {
		other := start(t)
		loadFile(t, other.Daemon, saved)
		assert.Equal(t, idOfImage(t, other.Daemon, "odd"), id)
		c, err := os.ReadFile(save(t, other.Daemon, "odd", "busybox"))
		assert.NilError(t, err)
		assert.Assert(t, bytes.Equal(a, c), "an archive changes on its way through another engine")
		assert.Equal(t, other.must("run", "--rm", "busybox", "echo", "hello"), "hello")
	})
	t.Run("dockerd", func(t *testing.T) {
		d, err := harness.StartDockerd(harness.Options{})
		if err != nil {
			t.Skip("no dockerd here: ", err)
		}
		defer func() { assert.NilError(t, d.Destroy()) }()
		// It cannot keep a layer that holds a file twice.
		plain := filepath.Join(t.TempDir(), "plain.tar")
		assert.NilError(t, os.WriteFile(plain, harness.ImageArchive("plain:latest", [][]byte{layers[0], layers[1], layers[3]}, nil), 0o600))
		loadFile(t, e.Daemon, plain)
		loadFile(t, d, save(t, e.Daemon, "plain", "busybox"))
		assert.Equal(t, idOfImage(t, d, "plain"), idOfImage(t, e.Daemon, "plain"))
		assert.DeepEqual(t, layersOf(t, d, "plain"), layersOf(t, e.Daemon, "plain"))
		other := start(t)
		loadFile(t, other.Daemon, save(t, d, "plain", "busybox"))
		assert.Equal(t, idOfImage(t, other.Daemon, "plain"), idOfImage(t, e.Daemon, "plain"))
		assert.Equal(t, idOfImage(t, other.Daemon, "busybox"), idOfImage(t, e.Daemon, "busybox"))
	})
	t.Run("skopeo", func(t *testing.T) {
		skopeo, err := exec.LookPath("skopeo")
		if err != nil {
			t.Skip("no skopeo here")
		}
		dir := t.TempDir()
		assert.NilError(t, os.Mkdir(filepath.Join(dir, "layout"), 0o755))
		assert.NilError(t, exec.Command("tar", "-xf", saved, "-C", filepath.Join(dir, "layout")).Run())
		for n, source := range []string{"docker-archive:" + saved + ":docker.io/library/busybox:latest", "oci-archive:" + saved + ":docker.io/library/busybox:latest", "oci:" + filepath.Join(dir, "layout") + ":latest"} {
			if strings.HasPrefix(source, "oci") {
				// Its names are bare tags, of which there are two here.
				one := save(t, e.Daemon, "busybox")
				layout := filepath.Join(dir, fmt.Sprint("one", n))
				assert.NilError(t, os.Mkdir(layout, 0o755))
				assert.NilError(t, exec.Command("tar", "-xf", one, "-C", layout).Run())
				source = map[bool]string{true: "oci-archive:" + one, false: "oci:" + layout}[strings.HasPrefix(source, "oci-archive")] + ":latest"
			}
			back := filepath.Join(dir, fmt.Sprint("back", n, ".tar"))
			out, err := exec.Command(skopeo, "--insecure-policy", "copy", source, "docker-archive:"+back+":again:v1").CombinedOutput()
			assert.NilError(t, err, "%s: %s", source, out)
			other := start(t)
			loadFile(t, other.Daemon, back)
			assert.DeepEqual(t, layersOf(t, other.Daemon, "again:v1"), layersOf(t, e.Daemon, "busybox"))
		}
	})
}

// A file that was changed behind the engine's back never becomes a layer of
// another digest: the archive has no end, and no file of that name appears.
func TestADamagedLayerIsNeverSaved(t *testing.T) {
	e := startLoaded(t)
	found := ""
	assert.NilError(t, filepath.WalkDir(e.DataRoot, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && filepath.Base(path) == "busybox" {
			found = path
		}
		return nil
	}))
	assert.Assert(t, found != "")
	f, err := os.OpenFile(found, os.O_WRONLY, 0)
	assert.NilError(t, err)
	_, err = f.WriteAt([]byte("x"), 1000)
	assert.NilError(t, errors.Join(err, f.Close()))
	file := filepath.Join(t.TempDir(), "saved.tar")
	res := e.any("save", "-o", file, "busybox")
	assert.Assert(t, res.Code != 0, res)
	left, err := os.ReadDir(filepath.Dir(file))
	assert.NilError(t, err)
	assert.Equal(t, len(left), 0)
	assert.Assert(t, strings.Contains(e.Log(), "its files are not what they were"), e.Log())
}

// A committed image runs elsewhere with all that the container changed.
func TestCommittedContainersAreWhole(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "--name", "web", "--hostname", "h", "-v", "/tmp:/mounted/here", "busybox", "sh", "-c", `
		mkdir -p /d/e; echo text >/d/e/f; ln /d/e/f /d/hard; ln -s /nowhere /d/soft; mkfifo /d/pipe; rm -r /bin/vi /tmp; mkdir /tmp
		dd if=/dev/zero of=/d/sparse bs=1 count=1 seek=1000000 2>/dev/null; chmod 4711 /d/e/f; chown 7:8 /d/e; touch -d '2001-02-03 04:05:06' /d/e/f
		rm -r /etc/passwd; echo x >"/d/$(printf '%0200d' 1)"; mv /d/e /d/moved`)
	id := e.must("commit", "-a", "me", "-m", "why", "-c", "CMD [\"cat\",\"/d/moved/f\"]", "-c", "ENV A=b", "web", "made:v1")
	assert.Equal(t, e.must("run", "--rm", "made:v1"), "text")
	other := start(t)
	loadFile(t, other.Daemon, save(t, e.Daemon, "made:v1"))
	assert.Equal(t, idOfImage(t, other.Daemon, "made:v1"), id)
	assert.Equal(t, other.must("run", "--rm", "made:v1", "sh", "-c", `
		echo $A; stat -c '%a %u:%g %Y %h' /d/moved/f /d/hard | sort -u; stat -c %u:%g /d/moved; stat -c '%F %s' /d/pipe /d/soft /d/sparse
		readlink /d/soft; ls -d /bin/vi /etc/passwd 2>&1 | wc -l; ls /tmp /mounted/here | wc -l; ls /d | wc -l`), strings.Join([]string{
		"b", "4711 0:0 981173106 2", "7:8", "fifo 0", "symbolic link 8", "regular file 1000001", "/nowhere", "2", "3", "6"}, "\n"))
	var img struct {
		Author, Parent string
		RootFS         struct{ Layers []string }
	}
	assert.NilError(t, e.JSON("GET", "/images/made:v1/json", nil, &img))
	assert.Equal(t, img.Author, "me")
	assert.Equal(t, img.Parent, idOfImage(t, e.Daemon, "busybox"))
	assert.Equal(t, len(img.RootFS.Layers), 2)

	// The engine's own files and what is mounted are in no layer.
	_, contents := members(t, save(t, e.Daemon, "made:v1"))
	layer := filepath.Join(t.TempDir(), "layer.tar")
	assert.NilError(t, os.WriteFile(layer, contents["blobs/sha256/"+strings.TrimPrefix(img.RootFS.Layers[1], "sha256:")], 0o600))
	names, _ := members(t, layer)
	for _, name := range names {
		for _, own := range []string{"dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", ".dockerenv"} {
			assert.Assert(t, name != own && !strings.HasPrefix(name, own+"/"), name)
		}
	}
	assert.Assert(t, slices.Contains(names, "mounted/here/") && slices.Contains(names, "bin/.wh.vi"), "%v", names)

	// Nothing changed, no layer.
	e.must("create", "--name", "same", "busybox", "true")
	e.must("commit", "same", "same")
	assert.DeepEqual(t, layersOf(t, e.Daemon, "same"), layersOf(t, e.Daemon, "busybox"))

	// It is not paused any more, and was not when nobody wanted it.
	e.must("run", "-d", "--name", "runs", "busybox", "sh", "-c", "echo 1 >/f; sleep 1000")
	e.must("commit", "runs", "r1")
	e.must("commit", "--pause=false", "runs", "r2")
	e.must("commit", "--no-pause", "runs", "r3")
	assert.Equal(t, e.must("inspect", "-f", "{{.State.Status}}", "runs"), "running")
	e.must("pause", "runs")
	e.must("commit", "runs", "r4")
	assert.Equal(t, e.must("inspect", "-f", "{{.State.Status}}", "runs"), "paused")
	for _, name := range []string{"r1", "r2", "r3", "r4"} {
		assert.Equal(t, e.must("run", "--rm", name, "cat", "/f"), "1")
	}
}

// Exports hold the whole tree, whatever links are in it, and no more.
func TestExportStaysInTheTree(t *testing.T) {
	e := startLoaded(t)
	secret := filepath.Join(t.TempDir(), "secret")
	assert.NilError(t, os.WriteFile(secret, []byte("secret of the host"), 0o600))
	e.must("run", "-d", "--name", "web", "-v", filepath.Dir(secret)+":/mounted", "busybox", "sh", "-c",
		"ln -s "+filepath.Dir(secret)+" /out; ln -s / /root2; echo own >/own; mkfifo /p; sleep 1000")
	file := filepath.Join(t.TempDir(), "tree.tar")
	e.must("exec", "web", "sh", "-c", "while ! [ -p /p ]; do sleep 0.1; done")
	e.must("export", "-o", file, "web")
	names, contents := members(t, file)
	assert.Equal(t, string(contents["own"]), "own\n")
	assert.Assert(t, slices.Contains(names, "mounted/") && slices.Contains(names, ".dockerenv") && slices.Contains(names, "etc/hosts"))
	assert.Assert(t, !slices.Contains(names, "mounted/secret") && !slices.Contains(names, "out/secret") && !slices.Contains(names, "./"))
	assert.Equal(t, len(contents["etc/hosts"]), 0, "what is mounted is not exported")
	for name, body := range contents {
		assert.Assert(t, !bytes.Contains(body, []byte("secret of the host")), name)
	}
	e.must("import", file, "again")
	assert.Equal(t, e.must("run", "--rm", "again", "/bin/cat", "/own"), "own")
	e.must("kill", "web")
	e.must("wait", "web")
	stopped := filepath.Join(t.TempDir(), "stopped.tar")
	e.must("export", "-o", stopped, "web")
	a, err := os.ReadFile(file)
	assert.NilError(t, err)
	b, err := os.ReadFile(stopped)
	assert.NilError(t, err)
	assert.Assert(t, bytes.Equal(a, b), "running and stopped differ")
}

// A client that goes away in the middle leaves nothing behind; the leak check of
// the daemon's end says so, and the image can be removed at once.
func TestClientsThatLeaveASaveLeaveNothing(t *testing.T) {
	e := startLoaded(t)
	e.must("create", "--name", "web", "busybox", "true")
	for _, path := range []string{"/images/get?names=busybox", "/containers/web/export"} {
		for range 5 {
			resp, err := e.HTTP().Get("http://engine/v1.41" + path)
			assert.NilError(t, err)
			_, err = io.ReadFull(resp.Body, make([]byte, 1000))
			assert.NilError(t, err)
			resp.Body.Close()
		}
	}
	e.must("rm", "web")
	e.must("rmi", "busybox")
	assert.Equal(t, e.must("images", "-aq"), "")
	var jobs []json.RawMessage
	assert.NilError(t, e.JSON("GET", "/jobs", nil, &jobs))
}

// A container whose commit is cut off goes on; one that its user paused stays so.
func TestACommitThatIsCutOffLeavesNothingPaused(t *testing.T) {
	e := startLoaded(t)
	e.must("run", "-d", "--name", "web", "busybox", "sh", "-c", "dd if=/dev/urandom of=/big bs=1M count=200 2>/dev/null; echo ready; sleep 1000")
	e.must("run", "-d", "--name", "ice", "busybox", "sleep", "1000")
	e.must("pause", "ice")
	soon(t, "the file is there", func() bool { return e.must("logs", "web") == "ready" })
	status := func(name string) string { return e.must("inspect", "-f", "{{.State.Status}}", name) }
	committed := make(chan error, 1)
	go func() {
		_, err := e.Run(e.cli, "commit", "web", "made")
		committed <- err
	}()
	soon(t, "the commit has paused it", func() bool { return status("web") == "paused" })
	e.Kill()
	<-committed
	assert.NilError(t, e.Start())
	assert.Equal(t, status("web"), "running")
	assert.Equal(t, e.must("exec", "web", "echo", "alive"), "alive")
	assert.Equal(t, status("ice"), "paused")
	e.must("commit", "web", "made")
}
