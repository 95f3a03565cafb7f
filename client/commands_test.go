package client

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"
)

func TestPs(t *testing.T) {
	s := newStandIn(t)
	port := func(ip string, private, public uint16, proto string) map[string]any {
		m := map[string]any{"PrivatePort": private, "Type": proto}
		if ip != "" {
			m["IP"], m["PublicPort"] = ip, public
		}
		return m
	}
	s.on("GET /containers/json", answers(200, []map[string]any{{
		"Id": strings.Repeat("ab", 32), "Names": []string{"/other/alias", "/web"}, "Image": "busybox:1@sha256:" + strings.Repeat("0", 64), "ImageID": "sha256:" + strings.Repeat("c", 64),
		"Command": "sh -c 'while true; do date; done'", "Created": time.Now().Add(-3 * time.Hour).Unix(), "State": "running", "Status": "Up 3 hours",
		"Ports":  []any{port("0.0.0.0", 80, 8080, "tcp"), port("", 90, 0, "udp"), port("::", 81, 81, "tcp"), port("::", 82, 82, "tcp")},
		"Labels": map[string]string{"b": "2", "a.key-x": "1"}, "SizeRw": 1024, "SizeRootFs": 2000000,
		"Mounts":          []map[string]any{{"Name": "data", "Driver": "local"}, {"Source": "/a/rather/long/source/path"}},
		"NetworkSettings": map[string]any{"Networks": map[string]any{"none": nil}},
	}}))
	var out strings.Builder
	for _, line := range [][]string{
		{"ps"},
		{"ps", "--no-trunc"},
		{"ps", "-q"},
		{"ps", "-s"},
		{"ps", "--format", "{{.Ports}}|{{.Labels}}|{{.Label \"b\"}}|{{.Mounts}}|{{.LocalVolumes}}|{{.Networks}}|{{.State}}|{{.HealthStatus}}"},
		{"ps", "--format", "table {{.Names}}\\t{{.Label \"a.key-x\"}}\\t{{.Size}}"},
		{"container", "ls", "-aq"},
		{"ps", "-q", "--format", "x"},
		{"ps", "--format", "{{.Nope}}"},
		{"ps", "-f", "status=running", "-f", "status=paused", "-f", "Label=a=b", "-n", "3"},
		{"ps", "-l"},
		{"ps", "-f", "nope"},
	} {
		code, o, e := s.run(line...)
		fmt.Fprintf(&out, "$ %s\n%s%s(%d)\n", strings.Join(line, " "), o, e, code)
	}
	fmt.Fprintf(&out, "\n%s\n", strings.Join(s.log(), "\n"))
	golden.Assert(t, out.String(), "ps.golden")
}

func TestImages(t *testing.T) {
	s := newStandIn(t)
	sum := "sha256:" + strings.Repeat("d", 64)
	s.on("GET /images/json", answers(200, []map[string]any{
		{"Id": "sha256:" + strings.Repeat("1", 64), "RepoTags": []string{"b:2", "a:1", "docker.io/library/b:1"}, "RepoDigests": []string{"b@" + sum, "x/y@" + sum}, "Created": time.Now().Add(-time.Hour).Unix(), "Size": 1983930, "SharedSize": -1, "Containers": -1},
		{"Id": "sha256:" + strings.Repeat("2", 64), "RepoTags": []string{}, "RepoDigests": nil, "Created": 0, "Size": 0, "SharedSize": 10, "Containers": 2},
	}))
	var out strings.Builder
	for _, line := range [][]string{
		{"images", "--format", "table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}\\t{{.Size}}"},
		{"images", "--digests", "--format", "{{.Repository}}:{{.Tag}} {{.Digest}}"},
		{"images", "-q", "--no-trunc"},
		{"images", "--format", "{{.Containers}} {{.SharedSize}} {{.UniqueSize}}"},
		{"image", "ls", "-a", "b", "-f", "dangling=false", "-q"},
	} {
		code, o, e := s.run(line...)
		fmt.Fprintf(&out, "$ %s\n%s%s(%d)\n", strings.Join(line, " "), o, e, code)
	}
	fmt.Fprintf(&out, "\n%s\n", strings.Join(s.log(), "\n"))
	golden.Assert(t, out.String(), "images.golden")
}

