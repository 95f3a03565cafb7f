package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/sirupsen/logrus"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

// drivers are the exec drivers that are open, by the names that containers have
// them under. Each kind is there under its own name; the daemon can have kinds
// opened with options, and under further names.
type drivers struct {
	root  string
	kinds Drivers

	mu   sync.Mutex
	open map[string]openDriver
}

type openDriver struct {
	protocol.Driver
	driver execdriver.Driver
}

// driversFile is in the exec root: a successor must find the containers of all
// drivers before it hears from a daemon.
const driversFile = "drivers.json"

// openDrivers opens each kind, and what a predecessor had open.
func openDrivers(root string, kinds Drivers) (*drivers, error) {
	d := &drivers{root: root, kinds: kinds, open: map[string]openDriver{}}
	var before []protocol.Driver
	text, err := os.ReadFile(filepath.Join(root, driversFile))
	if err == nil {
		err = json.Unmarshal(text, &before)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		logrus.Errorf("the exec drivers of the former supervisor: %v", err)
	}
	for _, want := range before {
		// What it was opened with may be gone by now; a daemon will say more.
		if o, err := d.openOne(want); err != nil {
			logrus.Error(err)
		} else {
			d.open[want.Name] = o
		}
	}
	for name := range kinds {
		if _, ok := d.open[name]; ok {
			continue
		}
		if d.open[name], err = d.openOne(protocol.Driver{Name: name, Kind: name}); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// openOne opens a driver and does not enter it. The folder of a kind is its
// name; other names are apart, so that they cannot be those of other things.
func (d *drivers) openOne(want protocol.Driver) (openDriver, error) {
	o := openDriver{Driver: want}
	open := d.kinds[want.Kind]
	if open == nil {
		return o, fmt.Errorf("exec driver %q: there is no %q: %w", want.Name, want.Kind, protocol.ErrInvalid)
	}
	state := filepath.Join(d.root, want.Name)
	if want.Name != want.Kind {
		if !validID(want.Name) {
			return o, fmt.Errorf("exec driver name %q: %w", want.Name, protocol.ErrInvalid)
		}
		state = filepath.Join(d.root, "runtimes", want.Name)
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return o, err
	}
	var err error
	if o.driver, err = open(execdriver.Options{StateDir: state, Options: want.Options}); err != nil {
		return o, fmt.Errorf("exec driver %s: %w", want.Name, err)
	}
	return o, nil
}

// configure opens the drivers that a daemon wants besides the kinds without
// options, which are there anyway, or changes nothing. A driver that is no
// longer wanted stays for as long as it has containers. Containers keep the
// driver that made them.
func (d *drivers) configure(wanted []protocol.Driver) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := map[string]openDriver{}
	for _, want := range wanted {
		if want.Kind == "" {
			want.Kind = want.Name
		}
		if _, twice := next[want.Name]; twice {
			return fmt.Errorf("exec driver %q is named twice: %w", want.Name, protocol.ErrInvalid)
		}
		if _, isKind := d.kinds[want.Name]; isKind && want.Kind != want.Name {
			return fmt.Errorf("exec driver %q is not a %q: %w", want.Name, want.Kind, protocol.ErrInvalid)
		}
		o, err := d.again(want)
		if err != nil {
			return err
		}
		next[want.Name] = o
	}
	for kind := range d.kinds {
		if _, ok := next[kind]; !ok {
			o, err := d.again(protocol.Driver{Name: kind, Kind: kind})
			if err != nil {
				return err
			}
			next[kind] = o
		}
	}
	for name, o := range d.open {
		if _, ok := next[name]; ok {
			continue
		}
		if ids, err := o.driver.List(context.Background()); err != nil || len(ids) > 0 {
			next[name] = o
		}
	}
	if err := d.save(next); err != nil {
		return err
	}
	d.open = next
	return nil
}

// save writes down what a successor could not know by itself.
func (d *drivers) save(all map[string]openDriver) error {
	var list []protocol.Driver
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if o := all[name]; o.Name != o.Kind || len(o.Options) > 0 {
			list = append(list, o.Driver)
		}
	}
	if len(list) == 0 {
		d.forget()
		return nil
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(d.root, driversFile), text, false)
}

// forget is for the end of a supervisor that leaves nothing to a successor.
func (d *drivers) forget() { _ = os.Remove(filepath.Join(d.root, driversFile)) }

// again gives the driver that is open as it is wanted, or opens it.
func (d *drivers) again(want protocol.Driver) (openDriver, error) {
	if have, ok := d.open[want.Name]; ok && have.Kind == want.Kind && maps.Equal(have.Options, want.Options) {
		return have, nil
	}
	return d.openOne(want)
}

// get finds a driver by name; nil if there is none.
func (d *drivers) get(name string) execdriver.Driver {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open[name].driver
}

// all gives the drivers that are open now.
func (d *drivers) all() map[string]execdriver.Driver {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[string]execdriver.Driver{}
	for name, o := range d.open {
		all[name] = o.driver
	}
	return all
}

// names are sorted.
func (d *drivers) names() []string { return slices.Sorted(maps.Keys(d.all())) }
