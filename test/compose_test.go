//go:build system

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// Three services that ask each other by name, on two networks: web and app on the front, app and db on the back.
const project = `
version: "2.4"
services:
  db:
    image: busybox
    command: sh -c 'mkdir /www; echo rows >/www/index.html; exec httpd -f -h /www'
    stop_signal: SIGKILL
    networks: {back: {aliases: [store]}}
  app:
    image: busybox
    command: sh -c 'mkdir -p /www; echo logic >/www/index.html; echo app is up; exec httpd -f -h /www'
    depends_on: [db]
    stop_signal: SIGKILL
    networks: [front, back]
  web:
    image: busybox
    hostname: webhost
    command: sh -c 'mkdir -p /www; echo page >/www/index.html; exec httpd -f -h /www'
    depends_on: [app]
    stop_signal: SIGKILL
    environment: {COLOR: green}
    labels: {tier: edge}
    ports: ["8080:80", "127.0.0.1:8081:80"]
    networks:
      front: {aliases: [www], ipv4_address: 10.66.0.80}
networks:
  front: {ipam: {config: [{subnet: 10.66.0.0/24}]}}
  back: {internal: true}
`

// composed is a project of docker-compose's on a daemon.
type composed struct {
	*engine
	file string
}

func (e *engine) compose(text string) composed {
	e.t.Helper()
	if _, err := exec.LookPath("docker-compose"); err != nil {
		e.t.Skip("docker-compose is not on this machine: scripts/deps.sh test")
	}
	file := filepath.Join(e.t.TempDir(), "docker-compose.yml")
	assert.NilError(e.t, os.WriteFile(file, []byte(text), 0o600))
	return composed{e, file}
}

func (p composed) any(args ...string) (string, error) {
	cmd := exec.Command("docker-compose", append([]string{"-p", "proj", "-f", p.file, "--ansi", "never"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.t.TempDir(), "LANG=C.UTF-8", "DOCKER_HOST=" + p.Host(), "COMPOSE_HTTP_TIMEOUT=120"}
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("docker-compose %v: %w\n%s%s", args, err, out, &said)
	}
	return strings.TrimSpace(string(out)), err
}

func (p composed) must(args ...string) string {
	p.t.Helper()
	out, err := p.any(args...)
	assert.NilError(p.t, err)
	return out
}

// gets is what a service has from another one, asked by a name; "" if nothing comes.
func (p composed) gets(service, name string) string {
	r := p.engine.any("exec", "proj_"+service+"_1", "sh", "-c", fetch(name))
	return r.Out()
}

func TestComposeBringsAProjectUpAndDown(t *testing.T) {
	e := startRouted(t)
	before := e.must("network", "ls", "-q", "--no-trunc")
	links, err := e.onHost("ip -o link | cut -d: -f2 | cut -d@ -f1 | sort")
	assert.NilError(t, err, links)
	p := e.compose(project)
	p.must("up", "-d")
	assert.Equal(t, e.must("ps", "--format", "{{.Names}}", "--filter", "label=com.docker.compose.project=proj", "--filter", "label=tier=edge"), "proj_web_1")
	reached := func(where, want string) {
		t.Helper()
		eventually(t, where+" answers", func() bool { out, err := e.onHost(fetch(where)); return err == nil && out == want })
	}
	hears := func(service, name, want string) {
		t.Helper()
		eventually(t, service+" hears "+name, func() bool { return p.gets(service, name) == want })
	}
	reached("127.0.0.1:8080", "page")
	reached("127.0.0.1:8081", "page")
	reached("10.66.0.80:80", "page")
	hears("web", "app", "logic")
	hears("web", "proj_app_1", "logic")
	hears("app", "db", "rows")
	hears("app", "store", "rows")
	hears("app", "www", "page")
	assert.Equal(t, p.gets("web", "db"), "", "on no network of web's")
	assert.Equal(t, p.gets("db", "web"), "", "on no network of db's")

	ps := p.must("ps")
	for _, want := range []string{"proj_app_1", "proj_db_1", "proj_web_1", "0.0.0.0:8080->80/tcp", "127.0.0.1:8081->80/tcp", "Up"} {
		assert.Check(t, strings.Contains(ps, want), "%s in:\n%s", want, ps)
	}
	assert.Equal(t, p.must("port", "web", "80"), "0.0.0.0:8080")
	assert.Check(t, strings.Contains(p.must("logs", "app"), "app is up"))
	assert.Equal(t, p.must("exec", "-T", "web", "sh", "-c", "echo $COLOR $(hostname)"), "green webhost")
	assert.Equal(t, p.must("run", "--rm", "--no-deps", "-T", "app", "sh", "-c", fetch("web")), "page")
	assert.Check(t, strings.Contains(p.must("top", "web"), "httpd"))

	// A second up changes nothing, a restart keeps what was, a changed service is made anew.
	id := e.must("inspect", "-f", "{{.Id}}", "proj_web_1")
	p.must("up", "-d")
	assert.Equal(t, e.must("inspect", "-f", "{{.Id}}", "proj_web_1"), id)
	p.must("restart", "web")
	reached("127.0.0.1:8080", "page")
	p.must("stop", "app")
	assert.Equal(t, p.gets("web", "app"), "")
	p.must("start", "app")
	hears("web", "app", "logic")
	p.must("pause", "db")
	p.must("unpause", "db")
	hears("app", "db", "rows")

	p.must("up", "-d", "--scale", "app=3")
	for i := 1; i <= 3; i++ {
		hears("web", fmt.Sprintf("proj_app_%d", i), "logic")
	}
	assert.Equal(t, len(strings.Fields(p.must("ps", "-q", "app"))), 3)
	p.must("up", "-d", "--scale", "app=1")
	assert.Equal(t, len(strings.Fields(p.must("ps", "-q", "app"))), 1)

	assert.NilError(t, os.WriteFile(p.file, []byte(strings.Replace(project, "green", "blue", 1)), 0o600))
	p.must("up", "-d")
	assert.Equal(t, p.must("exec", "-T", "web", "sh", "-c", "echo $COLOR"), "blue")
	reached("127.0.0.1:8080", "page")

	p.must("down")
	assert.Equal(t, e.must("ps", "-aq"), "")
	assert.Equal(t, e.must("network", "ls", "-q", "--no-trunc"), before)
	eventually(t, "the host is as it was", func() bool {
		after, _ := e.onHost("ip -o link | cut -d: -f2 | cut -d@ -f1 | sort")
		return after == links
	})
	out, err := e.onHost(fetch("127.0.0.1:8080"))
	assert.Check(t, err != nil, out)
}