func TestImagesHintsAtTheGroup(t *testing.T) {
	s := newStandIn(t)
	s.on("GET /images/json", answers(200, []any{}))
	_, _, errs := s.run("images", "ls")
	assert.Equal(t, errs, "\nNo images found matching \"ls\": did you mean \"engine image ls\"?\n")
	_, _, errs = s.run("images", "busybox")
	assert.Equal(t, errs, "")
}

func TestManyAtATimeKeepTheirOrder(t *testing.T) {
	s := newStandIn(t)
	var names, want []string
	for i := range 120 {
		name := fmt.Sprintf("c%d", i)
		names = append(names, name)
		if i%40 == 7 {
			s.on("POST /containers/"+name+"/stop", fails(404, "No such container: "+name))
			want = append(want, "Error response from daemon: No such container: "+name)
			continue
		}
		s.on("POST /containers/"+name+"/stop", answers(204, nil))
	}
	code, out, errs := s.run(append([]string{"stop", "-t", "3", "-s", "INT"}, names...)...)
	assert.Equal(t, code, 1)
	assert.Equal(t, errs, strings.Join(want, "\n")+"\n")
	assert.Equal(t, strings.Count(out, "\n"), 117)
	assert.Assert(t, strings.HasPrefix(out, "c0\nc1\nc2\nc3\nc4\nc5\nc6\nc8\n"))
	assert.Assert(t, strings.Contains(s.log()[0], "/stop?signal=INT&t=3"))
}

func TestNotModifiedIsSuccess(t *testing.T) {
	s := newStandIn(t)
	s.on("POST /containers/a/start", answers(304, nil))
	code, out, errs := s.run("start", "a")
	assert.Equal(t, fmt.Sprint(code, out, errs), "0a\n")
}

func TestRm(t *testing.T) {
	s := newStandIn(t)
	s.on("DELETE /containers/a", answers(204, nil))
	s.on("DELETE /containers/b", fails(404, "No such container: b"))
	s.on("DELETE /containers/c", fails(409, "busy"))
	code, out, errs := s.run("rm", "-fv", "/a", "b")
	assert.Equal(t, fmt.Sprint(code, out, errs), "0/a\nError response from daemon: No such container: b\n")
	assert.Assert(t, strings.Contains(strings.Join(s.log(), " "), "DELETE /containers/a?force=1&v=1"))
	code, out, errs = s.run("rm", "b", "a", "/")
	assert.Equal(t, fmt.Sprint(code, out, errs), "1a\nError response from daemon: No such container: b\ncontainer name cannot be empty\n")
	code, _, errs = s.run("rm", "-f", "c", "b")
	assert.Equal(t, fmt.Sprint(code, errs), "1Error response from daemon: No such container: b\nError response from daemon: busy\n")
}

func TestRmi(t *testing.T) {
	s := newStandIn(t)
	s.on("DELETE /images/a/b:c", answers(200, []map[string]string{{"Untagged": "a/b:c"}, {"Deleted": "sha256:1"}}))
	s.on("DELETE /images/x", fails(404, "No such image: x:latest"))
	code, out, errs := s.run("rmi", "a/b:c", "x")
	assert.Equal(t, fmt.Sprint(code, out, errs), "1Untagged: a/b:c\nDeleted: sha256:1\nError response from daemon: No such image: x:latest\n")
	code, _, _ = s.run("image", "rm", "-f", "x")
	assert.Equal(t, code, 0)
}

