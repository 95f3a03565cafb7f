package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/builtins"
	"github.com/jobengine/engine/internal/durable"
)

// cleanUp is `engine -d --cleanup`: the same locks as a daemon, and then the opposite of booting.
func cleanUp(set *builtins.Set, cfg *Config, log *logrus.Logger) error {
	parts := cfg.parts(log)
	for _, root := range []*string{&parts.DataRoot, &parts.ExecRoot} {
		if _, err := os.Stat(*root); errors.Is(err, fs.ErrNotExist) {
			// What is on the host may have survived its folders; they do not come back for that.
			empty, err := os.MkdirTemp("", "engine-cleanup-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(empty)
			if root == &parts.DataRoot {
				*root = empty
			}
			continue
		}
		lock, err := durable.Lock(*root)
		if errdefs.IsConflict(err) {
			return fmt.Errorf("the daemon runs, and cleans up by itself what it does not need: stop it first: %w", err)
		}
		if err != nil {
			return err
		}
		defer lock.Unlock()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := set.CleanUp(ctx, parts); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	fmt.Println("nothing of the engine is left on the host beside its folders " + cfg.DataRoot + " and " + cfg.ExecRoot)
	if forward, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward"); err == nil && strings.TrimSpace(string(forward)) == "1" {
		fmt.Println("net.ipv4.ip_forward stays 1: others may need it")
	}
	return nil
}
