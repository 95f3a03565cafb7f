package server

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
	"gotest.tools/v3/assert"

	"github.com/jobengine/engine/engine"
	"github.com/jobengine/engine/internal/errs"
	"github.com/jobengine/engine/jobs"
)

// One `docker run` of the newest Go client: it negotiates, creates, attaches,
// waits before it starts, and sends its input.
func TestTheNewestClientRunsAContainer(t *testing.T) {
	started := make(chan bool)
	d := start(t, Options{}, func(eng *engine.Engine) {
		jobs.Create.Register(eng, func(_ context.Context, _ *engine.Job, in jobs.CreateIn) (jobs.CreateOut, error) {
			if in.Config.Image == "absent" {
				return jobs.CreateOut{}, errs.NotFound("No such image: absent:latest")
			}
			return jobs.CreateOut{CreateResponse: container.CreateResponse{ID: "abc"}}, nil
		})
		jobs.Attach.Register(eng, func(_ context.Context, job *engine.StreamJob[jobs.AttachOpen], _ jobs.AttachIn) (jobs.AttachOut, error) {
			if err := job.Open(jobs.AttachOpen{}); err != nil {
				return jobs.AttachOut{}, err
			}
			<-started
			_, err := io.Copy(job.Stdout, job.Stdin)
			io.WriteString(job.Stderr, "done")
			return jobs.AttachOut{}, err
		})
		jobs.Wait.Register(eng, func(_ context.Context, job *engine.StreamJob[jobs.WaitOpen], _ jobs.WaitIn) (jobs.WaitOut, error) {
			job.Open(jobs.WaitOpen{})
			<-started
			return jobs.WaitOut{WaitResponse: container.WaitResponse{StatusCode: 42}}, nil
		})
		jobs.Start.Register(eng, func(context.Context, *engine.Job, jobs.StartIn) (jobs.StartOut, error) {
			close(started)
			return jobs.StartOut{}, nil
		})
		jobs.Events.Register(eng, func(ctx context.Context, job *engine.StreamJob[jobs.EventsOpen], _ jobs.EventsIn) (jobs.EventsOut, error) {
			job.Open(jobs.EventsOpen{})
			io.WriteString(job.Stdout, `{"Type":"container","Action":"start","Actor":{"ID":"abc","Attributes":{}},"scope":"local","time":1,"timeNano":1000000000}`+"\n")
			<-ctx.Done()
			return jobs.EventsOut{}, nil
		})
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cli, err := client.New(client.WithHost("unix://" + d.sock))
	assert.NilError(t, err)
	defer cli.Close()
	_, err = cli.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	assert.NilError(t, err)
	assert.Equal(t, cli.ClientVersion(), MaxAPIVersion)

	_, err = cli.ContainerCreate(ctx, client.ContainerCreateOptions{Image: "absent"})
	assert.Check(t, errdefs.IsNotFound(err), err)
	created, err := cli.ContainerCreate(ctx, client.ContainerCreateOptions{Image: "busybox", Config: &container.Config{Cmd: []string{"cat"}}})
	assert.NilError(t, err)
	assert.Equal(t, created.ID, "abc")

	watched := cli.Events(ctx, client.EventsListOptions{})
	attached, err := cli.ContainerAttach(ctx, "abc", client.ContainerAttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	assert.NilError(t, err)
	defer attached.Close()
	wait := cli.ContainerWait(ctx, "abc", client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	_, err = cli.ContainerStart(ctx, "abc", client.ContainerStartOptions{})
	assert.NilError(t, err)
	_, err = io.WriteString(attached.Conn, "typed")
	assert.NilError(t, err)
	assert.NilError(t, attached.CloseWrite())
	var stdout, stderr bytes.Buffer
	_, err = stdcopy.StdCopy(&stdout, &stderr, attached.Reader)
	assert.NilError(t, err)
	assert.Equal(t, stdout.String()+" "+stderr.String(), "typed done")
	select {
	case r := <-wait.Result:
		assert.Equal(t, r.StatusCode, int64(42))
	case err := <-wait.Error:
		t.Fatal(err)
	}
	select {
	case m := <-watched.Messages:
		assert.Equal(t, m.Action, events.ActionStart)
	case err := <-watched.Err:
		t.Fatal(err)
	}
}
