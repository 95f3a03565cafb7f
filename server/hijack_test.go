package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

type attachFunc = engine.StreamFunc[jobs.AttachIn, jobs.AttachOpen, jobs.AttachOut]

func startAttach(t *testing.T, f attachFunc) *testDaemon {
	return start(t, Options{}, func(eng *engine.Engine) { jobs.Attach.Register(eng, f) })
}

// cat is a container that writes what it reads, with a terminal or without.
func cat(tty bool) attachFunc {
	return func(_ context.Context, job *engine.StreamJob[jobs.AttachOpen], _ jobs.AttachIn) (jobs.AttachOut, error) {
		if err := job.Open(jobs.AttachOpen{Tty: tty}); err != nil {
			return jobs.AttachOut{}, err
		}
		_, err := io.Copy(job.Stdout, job.Stdin)
		io.WriteString(job.Stderr, "end of stdin\n")
		return jobs.AttachOut{}, err
	}
}

const upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n"

func attachRequest(version, headers string) string {
	return "POST " + version + "/containers/web/attach?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n"
}

func TestAttachAnswers101ToAnUpgradeAnd200ToOthers(t *testing.T) {
	for _, row := range []struct {
		version, headers string
		tty              bool
		status, kind     string
	}{
		{"/v1.41", upgrade, false, "HTTP/1.1 101 UPGRADED", "application/vnd.docker.raw-stream"},
		{"/v1.42", upgrade, false, "HTTP/1.1 101 UPGRADED", "application/vnd.docker.multiplexed-stream"},
		{"", upgrade, true, "HTTP/1.1 101 UPGRADED", "application/vnd.docker.raw-stream"},
		{"", "", false, "HTTP/1.1 200 OK", "application/vnd.docker.raw-stream"},
		{"", "Content-Type: text/plain\r\nContent-Length: 0\r\n", true, "HTTP/1.1 200 OK", "application/vnd.docker.raw-stream"},
	} {
		d := startAttach(t, cat(row.tty))
		c := d.dial()
		c.send(attachRequest(row.version, row.headers))
		head := c.head()
		assert.Assert(t, strings.HasPrefix(head, row.status+"\r\n"), head)
		assert.Assert(t, strings.Contains(head, "Content-Type: "+row.kind+"\r\n"), head)
		assert.Assert(t, strings.Contains(head, "Api-Version: 1.56\r\n"), head)
		assert.Equal(t, strings.Contains(head, "Upgrade: tcp\r\n"), row.headers == upgrade, head)
		assert.Assert(t, !strings.Contains(head, "chunked"), head)
		c.CloseWrite()
		if row.tty {
			assert.Equal(t, c.readAll(), "end of stdin\n")
		} else {
			assert.Equal(t, c.readAll(), "\x02\x00\x00\x00\x00\x00\x00\x0dend of stdin\n")
		}
	}
}

func TestHalfCloseEndsStdinAndNotTheOutput(t *testing.T) {
	d := startAttach(t, cat(true))
	c := d.dial()
	c.send(attachRequest("", upgrade))
	c.head()
	c.send("hello ")
	assert.Equal(t, c.readN(6), "hello ")
	c.send("world")
	assert.NilError(t, c.CloseWrite())
	assert.Equal(t, c.readAll(), "worldend of stdin\n")
}

func TestBytesBehindTheRequestBelongToStdin(t *testing.T) {
	d := startAttach(t, cat(true))
	for _, split := range []int{1, 20, 60, 100} {
		c := d.dial()
		all := attachRequest("", upgrade) + strings.Repeat("early bytes ", 1000)
		c.send(all[:split])
		time.Sleep(time.Millisecond) // no test depends on it: it only makes several reads likely
		c.send(all[split:])
		c.head()
		c.CloseWrite()
		assert.Equal(t, c.readAll(), strings.Repeat("early bytes ", 1000)+"end of stdin\n")
	}
}

