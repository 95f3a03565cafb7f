//go:build system

package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// What runners of CI jobs ask for: a network for the job, a service with a name on it, the job's container
// attached before it starts, then its output and its end, and everything removed by label.
func TestAJobOfARunner(t *testing.T) {
	e := startRouted(t)
	ask := func(want int, method, path string, body any) string {
		t.Helper()
		code, text, _, err := e.Do(method, path, body)
		assert.NilError(t, err)
		assert.Equal(t, code, want, "%s %s: %s", method, path, text)
		return text
	}
	labels := map[string]string{"job": "7"}
	ask(201, "POST", "/networks/create", map[string]any{"Name": "job-7", "Driver": "bridge", "CheckDuplicate": true, "Labels": labels})
	create := func(name, alias string, config map[string]any) {
		t.Helper()
		config["Image"], config["Labels"] = "busybox", labels
		config["HostConfig"] = map[string]any{"NetworkMode": "job-7"}
		config["NetworkingConfig"] = map[string]any{"EndpointsConfig": map[string]any{"job-7": map[string]any{"Aliases": []string{alias}}}}
		ask(201, "POST", "/containers/create?name="+name, config)
	}
	create("service", "db", map[string]any{"Cmd": []string{"sh", "-c", "mkdir /www; echo rows >/www/index.html; exec httpd -f -h /www"}})
	ask(204, "POST", "/containers/service/start", nil)
	eventually(t, "the service serves", func() bool { return e.any("exec", "service", "sh", "-c", fetch("127.0.0.1")).Code == 0 })

	create("job", "build", map[string]any{"Cmd": []string{"sh"}, "OpenStdin": true, "StdinOnce": true, "AttachStdin": true, "AttachStdout": true, "AttachStderr": true})
	s, err := e.Hijack("POST", "/containers/job/attach?stream=1&stdin=1&stdout=1&stderr=1", nil)
	assert.NilError(t, err)
	defer s.Close()
	ask(204, "POST", "/containers/job/start", nil)
	_, err = s.Write([]byte(fetch("db") + "; hostname -i | grep -c .; exit 5\n"))
	assert.NilError(t, err)
	assert.Check(t, strings.Contains(ask(200, "POST", "/containers/job/wait", nil), `"StatusCode":5`))
	assert.Equal(t, e.must("logs", "job"), "rows\n1")

	for _, name := range []string{"job", "service"} {
		ask(204, "DELETE", "/containers/"+name+"?force=1&v=1", nil)
	}
	ask(200, "POST", `/networks/prune?filters={"label":["job=7"]}`, nil)
	ask(404, "GET", "/networks/job-7", nil)
}

// The library of docker-compose, which other programs in Python use too.
const python = `
import docker
c = docker.from_env(timeout=120)
front = c.networks.create("front", driver="bridge", labels={"a": "b"}, attachable=True,
    ipam=docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet="10.66.0.0/24", gateway="10.66.0.254", iprange="10.66.0.128/25", aux_addresses={"x": "10.66.0.129"})]))
back = c.networks.create("back", internal=True)
web = c.containers.run("busybox", ["sleep", "1000"], name="web", network="front", ports={"80/tcp": ("127.0.0.1", 8080), "53/udp": None}, detach=True)
back.connect(web, aliases=["www"])
web.reload()
nets = web.attrs["NetworkSettings"]["Networks"]
print(sorted(nets), nets["front"]["IPAddress"], nets["front"]["Gateway"], "www" in nets["back"]["Aliases"])
print(web.ports["80/tcp"], len(web.ports["53/udp"]) > 0)
front.reload()
print([x.name for x in front.containers], front.attrs["IPAM"]["Config"], front.attrs["Attachable"], back.attrs["Internal"])
print(sorted(n.name for n in c.networks.list(filters={"driver": "bridge"})), [n.name for n in c.networks.list(names=["front"], greedy=True)])
print(web.exec_run("hostname -i").exit_code, sorted(web.stats(stream=False)["networks"]))
try:
    front.remove()
except docker.errors.APIError as e:
    print(e.response.status_code)
front.disconnect(web)
web.remove(force=True)
print(sorted(c.networks.prune()["NetworksDeleted"]))
`

func TestPythonsLibraryKnowsOurNetworks(t *testing.T) {
	if exec.Command("python3", "-c", "import docker").Run() != nil {
		t.Skip("python3-docker is not on this machine: scripts/deps.sh test")
	}
	e := startRouted(t)
	file := filepath.Join(t.TempDir(), "networks.py")
	assert.NilError(t, os.WriteFile(file, []byte(python), 0o600))
	cmd := exec.Command("python3", file)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "DOCKER_HOST=" + e.Host()}
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	assert.NilError(t, err, said.String())
	assert.Equal(t, string(out), `['back', 'front'] 10.66.0.128 10.66.0.254 True
[{'HostIp': '127.0.0.1', 'HostPort': '8080'}] True
['web'] [{'Subnet': '10.66.0.0/24', 'IPRange': '10.66.0.128/25', 'Gateway': '10.66.0.254', 'AuxiliaryAddresses': {'x': '10.66.0.129'}}] True True
['back', 'bridge', 'front'] ['front']
0 ['eth0', 'eth1']
403
['back', 'front']
`)
}
