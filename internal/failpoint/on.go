//go:build failpoints

package failpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	mu   sync.Mutex
	left = map[string]int{} // how often a point is passed before it acts
	acts = map[string]string{}
	read = sync.OnceFunc(func() {
		for setting := range strings.SplitSeq(os.Getenv("ENGINE_FAILPOINTS"), ",") {
			name, action, ok := strings.Cut(strings.TrimSpace(setting), "=")
			if !ok {
				continue
			}
			action, count, _ := strings.Cut(action, "@")
			n, _ := strconv.Atoi(count)
			acts[name], left[name] = action, max(n, 1)
		}
	})
)

// Hit is a point: it does once what the environment says of it.
func Hit(name string) error {
	read()
	mu.Lock()
	left[name]--
	action, now := acts[name], left[name] == 0
	mu.Unlock()
	if !now {
		return nil
	}
	// A successor of a process that died here has the same environment: only the
	// first one to note it acts.
	if dir := os.Getenv("ENGINE_FAILPOINTS_DONE"); dir != "" {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil
		}
		f.Close()
	}
	switch action {
	case "die":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "pause":
		time.Sleep(2 * time.Second)
	case "fail":
		return fmt.Errorf("failpoint %s", name)
	}
	return nil
}
