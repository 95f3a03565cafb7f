package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/supervisor/client"
	"github.com/jobengine/engine/supervisor/protocol"
)

// firstVersion answers as the supervisors of version 1 did, byte for byte.
func firstVersion(t *testing.T, c net.Conn) {
	defer c.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil || n == 0 {
			return
		}
		var q struct {
			V   int
			Seq uint64
			Op  string
		}
		if err := json.Unmarshal(buf[:n], &q); err != nil || q.V > 1 {
			return // it closed the connection
		}
		answer := `"error":{"code":"invalid","text":"unknown operation: invalid request"}`
		switch q.Op {
		case "hello":
			answer = `"body":{"Version":1,"Pid":4711,"Epoch":1763733600000000000,"Drivers":["native"]}`
		case "list":
			answer = `"body":{"Containers":[{"ID":"abc","Driver":"native","State":"exited","Pid":99,"StartTime":5,"Run":1,"Tty":false,"Exit":{"Container":"abc","Pid":99,"StartTime":5,"ExitCode":3,"At":"2026-11-21T12:00:00Z"}}]}`
		}
		if _, err := fmt.Fprintf(c, `{"v":1,"seq":%d,%s}`, q.Seq, answer); err != nil {
			t.Error(err)
		}
	}
}

func TestADaemonUnderstandsThePreviousVersion(t *testing.T) {
	root := t.TempDir()
	l, err := net.ListenUnix(protocol.Network, &net.UnixAddr{Name: protocol.SocketPath(root), Net: protocol.Network})
	assert.NilError(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go firstVersion(t, c)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := client.Open(ctx, client.Options{ExecRoot: root, Build: "new", Log: t.Logf})
	assert.NilError(t, err) // the upgrade that it does not know was no condition
	defer c.Close()
	assert.Equal(t, c.Hello().Pid, 4711)
	list, err := c.List(ctx)
	assert.NilError(t, err)
	assert.Equal(t, list[0].Exit.ExitCode, 3)
	assert.Assert(t, errors.Is(c.Upgrade(ctx), client.ErrTooOld))
	_, err = c.List(ctx)
	assert.NilError(t, err)
}

// TestASupervisorUnderstandsADaemonOfThePreviousVersion: it may be started again
// after an upgrade that was taken back.
func TestASupervisorUnderstandsADaemonOfThePreviousVersion(t *testing.T) {
	b := newBench(t)
	c, err := net.Dial(protocol.Network, protocol.SocketPath(b.root))
	assert.NilError(t, err)
	defer c.Close()
	for i, q := range []string{`{"v":1,"seq":1,"op":"hello","body":{"Exits":true}}`, `{"v":1,"seq":2,"op":"list","body":{}}`} {
		_, err = c.Write([]byte(q))
		assert.NilError(t, err)
		buf := make([]byte, 64<<10)
		n, _, _, _, err := c.(*net.UnixConn).ReadMsgUnix(buf, make([]byte, unix.CmsgSpace(32)))
		assert.NilError(t, err)
		var m protocol.Message
		assert.NilError(t, json.Unmarshal(buf[:n], &m))
		assert.Equal(t, m.V, 1)
		assert.Equal(t, m.Seq, uint64(i+1))
		assert.Assert(t, m.Error == nil)
	}
}
