package networks_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/moby/api/types/network"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/jobs"
)

func TestAnAddressIsNotGivenAgainAtOnceByTheNextDaemon(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir)
	subnets := subnetOf("10.77.0.0/29")
	subnets.Config = append(subnets.Config, subnetOf("fd77::/64").Config...)
	id, err := w.create(t, network.CreateRequest{Name: "web", IPAM: subnets, EnableIPv6: ptr(true)})
	assert.NilError(t, err)
	next := func(w *world) string {
		t.Helper()
		assert.NilError(t, w.Allocate(t.Context(), request(c1, "web", nil)))
		on, _ := w.Settings(c1)
		assert.NilError(t, w.Release(t.Context(), c1))
		return on["web"].IPAddress.String() + " " + on["web"].GlobalIPv6Address.String()
	}
	assert.Equal(t, next(w), "10.77.0.2 fd77::2")
	assert.Equal(t, next(w), "10.77.0.3 fd77::3")
	w = open(t, dir) // the other one was killed
	for _, want := range []string{"10.77.0.4 fd77::4", "10.77.0.5 fd77::5", "10.77.0.6 fd77::6", "10.77.0.2 fd77::7"} {
		assert.Equal(t, next(w), want)
	}

	assert.NilError(t, w.Close())
	entries, err := os.ReadDir(filepath.Join(dir, "run"))
	assert.NilError(t, err)
	assert.Equal(t, len(entries), 0, "a clean stop leaves nothing in the exec root")
	w = open(t, dir)
	assert.Equal(t, next(w), "10.77.0.3 fd77::8")

	// What is damaged means nothing.
	file := filepath.Join(dir, "run", id+".last")
	assert.NilError(t, os.WriteFile(file, []byte("10.9.9.9\nnonsense\n\xff\nfd77::9\n"), 0o600))
	w = open(t, dir)
	assert.Equal(t, next(w), "10.77.0.2 fd77::a")
	_, err = jobs.NetworkRemove.Run(t.Context(), w.eng, jobs.NetworkRemoveIn{Network: "web"})
	assert.NilError(t, err)
	for _, folder := range []string{"run", "networks"} {
		entries, err = os.ReadDir(filepath.Join(dir, folder))
		assert.NilError(t, err)
		assert.Equal(t, len(entries), 0)
	}
}