func TestEveryByteSentAloneArrives(t *testing.T) {
	d := startAttach(t, cat(true))
	c := d.dial()
	for _, b := range attachRequest("", upgrade) + "one by one" {
		c.send(string(b))
	}
	c.head()
	assert.Equal(t, c.readN(10), "one by one")
}

func TestOutputIsFramedWithoutATerminal(t *testing.T) {
	d := startAttach(t, func(_ context.Context, job *engine.StreamJob[jobs.AttachOpen], _ jobs.AttachIn) (jobs.AttachOut, error) {
		job.Open(jobs.AttachOpen{})
		done := make(chan bool)
		for _, w := range []io.Writer{job.Stdout, job.Stderr} {
			go func() {
				for range 500 {
					w.Write(bytes.Repeat([]byte{'x'}, 1000))
				}
				done <- true
			}()
		}
		<-done
		<-done
		return jobs.AttachOut{}, nil
	})
	c := d.dial()
	c.send(attachRequest("", upgrade))
	c.head()
	var stdout, stderr bytes.Buffer
	_, err := stdcopy.StdCopy(&stdout, &stderr, c.r)
	assert.NilError(t, err)
	assert.Equal(t, stdout.Len(), 500000)
	assert.Equal(t, stderr.Len(), 500000)
}

func TestTheDaemonClosesTheConnectionWhenTheStreamEnds(t *testing.T) {
	d := startAttach(t, func(_ context.Context, job *engine.StreamJob[jobs.AttachOpen], _ jobs.AttachIn) (jobs.AttachOut, error) {
		job.Open(jobs.AttachOpen{Tty: true})
		io.WriteString(job.Stdout, "bye")
		return jobs.AttachOut{}, nil
	})
	c := d.dial()
	c.send(attachRequest("", upgrade))
	c.head()
	assert.Equal(t, c.readAll(), "bye") // although the client has not closed its half
	eventually(t, "writing fails", func() bool {
		_, err := c.UnixConn.Write([]byte("x"))
		return err != nil
	})
}

func TestNoOutputIsLostToAClientThatStillSends(t *testing.T) {
	text := strings.Repeat("output ", 10000)
	d := startAttach(t, func(_ context.Context, job *engine.StreamJob[jobs.AttachOpen], _ jobs.AttachIn) (jobs.AttachOut, error) {
		job.Open(jobs.AttachOpen{Tty: true})
		io.WriteString(job.Stdout, text)
		return jobs.AttachOut{}, nil
	})
	c := d.dial()
	c.send(attachRequest("", upgrade))
	go func() {
		for {
			if _, err := c.UnixConn.Write(make([]byte, 1000)); err != nil {
				return
			}
		}
	}()
	head := c.head()
	assert.Assert(t, strings.HasPrefix(head, "HTTP/1.1 101 "), head)
	assert.Equal(t, c.readN(len(text)), text)
}