func TestInspectLooksEverywhere(t *testing.T) {
	s := newStandIn(t)
	s.on("GET /containers/web/json", answers(200, map[string]any{"Id": "1", "Name": "/web", "Own": "field"}))
	s.on("GET /images/img/json", answers(200, map[string]any{"Id": "sha256:2"}))
	s.on("GET /networks/none", answers(200, map[string]any{"Name": "none"}))
	code, out, errs := s.run("inspect", "-f", "{{.Name}}", "web", "none", "nope")
	assert.Equal(t, fmt.Sprint(code, out, errs), "1/web\nnone\nError: No such object: nope\n")
	code, out, _ = s.run("inspect", "-f", "{{.Own}} {{.Name}}", "web")
	assert.Equal(t, fmt.Sprint(code, out), "0field /web\n")
	code, out, errs = s.run("inspect", "nope")
	assert.Equal(t, fmt.Sprint(code, out, errs), "1[]\nError: No such object: nope\n")
	code, out, errs = s.run("inspect", "--type", "image", "web")
	assert.Equal(t, fmt.Sprint(code, out, errs), "1[]\nError response from daemon: page not found\n")
	code, _, errs = s.run("inspect", "-s", "--format", "json", "img")
	assert.Equal(t, fmt.Sprint(code, errs), "0WARNING: --size ignored for image\n")
	code, _, errs = s.run("inspect", "-f", "{{", "web")
	assert.Equal(t, fmt.Sprint(code, errs), "64template parsing error: template: :1: unclosed action\n")
}

func TestLogsSplitsTheStreams(t *testing.T) {
	s := newStandIn(t)
	tty := false
	s.on("GET /containers/a/json", func(w http.ResponseWriter, r *http.Request) {
		answers(200, map[string]any{"Id": "id", "Config": map[string]any{"Tty": tty}})(w, r)
	})
	s.on("GET /containers/id/logs", func(w http.ResponseWriter, _ *http.Request) {
		w.Write(frame(1, "one\n"))
		w.Write(frame(2, "two\n"))
	})
	code, out, errs := s.run("logs", "-t", "-n", "5", "--since", "1.5", "a")
	assert.Equal(t, fmt.Sprint(code, out, errs), "0one\ntwo\n")
	assert.Equal(t, s.log()[1], "GET /containers/id/logs?since=1.5&stderr=1&stdout=1&tail=5&timestamps=1")
	tty = true
	_, out, _ = s.run("logs", "a")
	assert.Equal(t, out, string(frame(1, "one\n"))+string(frame(2, "two\n")))
	code, _, errs = s.run("logs", "--until", "x", "a")
	assert.Equal(t, fmt.Sprint(code, errs), "1invalid value for \"until\": failed to parse value as time or duration: \"x\"\n")
}

func TestExec(t *testing.T) {
	s := newStandIn(t)
	s.on("POST /containers/a/exec", answers(201, map[string]string{"Id": "e"}))
	s.on("POST /exec/e/start", func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		assert.Check(t, err)
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		line, _ := rw.ReadString('\n')
		conn.Write(frame(1, "got "+line))
	})
	s.on("GET /exec/e/json", answers(200, map[string]any{"ExitCode": 3}))
	code, out, _ := s.runIn("in\n", New(), "exec", "-i", "-e", "A=b", "-u", "me", "-w", "/w", "a", "sh", "-c", "x")
	assert.Equal(t, fmt.Sprint(code, out), "3got in\n")
	assert.Equal(t, string(s.bodies["POST /containers/a/exec"]), `{"User":"me","Privileged":false,"Tty":false,"AttachStdin":true,"AttachStderr":true,"AttachStdout":true,"DetachKeys":"","Env":["A=b"],"WorkingDir":"/w","Cmd":["sh","-c","x"]}`+"\n")
	code, _, errs := s.run("exec", "-it", "a", "sh")
	assert.Equal(t, fmt.Sprint(code, errs), "1Error response from daemon: page not found\n")
}

