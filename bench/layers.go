package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/jobengine/engine/test/harness"
)

// The image that is loaded and saved: layers of real files of this machine, as
// packages have them.
const (
	layers  = 6
	layerMB = 10

	rowLoad   = "load of 6 layers of 10 MB"
	rowSave   = "save of 6 layers of 10 MB"
	rowCommit = "commit of 10 MB"
)

// images measures what moves whole images.
func (c *comparison) images() error {
	archive := filepath.Join(c.dir, "layers.tar")
	if err := makeImage(archive, layerMB<<20); err != nil {
		return err
	}
	all := map[string]map[string]times{rowLoad: {}, rowSave: {}, rowCommit: {}}
	for i := -1; i < max(3, c.rounds/5); i++ { // one round to warm up
		for _, who := range c.contenders {
			if who.daemon == nil {
				continue
			}
			for _, step := range []struct {
				row  string // "" is not measured
				args []string
			}{
				{rowLoad, []string{"load", "-q", "-i", archive}},
				{rowSave, []string{"save", "-o", filepath.Join(c.dir, "saved.tar"), "bench-layers"}},
				{"", []string{"run", "--name", "bench-copies", "--network", "none", "busybox", "dd", "if=/dev/urandom", "of=/big", "bs=1M", fmt.Sprint("count=", layerMB)}},
				{rowCommit, []string{"commit", "bench-copies", "bench-committed"}},
				{"", []string{"rm", "bench-copies"}},
				{"", []string{"rmi", "-f", "bench-layers", "bench-committed"}},
			} {
				began := time.Now()
				if err := who.run(append([]string{who.cli.Path}, step.args...)); err != nil {
					return err
				}
				if i >= 0 && step.row != "" {
					all[step.row][who.name] = append(all[step.row][who.name], time.Since(began))
				}
			}
		}
	}
	for _, row := range []string{rowLoad, rowSave, rowCommit} {
		c.row(row, all[row])
	}
	return nil
}

// makeImage writes an image of six layers of files of this machine.
func makeImage(archive string, layerBytes int) error {
	var parts [][]byte
	var entries []harness.Entry
	total := 0
	enough := fmt.Errorf("enough")
	err := filepath.WalkDir("/usr", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // what cannot be read is not needed
		}
		if st, err := d.Info(); err != nil || st.Size() > int64(layerBytes) {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		entries = append(entries, harness.File(path[1:], string(data)))
		if total += len(data); total >= layerBytes {
			parts = append(parts, harness.Tar(entries...))
			entries, total = nil, 0
		}
		if len(parts) == layers {
			return enough
		}
		return nil
	})
	if err != nil && err != enough {
		return err
	}
	if len(parts) < layers {
		return fmt.Errorf("/usr has too few files for an image of %d layers", layers)
	}
	return os.WriteFile(archive, harness.ImageArchive("bench-layers:latest", parts, nil), 0o600)
}
