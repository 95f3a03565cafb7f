package overlay2

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/graphdriver"
)

// victimEnv makes this test binary a process that uses a driver until it is killed.
const victimEnv = "OVERLAY2_VICTIM_HOME"

func TestMain(m *testing.M) {
	if home := os.Getenv(victimEnv); home != "" {
		fmt.Println(beVictim(home))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// beVictim lives lives of layers, with a line on stdout for each one that is
// acknowledged to be there, and one for each that is acknowledged to be gone.
func beVictim(home string) error {
	ctx := context.Background()
	d, err := New(graphdriver.Options{Home: home})
	if err != nil {
		return err
	}
	if !d.Exists(ctx, "base") {
		if err := d.Create(ctx, "base", ""); err != nil {
			return err
		}
	}
	for i := 0; ; i++ {
		image, rw := fmt.Sprintf("image-%d-%d", os.Getpid(), i), fmt.Sprintf("rw-%d-%d", os.Getpid(), i)
		if err := d.Create(ctx, image, "base"); err != nil {
			return err
		}
		if _, err := d.ApplyDiff(ctx, image, strings.NewReader(string(victimLayer))); err != nil {
			return err
		}
		fmt.Println("made", image)
		if err := d.CreateReadWrite(ctx, rw, image, map[string]string{"volatile": fmt.Sprint(i%2 == 0)}); err != nil {
			return err
		}
		dir, err := d.Get(ctx, rw)
		if err != nil {
			return err
		}
		if err := os.WriteFile(dir+"/file", []byte("content"), 0o600); err != nil {
			return err
		}
		if err := d.Put(ctx, rw); err != nil {
			return err
		}
		fmt.Println("made", rw)
		if i%3 == 0 {
			continue
		}
		for _, id := range []string{rw, image} {
			fmt.Println("goes", id)
			if err := d.Remove(ctx, id); err != nil {
				return err
			}
			fmt.Println("gone", id)
		}
	}
}

// victimLayer is a layer of a few files, made without a test at hand.
var victimLayer = func() []byte {
	block := make([]byte, 512)
	copy(block, "file-of-image")
	copy(block[100:], "0000644\x000000000\x000000000\x0000000000000\x0000000000000\x00")
	block[156] = '0'
	copy(block[257:], "ustar\x0000")
	copy(block[148:], "        ")
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	copy(block[148:], fmt.Sprintf("%06o\x00 ", sum))
	return append(block, make([]byte, 1024)...)
}()

func TestKillsAtAnyMomentLeaveNothingAndLoseNothing(t *testing.T) {
	home := t.TempDir()
	driverAt(t, home) // skips where there is no overlay
	self, err := os.Executable()
	assert.NilError(t, err)
	there := map[string]bool{} // acknowledged
	for round := range 15 {
		var out strings.Builder
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), victimEnv+"="+home)
		cmd.Stdout = &out
		assert.NilError(t, cmd.Start())
		time.Sleep(time.Duration(10+rand.IntN(120)) * time.Millisecond)
		assert.NilError(t, cmd.Process.Kill())
		err := cmd.Wait()
		var exit *exec.ExitError
		assert.Assert(t, errors.As(err, &exit) && !exit.Exited(), "the victim ended by itself: %v %s", err, out.String())
		unsure := map[string]bool{}
		for line := range strings.Lines(out.String()) {
			verb, id, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			if !ok || !strings.HasSuffix(line, "\n") {
				continue
			}
			switch verb {
			case "made":
				there[id] = true
			case "goes":
				delete(there, id)
				unsure[id] = true
			case "gone":
				delete(unsure, id)
				there[id] = false
			}
		}

		d := driverAt(t, home)
		d.sweep.Wait()
		entries, err := os.ReadDir(home)
		assert.NilError(t, err)
		for _, e := range entries {
			id := e.Name()
			assert.Assert(t, graphdriver.ValidID(id), "round %d leaves %s", round, id)
			_, err := d.Parent(t.Context(), id)
			assert.NilError(t, err, "layer %s of round %d", id, round)
			known, acknowledged := there[id]
			assert.Assert(t, !known || acknowledged, "layer %s came back", id)
			assert.NilError(t, d.Put(t.Context(), id))
			if !acknowledged && id != "base" { // not yet told of, or half removed: nobody's
				assert.NilError(t, d.Remove(t.Context(), id))
			}
		}
		for id, is := range there {
			assert.Equal(t, d.Exists(t.Context(), id), is, id)
			if !is {
				continue
			}
			dir, err := d.Get(t.Context(), id)
			assert.NilError(t, err)
			_, err = os.Stat(dir + "/file-of-image")
			assert.NilError(t, err, id)
			if strings.HasPrefix(id, "rw") {
				data, err := os.ReadFile(dir + "/file")
				assert.NilError(t, err)
				assert.Equal(t, string(data), "content")
			}
			assert.NilError(t, d.Put(t.Context(), id))
		}
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		assert.NilError(t, err)
		assert.Assert(t, !strings.Contains(string(mounts), home), "round %d leaves a mount", round)
	}
	assert.Assert(t, len(there) > 0, "no victim lived long enough")
	t.Logf("%d layers were acknowledged in 15 lives", len(there))
}