func TestAnErrorBeforeOpenIsAStatus(t *testing.T) {
	d := startAttach(t, func(context.Context, *engine.StreamJob[jobs.AttachOpen], jobs.AttachIn) (jobs.AttachOut, error) {
		return jobs.AttachOut{}, errs.NotFound("No such container: web")
	})
	c := d.dial()
	c.send(attachRequest("", upgrade))
	head := c.head()
	assert.Assert(t, strings.HasPrefix(head, "HTTP/1.1 404 Not Found\r\n"), head)
	assert.Assert(t, strings.Contains(head, "Content-Type: application/json\r\n"), head)
	const body = `{"message":"No such container: web"}` + "\n"
	assert.Equal(t, c.readN(len(body)), body)
	// and the connection is still one of HTTP
	c.send("GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
	assert.Assert(t, strings.HasPrefix(c.head(), "HTTP/1.1 200 OK\r\n"))
}

func TestAnErrorAfterOpenIsTextInTheStream(t *testing.T) {
	d := startAttach(t, func(_ context.Context, job *engine.StreamJob[jobs.AttachOpen], _ jobs.AttachIn) (jobs.AttachOut, error) {
		job.Open(jobs.AttachOpen{})
		return jobs.AttachOut{}, errors.New("the log is damaged")
	})
	c := d.dial()
	c.send(attachRequest("", upgrade))
	c.head()
	var stdout, stderr bytes.Buffer
	_, err := stdcopy.StdCopy(&stdout, &stderr, c.r)
	assert.NilError(t, err)
	assert.Equal(t, stdout.String(), "the log is damaged\r\n")
}

func TestAClientThatIsGoneEndsTheJob(t *testing.T) {
	for name, leave := range map[string]func(c *rawConnection){
		"closes":            func(c *rawConnection) { c.Close() },
		"half-closes first": func(c *rawConnection) { c.CloseWrite(); time.Sleep(time.Millisecond); c.Close() },
		"after some input":  func(c *rawConnection) { c.send("input"); c.Close() },
		"after much input":  func(c *rawConnection) { c.send(strings.Repeat("input", 20000)); c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			opened, ended := make(chan bool), make(chan bool)
			d := startAttach(t, func(ctx context.Context, job *engine.StreamJob[jobs.AttachOpen], _ jobs.AttachIn) (jobs.AttachOut, error) {
				job.Open(jobs.AttachOpen{})
				close(opened)
				if name != "after much input" { // which nobody takes
					go io.Copy(io.Discard, job.Stdin)
				}
				<-ctx.Done()
				close(ended)
				return jobs.AttachOut{}, ctx.Err()
			})
			c := d.dial()
			c.send(attachRequest("", upgrade))
			<-opened
			leave(c)
			<-ended
		})
	}
}

func TestAClientWithoutInputIsNotTakenForGone(t *testing.T) {
	proceed := make(chan bool)
	d := startAttach(t, func(ctx context.Context, job *engine.StreamJob[jobs.AttachOpen], _ jobs.AttachIn) (jobs.AttachOut, error) {
		job.Open(jobs.AttachOpen{Tty: true})
		io.Copy(io.Discard, job.Stdin) // until the half-close
		<-proceed
		assert.Check(t, ctx.Err())
		io.WriteString(job.Stdout, "still here")
		return jobs.AttachOut{}, nil
	})
	c := d.dial()
	c.send(attachRequest("", upgrade))
	c.head()
	c.CloseWrite()
	close(proceed)
	assert.Equal(t, c.readAll(), "still here")
}

func TestExecStartTakesItsBodyAndThenTheConnection(t *testing.T) {
	var got jobs.ExecStartIn
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.ExecStart.Register(eng, func(_ context.Context, job *engine.StreamJob[jobs.ExecStartOpen], in jobs.ExecStartIn) (jobs.ExecStartOut, error) {
			got = in
			job.Open(jobs.ExecStartOpen{Tty: in.Tty})
			_, err := io.Copy(job.Stdout, job.Stdin)
			return jobs.ExecStartOut{}, err
		})
	})
	const body = `{"Detach":false,"Tty":true,"ConsoleSize":[24,80]}`
	for _, framing := range []string{"Content-Length: 49\r\n\r\n" + body, "Transfer-Encoding: chunked\r\n\r\n31\r\n" + body + "\r\n0\r\n\r\n"} {
		got = jobs.ExecStartIn{}
		c := d.dial()
		c.send("POST /v1.42/exec/abc/start HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + upgrade + framing + "typed early")
		assert.Assert(t, strings.HasPrefix(c.head(), "HTTP/1.1 101 UPGRADED\r\n"))
		assert.Equal(t, c.readN(11), "typed early")
		c.CloseWrite()
		assert.Equal(t, c.readAll(), "")
		assert.DeepEqual(t, got, jobs.ExecStartIn{Exec: "abc", Tty: true, ConsoleSize: &[2]uint{24, 80}})
	}
}

