package images

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/graphdriver"
	"github.com/jobengine/engine/graphdriver/overlay2"
	"github.com/jobengine/engine/graphdriver/vfs"
	"github.com/jobengine/engine/jobs"
)

// victimSteps are verbs that a process does again and again until it is
// killed. After each, next says what is listed then.
var victimSteps = []struct {
	run  func(b *bench) error
	next []string
}{
	{func(b *bench) error { _, err := b.load(victimArchive(b.t)); return err }, []string{"[a:1]", "[b:1]"}},
	{func(b *bench) error { b.mustTag("a:1", "c", "1"); return nil }, []string{"[a:1 c:1]", "[b:1]"}},
	{func(b *bench) error {
		img, err := b.Lookup(ctx, "a:1", "")
		if err == nil {
			_, err = b.Parent(ctx, img.ID)
		}
		return err
	}, []string{"[a:1 c:1]", "[b:1]"}},
	{func(b *bench) error { b.mustTag("b:1", "c", "1"); return nil }, []string{"[a:1]", "[b:1 c:1]"}},
	{func(b *bench) error { _, err := b.rm(jobs.ImageDeleteIn{Image: "a:1"}); return err }, []string{"[b:1 c:1]"}},
	{func(b *bench) error { b.mustImport(layerTar(b.t, "a", "i"), "d", "1"); return nil }, []string{"[b:1 c:1]", "[d:1]"}},
	{func(b *bench) error { _, err := b.rm(jobs.ImageDeleteIn{Image: "d:1"}); return err }, []string{"[b:1 c:1]"}},
	{func(b *bench) error { _, err := b.rm(jobs.ImageDeleteIn{Image: "c:1"}); return err }, []string{"[b:1]"}},
	{func(b *bench) error { _, err := b.rm(jobs.ImageDeleteIn{Image: "b:1"}); return err }, nil},
}

func victimArchive(t testing.TB) []byte {
	base := layerTar(t, "base")
	return dockerArchive(t,
		spec{tags: []string{"a:1"}, layers: [][]byte{base, layerTar(t, "a")}},
		spec{tags: []string{"b:1"}, layers: [][]byte{base, layerTar(t, "b")}})
}

// between is what may be listed while the first step, which has two images, is cut short.
var between = []string{"[a:1]"}

func TestKilledAtAnyInstantNothingAcknowledgedIsLost(t *testing.T) {
	open := map[string]graphdriver.New{"vfs": vfs.New, "overlay2": overlay2.New}
	if driver := os.Getenv("IMAGES_TEST_VICTIM"); driver != "" {
		b := openBench(t, os.Getenv("IMAGES_TEST_ROOT"), open[driver], nil)
		for {
			for n, step := range victimSteps {
				if err := step.run(b); err != nil {
					fmt.Println("failed", n, err)
					os.Exit(1)
				}
				fmt.Println("done", n)
			}
		}
	}
	r := rand.New(rand.NewPCG(11, 4))
	for driver := range drivers(t) {
		t.Run(driver, func(t *testing.T) {
			root := memoryDir(t)
			for round := range 12 {
				last := runVictim(t, driver, root, time.Duration(1+r.IntN(150))*time.Millisecond)
				b := openBench(t, root, open[driver], nil)
				assert.Equal(t, b.log.String(), "", "round %d", round)
				checkWhole(t, b, fmt.Sprintf("round %d", round))
				checkNothingUnowned(t, b, fmt.Sprintf("round %d", round))
				got := listing(b)
				cut := (last + 1) % len(victimSteps)
				ok := last >= 0 && slices.Equal(got, victimSteps[last].next) || slices.Equal(got, victimSteps[cut].next) ||
					cut == 0 && slices.Equal(got, between) || last < 0 && len(got) == 0
				assert.Assert(t, ok, "round %d: after step %d: %v", round, last, got)
				for b.Count() > 0 {
					_, err := b.rm(jobs.ImageDeleteIn{Image: b.store.Snapshot().Images[0].ID.String(), Force: true})
					assert.NilError(t, err)
				}
				assert.Equal(t, len(b.graphIDs()), 0, "round %d", round)
				assert.NilError(t, b.Graph.Cleanup())
			}
		})
	}
}

// runVictim starts a process, lets it work for a while after its first step,
// kills it, and gives the last step that it acknowledged, -1 for none.
func runVictim(t *testing.T, driver, root string, after time.Duration) int {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestKilledAtAnyInstantNothingAcknowledgedIsLost$")
	cmd.Env = append(os.Environ(), "IMAGES_TEST_VICTIM="+driver, "IMAGES_TEST_ROOT="+root)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	assert.NilError(t, err)
	assert.NilError(t, cmd.Start())
	last := -1
	lines := bufio.NewScanner(out)
	var timer *time.Timer
	for lines.Scan() {
		if timer == nil {
			timer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		assert.Assert(t, !strings.HasPrefix(lines.Text(), "failed"), lines.Text())
		_, _ = fmt.Sscanf(lines.Text(), "done %d", &last)
	}
	_ = cmd.Wait()
	return last
}