func TestEvents(t *testing.T) {
	s := newStandIn(t)
	s.on("GET /events", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `{"Type":"container","Action":"die","Actor":{"ID":"1","Attributes":{"name":"web","a":"2","a-b":"x"}},"time":1,"timeNano":1000000005}`)
	})
	t.Setenv("TZ", "UTC")
	_, out, _ := s.run("events", "--since", "1", "-f", "type=container", "-f", "event=die")
	want := time.Unix(1, 5).Format("2006-01-02T15:04:05.000000000Z07:00")
	assert.Equal(t, out, want+" container die 1 (a=2, a-b=x, name=web)\n")
	assert.Equal(t, s.log()[0], "GET /events?filters=%7B%22event%22%3A%7B%22die%22%3Atrue%7D%2C%22type%22%3A%7B%22container%22%3Atrue%7D%7D&since=1")
	_, out, _ = s.run("events", "--format", "{{.Action}} {{.Actor.Attributes.name}}")
	assert.Equal(t, out, "die web\n")
	code, _, errs := s.run("events", "--format", "{{.Nope}}")
	assert.Equal(t, code, 64)
	assert.Assert(t, strings.HasPrefix(errs, "Error parsing format: "), errs)
}

func TestJobs(t *testing.T) {
	s := newStandIn(t)
	s.on("GET /jobs", answers(200, []map[string]any{{"ID": 7, "Name": "wait", "Job": "wait(web)", "Caller": "uid 0", "Started": time.Now().Add(-2 * time.Minute)}}))
	s.on("POST /jobs/commands", answers(200, map[string]any{"Names": []string{"create", "wait"}}))
	s.on("DELETE /jobs/7", answers(204, nil))
	s.on("POST /jobs/wait", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "raw \x00 out") })
	s.on("POST /jobs/bad", fails(400, "bad: unknown field"))
	s.on("POST /jobs/late", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "Engine-Job-Error")
		fmt.Fprint(w, "some")
		w.Header().Set("Engine-Job-Error", "broke off")
	})
	_, out, _ := s.run("jobs")
	assert.Equal(t, out, "ID        NAME      CALLER    STARTED\n7         wait      uid 0     2 minutes ago\n")
	_, out, _ = s.run("jobs", "--names")
	assert.Equal(t, out, "create\nwait\n")
	code, out, _ := s.run("jobs", "cancel", "7")
	assert.Equal(t, fmt.Sprint(code, out), "07\n")
	code, out, _ = s.run("job", "wait", "web", "--x", "Condition=removed", "not-a-key=1")
	assert.Equal(t, fmt.Sprint(code, out), "0raw \x00 out")
	assert.Equal(t, s.log()[3], "POST /jobs/wait?arg=web&arg=--x&arg=not-a-key%3D1&env=Condition%3Dremoved")
	code, _, errs := s.run("job", "bad")
	assert.Equal(t, fmt.Sprint(code, errs), "1Error response from daemon: bad: unknown field\n")
	code, out, errs = s.run("job", "late")
	assert.Equal(t, fmt.Sprint(code, out, errs), "1somebroke off\n")
}

func TestDisplayPorts(t *testing.T) {
	any4, any6 := netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("::")
	for _, c := range []struct {
		ports []container.PortSummary
		want  string
	}{
		{nil, ""},
		{[]container.PortSummary{{PrivatePort: 82, Type: "tcp"}, {PrivatePort: 80, Type: "tcp"}, {PrivatePort: 81, Type: "tcp"}, {PrivatePort: 80, Type: "udp"}}, "80-82/tcp, 80/udp"},
		{[]container.PortSummary{{IP: any4, PrivatePort: 80, PublicPort: 8080, Type: "tcp"}, {IP: any6, PrivatePort: 80, PublicPort: 8080, Type: "tcp"}}, "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"},
		{[]container.PortSummary{{IP: any4, PrivatePort: 80, PublicPort: 80, Type: "tcp"}, {IP: any4, PrivatePort: 81, PublicPort: 81, Type: "tcp"}, {IP: any4, PrivatePort: 90, PublicPort: 90, Type: "tcp"}}, "0.0.0.0:80-81->80-81/tcp, 0.0.0.0:90->90/tcp"},
	} {
		assert.Equal(t, displayPorts(c.ports), c.want)
	}
}