func TestADetachedExecAnswersAtOnce(t *testing.T) {
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.ExecStart.Register(eng, func(_ context.Context, job *engine.StreamJob[jobs.ExecStartOpen], in jobs.ExecStartIn) (jobs.ExecStartOut, error) {
			assert.Check(t, in.Detach)
			job.Open(jobs.ExecStartOpen{})
			io.WriteString(job.Stdout, "nobody reads this")
			return jobs.ExecStartOut{}, nil
		})
	})
	a := d.postJSON("/exec/abc/start", `{"Detach":true}`)
	assert.Equal(t, a.StatusCode, 200)
	assert.Equal(t, a.body, "")
	a = d.postJSON("/exec/abc/start", `{"ConsoleSize":[1,2]}`)
	assert.Equal(t, a.StatusCode, 400)
}

// The way of `docker run` without -i: the client closes its half at once.
func TestNoOutputIsLostToManyClientsAtOnce(t *testing.T) {
	const size = 5_000_000
	d := startAttach(t, func(_ context.Context, job *engine.StreamJob[jobs.AttachOpen], _ jobs.AttachIn) (jobs.AttachOut, error) {
		job.Open(jobs.AttachOpen{})
		go io.Copy(io.Discard, job.Stdin)
		buf := make([]byte, 32<<10)
		for left := size; left > 0; {
			n, err := job.Stdout.Write(buf[:min(left, len(buf))])
			if err != nil {
				return jobs.AttachOut{}, err
			}
			left -= n
		}
		return jobs.AttachOut{}, nil
	})
	done := make(chan int64)
	for range 8 {
		go func() {
			for range 4 {
				c := d.dial()
				c.send(attachRequest("", upgrade))
				c.head()
				c.CloseWrite()
				n, err := stdcopy.StdCopy(io.Discard, io.Discard, c.r)
				assert.Check(t, err)
				c.Close()
				done <- n
			}
		}()
	}
	for range 8 * 4 {
		assert.Equal(t, <-done, int64(size))
	}
}

func TestClientsThatComeAndGoLeaveNothing(t *testing.T) {
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.Attach.Register(eng, func(ctx context.Context, job *engine.StreamJob[jobs.AttachOpen], _ jobs.AttachIn) (jobs.AttachOut, error) {
			job.Open(jobs.AttachOpen{})
			<-ctx.Done()
			return jobs.AttachOut{}, nil
		})
		jobs.Wait.Register(eng, func(ctx context.Context, job *engine.StreamJob[jobs.WaitOpen], _ jobs.WaitIn) (jobs.WaitOut, error) {
			job.Open(jobs.WaitOpen{})
			<-ctx.Done()
			return jobs.WaitOut{}, ctx.Err()
		})
	})
	d.get("/_ping")
	d.http.CloseIdleConnections()
	before := runtime.NumGoroutine()
	var all []*rawConnection
	for i := range 50 {
		c := d.dial()
		if i%2 == 0 {
			c.send(attachRequest("", upgrade))
		} else {
			c.send("POST /containers/x/wait HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		c.head()
		all = append(all, c)
	}
	for i, c := range all {
		if i%4 == 0 {
			c.CloseWrite()
		}
		c.Close()
	}
	eventually(t, "everything ends", func() bool {
		return runtime.NumGoroutine() <= before && len(d.eng.Running()) == 1 // serveapi
	})
}

func TestAClientThatLeavesBeforeTheAnswerIsNoTrouble(t *testing.T) {
	asked, left, ended := make(chan bool), make(chan bool), make(chan error)
	d := startAttach(t, func(_ context.Context, job *engine.StreamJob[jobs.AttachOpen], _ jobs.AttachIn) (jobs.AttachOut, error) {
		asked <- true
		<-left
		err := job.Open(jobs.AttachOpen{Tty: true})
		ended <- err
		return jobs.AttachOut{}, err
	})
	c := d.dial()
	c.send(attachRequest("", upgrade))
	<-asked
	c.Close()
	left <- true
	assert.Check(t, <-ended != nil)
	assert.Equal(t, d.get("/_ping").StatusCode, 200)
	eventually(t, "the job ends", func() bool { return len(d.eng.Running()) == 1 })
}
