package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/execdriver"
	"github.com/jobengine/engine/supervisor/protocol"
)

// An exec may be refused, and noted, while its container is removed.
func TestAFolderThatIsStillWrittenToIsRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c")
	requests := filepath.Join(dir, "requests")
	assert.NilError(t, os.MkdirAll(requests, 0o700))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 3000 { // until the folder has gone
			if os.WriteFile(filepath.Join(requests, strconv.Itoa(i)), nil, 0o600) != nil {
				return
			}
		}
	}()
	assert.NilError(t, removeWhileWritten(dir))
	<-done
	_, err := os.Stat(dir)
	assert.Assert(t, os.IsNotExist(err))
}

// killable is a driver whose Create lasts until the container is killed.
type killable struct {
	execdriver.Driver
	creating, killed chan struct{}
}

func (d killable) Create(context.Context, string, execdriver.Bundle, execdriver.Stdio) (execdriver.Process, error) {
	close(d.creating)
	<-d.killed
	return execdriver.Process{}, errors.New("killed")
}

func (d killable) Signal(context.Context, string, syscall.Signal) error {
	select {
	case <-d.killed:
		return execdriver.ErrNotFound
	default:
	}
	close(d.killed)
	return nil
}

func (killable) List(context.Context) ([]string, error) { return nil, nil }
func (killable) Delete(context.Context, string) error   { return nil }
func (killable) Close() error                           { return nil }

func TestDeleteOfAContainerWhoseCreationFailsMeanwhileComesToAnEnd(t *testing.T) {
	root := t.TempDir()
	d := killable{creating: make(chan struct{}), killed: make(chan struct{})}
	s, err := newSupervisor(root, Drivers{"killable": func(execdriver.Options) (execdriver.Driver, error) { return d, nil }})
	assert.NilError(t, err)
	text, err := json.Marshal(specs.Spec{Process: &specs.Process{Args: []string{"true"}}, Root: &specs.Root{Path: "/"}})
	assert.NilError(t, err)
	bundle := filepath.Join(root, "bundle")
	assert.NilError(t, os.Mkdir(bundle, 0o700))
	assert.NilError(t, os.WriteFile(filepath.Join(bundle, "config.json"), text, 0o600))
	over := make(chan error, 2)
	go func() {
		_, err := s.create(protocol.Create{ID: "c", Op: "1", Driver: "killable", BundleDir: bundle, Log: protocol.Log{Driver: "none"}}, protocol.Version)
		if err == nil {
			err = errors.New("it was created")
		} else {
			err = nil
		}
		over <- err
	}()
	<-d.creating
	go func() {
		_, err := s.delete(protocol.Target{ID: "c"})
		over <- err
	}()
	for range 2 {
		select {
		case err := <-over:
			assert.NilError(t, err)
		case <-time.After(time.Minute):
			t.Fatal("it waits for an end that nobody tells")
		}
	}
	_, err = s.find("c")
	assert.ErrorIs(t, err, execdriver.ErrNotFound)
	_, err = os.Stat(s.dir("c"))
	assert.Assert(t, os.IsNotExist(err))
}
