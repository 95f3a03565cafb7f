package native

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/runc/libcontainer"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/internal/netpool"
)

// Driver is the native exec driver. Make it with New.
type Driver struct {
	execdriver.Meter
	stateDir string
	nets     *netpool.Pool
	profiles profiles

	mu sync.Mutex
	// created holds what Create made until Start releases it, which spares
	// Start the parsing of libcontainer's state. After another process's Create
	// it is empty, and Start loads.
	created map[string]*libcontainer.Container
}

// New opens the driver. It knows no options.
func New(o execdriver.Options) (execdriver.Driver, error) {
	if !filepath.IsAbs(o.StateDir) {
		return nil, fmt.Errorf("native: state folder %q is not an absolute path", o.StateDir)
	}
	for name := range o.Options {
		return nil, fmt.Errorf("native: unknown option %q", name)
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("native: must be root")
	}
	if err := os.MkdirAll(filepath.Join(o.StateDir, halfDir), 0o700); err != nil {
		return nil, err
	}
	d := &Driver{stateDir: o.StateDir, nets: netpool.New(preparedNetworks), created: map[string]*libcontainer.Container{}}
	d.Group = d.memoryGroup
	return d, nil
}

// List names the containers that have a folder in the state folder, also those
// that a killed Create left half-made.
func (d *Driver) List(context.Context) ([]string, error) {
	entries, err := os.ReadDir(d.stateDir)
	if err != nil {
		return nil, err
	}
	halves, err := os.ReadDir(filepath.Join(d.stateDir, halfDir))
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range append(entries, halves...) {
		if e.Name() != halfDir && !slices.Contains(ids, e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// Describe implements execdriver.Describer.
func (d *Driver) Describe() [][2]string {
	return [][2]string{{"Runtime", "libcontainer " + libcontainerVersion()}}
}

func (d *Driver) dir(id string) string { return filepath.Join(d.stateDir, id) }

func (d *Driver) load(id string) (*libcontainer.Container, error) {
	c, err := libcontainer.Load(d.stateDir, id)
	if err != nil {
		return nil, classify(err)
	}
	return c, nil
}

// settle repeats f for as long as the kernel may need to notice that processes
// have gone: a cgroup stays busy for a moment after its last process ended.
func settle(f func() error) error {
	var err error
	for pause := time.Millisecond; pause < 512*time.Millisecond; pause *= 2 {
		if err = f(); err == nil {
			return nil
		}
		time.Sleep(pause)
	}
	return err
}
