package containers

import (
	"fmt"

	"github.com/moby/moby/api/types/container"

	"github.com/jobengine/engine/internal/errs"
)

// wantsInit tells whether an init runs before the program.
func (c *Containers) wantsInit(hc *container.HostConfig) bool {
	if hc.Init != nil {
		return *hc.Init
	}
	return c.cfg.Defaults.Init
}

func (c *Containers) initPath() (string, error) {
	if c.cfg.InitPath == nil {
		return "", errs.NotImplemented("--init: this engine has no init program")
	}
	path, err := c.cfg.InitPath()
	if err != nil {
		return "", fmt.Errorf("--init: %w", err)
	}
	return path, nil
}

// errNoDeviceDriver is docker's answer to --gpus where nothing knows such devices.
func errNoDeviceDriver(q container.DeviceRequest) error {
	return errs.Invalid("could not select device driver %q with capabilities: %v", q.Driver, q.Capabilities)
}
