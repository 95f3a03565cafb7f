//go:build system

package test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"gotest.tools/v3/assert"
)

// Several at once, so that readers fall behind the containers' ends.
func TestNoOutputIsLostWhenReadersAreSlow(t *testing.T) {
	e := startLoaded(t)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 12 {
				name := fmt.Sprintf("run-%d-%d", worker, i)
				res, err := e.Run(e.cli, "run", "--rm", "--name", name, "busybox", "dd", "if=/dev/zero", "bs=1000", "count=5000")
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				if res.Code != 0 || len(res.Stdout) != 5_000_000 {
					t.Errorf("%s: exit %d, %d bytes", name, res.Code, len(res.Stdout))
					return
				}
			}
		}()
	}
	wg.Wait()
}

func TestAttachGivesAllOutputOfAnInteractiveContainer(t *testing.T) {
	e := startLoaded(t)
	for i := range 20 {
		name := fmt.Sprint("chat", i)
		e.must("run", "-d", "-i", "--name", name, "busybox", "sh", "-c", `while read l && [ $l != quit ]; do echo "got $l"; done; echo end; exit 3`)
		// An open end: dockerd lets a client go whose input has ended.
		in, typed, err := os.Pipe()
		assert.NilError(t, err)
		_, err = typed.WriteString("x\ny\nquit\n")
		assert.NilError(t, err)
		cmd := e.Command(e.cli, "attach", name)
		cmd.Stdin = in
		res, err := cmd.Run(t.Context())
		typed.Close()
		in.Close()
		assert.NilError(t, err)
		assert.Equal(t, res.Code, 3)
		assert.Equal(t, res.Stdout, "got x\ngot y\nend\n")
		e.must("rm", name)
	}
}
