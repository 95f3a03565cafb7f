package client_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/jobengine/engine/execdriver/exectest"
	"github.com/jobengine/engine/supervisor/client"
	"github.com/jobengine/engine/supervisor/protocol"
	"github.com/jobengine/engine/supervisor/spool"
)

func TestSmoke(t *testing.T) {
	root := t.TempDir()
	bin, err := os.ReadFile("/tmp/sup-build/engine-supervisor")
	if err != nil {
		t.Skip(err)
	}
	path, keep, err := client.SealedCommand(bin)
	if err != nil {
		t.Fatal(err)
	}
	defer keep.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := client.Open(ctx, client.Options{ExecRoot: root, Command: func() (*exec.Cmd, error) { return exec.Command(path), nil }, Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", c.Hello())
	rootfs := exectest.RootFS(t)
	for i := range 12 {
		id := fmt.Sprint("c", i)
		dir := client.BundleDir(root, id)
		exectest.WriteBundle(t, dir, exectest.Spec(rootfs, exectest.Script("echo hello; echo err >&2; exit 3")...))
		t0 := time.Now()
		p, err := c.Create(ctx, protocol.Create{ID: id, Driver: "native", BundleDir: dir, Log: protocol.Log{Driver: "json-file", Path: root + "/" + id + ".log"}, ExitFile: root + "/" + id + ".exit"})
		if err != nil {
			t.Fatal(err)
		}
		t1 := time.Now()
		out, err := c.Output(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		t2 := time.Now()
		if err := c.Start(ctx, id); err != nil {
			t.Fatal(err)
		}
		t3 := time.Now()
		e := <-c.Exits()
		c.Ack(e)
		t4 := time.Now()
		var got [2]string
		if err := out.Copy(ctx, [2]int64{}, func(s spool.Stream, p []byte) error { got[s] += string(p); return nil }); err != nil {
			t.Fatal(err)
		}
		out.Close()
		p.PidFD.Close()
		t5 := time.Now()
		if err := c.Delete(ctx, id); err != nil {
			t.Fatal(err)
		}
		t6 := time.Now()
		log, _ := os.ReadFile(root + "/" + id + ".log")
		if i == 0 {
			t.Logf("%q %s %+v", got, log, e)
		}
		t.Logf("create %v output %v start %v exit %v copy %v delete %v", t1.Sub(t0), t2.Sub(t1), t3.Sub(t2), t4.Sub(t3), t5.Sub(t4), t6.Sub(t5))
	}
	if err := c.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	c.Close()
	x, _ := os.ReadFile(root + "/supervisor.log")
	t.Logf("%s", x)
}
