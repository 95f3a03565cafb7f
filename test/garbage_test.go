//go:build system

package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// genuine is a request that makes sense; garbage is made of it.
type genuine struct {
	method, path string
	query        map[string]string
	body         string // JSON, or ""
}

var genuines = []genuine{
	{"GET", "/_ping", nil, ""},
	{"GET", "/version", nil, ""},
	{"GET", "/info", nil, ""},
	{"GET", "/events", map[string]string{"since": "1", "until": "2", "filters": `{"type":["container"]}`}, ""},
	{"GET", "/containers/json", map[string]string{"all": "1", "limit": "5", "size": "1", "filters": `{"status":["exited"],"label":["a=b"]}`}, ""},
	{"POST", "/containers/create", map[string]string{"name": "made", "platform": "linux/amd64"}, `{"Image":"busybox","Cmd":["sleep","1"],"Entrypoint":["sh","-c"],
		"Env":["A=b"],"User":"0:0","WorkingDir":"/","Hostname":"h","Domainname":"d","Tty":true,"OpenStdin":true,"StdinOnce":true,"AttachStdout":true,"StopSignal":"TERM","StopTimeout":3,
		"Labels":{"a":"b"},"ExposedPorts":{"80/tcp":{}},"Volumes":{},"Healthcheck":{"Test":["CMD","true"],"Interval":1000000000,"Retries":3},
		"HostConfig":{"Memory":67108864,"MemorySwap":134217728,"MemoryReservation":0,"NanoCpus":500000000,"CpuShares":512,"CpusetCpus":"0","PidsLimit":50,"OomKillDisable":false,"ShmSize":1048576,
		"Binds":["/tmp:/mnt:ro"],"Mounts":[{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":4096,"Mode":511}}],"Tmpfs":{"/x":"size=1m"},
		"CapAdd":["NET_ADMIN"],"CapDrop":["ALL"],"SecurityOpt":["no-new-privileges"],"Ulimits":[{"Name":"nofile","Soft":64,"Hard":64}],"Sysctls":{"net.ipv4.ip_forward":"1"},
		"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":2},"NetworkMode":"none","IpcMode":"private","PidMode":"","UTSMode":"","LogConfig":{"Type":"json-file","Config":{"max-size":"1m"}},
		"Devices":[{"PathOnHost":"/dev/null","PathInContainer":"/dev/n","CgroupPermissions":"r"}],"ExtraHosts":["a:1.2.3.4"],"Dns":["1.1.1.1"],"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"0"}]},
		"ReadonlyRootfs":true,"AutoRemove":false,"OomScoreAdj":10,"GroupAdd":["1"],"CgroupParent":"","Privileged":false},
		"NetworkingConfig":{"EndpointsConfig":{"none":{"Aliases":[],"IPAMConfig":null}}}}`},
	{"GET", "/containers/web/json", map[string]string{"size": "1"}, ""},
	{"GET", "/containers/web/top", map[string]string{"ps_args": "-ef"}, ""},
	{"GET", "/containers/web/logs", map[string]string{"stdout": "1", "stderr": "1", "follow": "0", "tail": "10", "since": "1", "until": "9999999999", "timestamps": "1", "details": "1"}, ""},
	{"GET", "/containers/web/changes", nil, ""},
	{"POST", "/containers/old/start", map[string]string{"detachKeys": "ctrl-a"}, ""},
	{"POST", "/containers/old/stop", map[string]string{"t": "0", "signal": "KILL"}, ""},
	{"POST", "/containers/old/restart", map[string]string{"t": "0"}, ""},
	{"POST", "/containers/old/kill", map[string]string{"signal": "9"}, ""},
	{"POST", "/containers/web/pause", nil, ""},
	{"POST", "/containers/web/unpause", nil, ""},
	{"POST", "/containers/old/rename", map[string]string{"name": "renamed"}, ""},
	{"POST", "/containers/web/resize", map[string]string{"h": "20", "w": "60"}, ""},
	{"POST", "/containers/old/wait", map[string]string{"condition": "not-running"}, ""},
	{"POST", "/containers/web/attach", map[string]string{"stream": "1", "stdout": "1", "logs": "1", "detachKeys": "ctrl-x"}, ""},
	{"POST", "/containers/web/update", nil, `{"Memory":67108864,"RestartPolicy":{"Name":"no"}}`},
	{"POST", "/containers/prune", map[string]string{"filters": `{"label":["none"]}`}, ""},
	{"POST", "/containers/web/exec", nil, `{"Cmd":["true"],"Env":["A=b"],"User":"0","WorkingDir":"/","Tty":false,"AttachStdout":true,"DetachKeys":"ctrl-p,ctrl-q","ConsoleSize":[20,60],"Privileged":false}`},
	{"POST", "/exec/EXEC/start", nil, `{"Detach":true,"Tty":false,"ConsoleSize":[20,60]}`},
	{"POST", "/exec/EXEC/resize", map[string]string{"h": "20", "w": "60"}, ""},
	{"GET", "/exec/EXEC/json", nil, ""},
	{"DELETE", "/containers/old", map[string]string{"force": "1", "v": "1", "link": "0"}, ""},
	{"POST", "/commit", map[string]string{"container": "old", "repo": "made", "tag": "x", "changes": "CMD true", "pause": "1"}, `{"Cmd":["true"],"Labels":{"a":"b"}}`},
	{"GET", "/images/json", map[string]string{"all": "1", "digests": "1", "filters": `{"reference":["busybox"],"dangling":["false"]}`}, ""},
	{"POST", "/images/create", map[string]string{"fromImage": "nowhere.invalid/x", "tag": "y", "platform": "linux/amd64"}, ""},
	{"POST", "/images/create", map[string]string{"fromSrc": "-", "repo": "made", "tag": "y", "changes": "ENV A=b"}, "no tar"},
	{"POST", "/images/load", map[string]string{"quiet": "1"}, "no tar"},
	{"GET", "/images/busybox/json", nil, ""},
	{"GET", "/images/busybox/history", nil, ""},
	{"GET", "/images/busybox/get", nil, ""},
	{"POST", "/images/busybox/tag", map[string]string{"repo": "made", "tag": "z"}, ""},
	{"DELETE", "/images/made:z", map[string]string{"force": "1", "noprune": "1"}, ""},
	{"POST", "/images/prune", map[string]string{"filters": `{"dangling":["true"]}`}, ""},
	{"GET", "/networks", map[string]string{"filters": `{"driver":["null"]}`}, ""},
	{"GET", "/networks/none", map[string]string{"verbose": "1", "scope": "local"}, ""},
	{"POST", "/networks/create", nil, `{"Name":"n","Driver":"bridge","IPAM":{"Config":[{"Subnet":"10.9.0.0/24"}]}}`},
	{"GET", "/volumes", map[string]string{"filters": `{"dangling":["true"]}`}, ""},
	{"POST", "/volumes/create", nil, `{"Name":"v","Driver":"local","DriverOpts":{},"Labels":{}}`},
	{"POST", "/auth", nil, `{"username":"a","password":"b","serveraddress":"nowhere.invalid"}`},
	{"POST", "/build", map[string]string{"t": "x", "buildargs": "{}"}, "no tar"},
	{"GET", "/jobs", nil, ""},
	{"POST", "/jobs/container_inspect", map[string]string{"arg": "web", "env": "Size=1"}, ""},
	{"GET", "/swarm", nil, ""},
}

// garbler makes garbage of genuine requests. Equal seeds make equal garbage.
type garbler struct{ *rand.Rand }

var oddities = []string{
	"", " ", "0", "-1", "1", "true", "null", "NaN", "1e400", "18446744073709551616", "-9223372036854775809", "3.5", "..", "/", "../../etc/passwd", "a/b/c", "\x00", "\n", "\x1b[2J", "‮", "é", "\xff\xfe",
	"{}", "[]", `{"a":`, "%s%n", "web", "busybox", "sha256:", "sha256:zz", ":", "@", "a:b:c", "A B", "'", `"`, "\\", "host", "container:web", "container:", "ctrl-", "KILL", "SIGNOPE", "65", "1.2.3.4", "::1", "80/tcp", "1-0/udp",
	strings.Repeat("x", 300), strings.Repeat("y/", 3000),
}

func pick[T any](g garbler, from []T) T { return from[g.IntN(len(from))] }

// value is any JSON value.
func (g garbler) value(depth int) any {
	switch n := g.IntN(10); {
	case n == 0:
		return nil
	case n == 1:
		return g.IntN(2) == 0
	case n == 2:
		return json.Number(pick(g, []string{"0", "-1", "1", "2147483648", "9223372036854775807", "18446744073709551616", "1e308", "-0.5", "1e-7"}))
	case n == 3 && depth < 3:
		return []any{g.value(depth + 1), g.value(depth + 1)}
	case n == 4 && depth < 3:
		return map[string]any{pick(g, oddities): g.value(depth + 1), "a": g.value(depth + 1)}
	case n == 5:
		return []any{}
	case n == 6:
		return map[string]any{}
	}
	return pick(g, oddities)
}

// mutate changes something in a JSON value.
func (g garbler) mutate(v any) any {
	if g.IntN(4) == 0 {
		return g.value(0)
	}
	switch v := v.(type) {
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		if len(keys) == 0 {
			return g.value(0)
		}
		k := pick(g, keys)
		switch g.IntN(8) {
		case 0:
			delete(v, k)
		case 1:
			v[strings.ToLower(k)] = g.value(0)
		case 2:
			v[pick(g, oddities)] = g.value(0)
		default:
			v[k] = g.mutate(v[k])
		}
		return v
	case []any:
		if len(v) == 0 {
			return []any{g.value(0)}
		}
		i := g.IntN(len(v))
		v[i] = g.mutate(v[i])
		if g.IntN(4) == 0 {
			v = append(v, v[i])
		}
		return v
	}
	return g.value(0)
}

func (g garbler) body(text string) string {
	var v any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if text == "" || d.Decode(&v) != nil {
		if g.IntN(3) > 0 {
			return text
		}
		v = g.value(0)
	}
	for range g.IntN(4) {
		v = g.mutate(v)
	}
	out, err := json.Marshal(v)
	if err != nil {
		return text
	}
	s := string(out)
	switch g.IntN(20) {
	case 0:
		s = s[:g.IntN(len(s)+1)]
	case 1:
		s += s
	case 2:
		b := []byte(s)
		for range 1 + g.IntN(5) {
			if len(b) > 0 {
				b[g.IntN(len(b))] = byte(g.IntN(256))
			}
		}
		s = string(b)
	case 3:
		s = strings.Repeat("[", 20000)
	case 4:
		s = strings.Repeat(`{"a":`, 20000)
	case 5:
		s = `{"Image":"` + strings.Repeat("a", 1<<20) + `"}`
	}
	return s
}

// request makes one request as it goes over the wire.
func (g garbler) request(exec string) (line, text string) {
	q := pick(g, genuines)
	path := strings.ReplaceAll(q.path, "EXEC", exec)
	method, version := q.method, pick(g, []string{"/v1.41", "/v1.41", "/v1.41", "/v1.24", "/v1.44", "/v1.52", ""})
	if g.IntN(30) == 0 {
		version = pick(g, []string{"/v0", "/v1.999", "/v1.", "/v1.2.3", "/vx", "//", "/v-1.41"})
	}
	if g.IntN(20) == 0 {
		method = pick(g, []string{"GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "BREW"})
	}
	if g.IntN(6) == 0 {
		parts := strings.Split(path, "/")
		parts[1+g.IntN(len(parts)-1)] = url.PathEscape(pick(g, oddities))
		path = strings.Join(parts, "/")
	}
	var words []string
	for _, k := range slices.Sorted(maps.Keys(q.query)) {
		v := q.query[k]
		switch g.IntN(6) {
		case 0:
			v = pick(g, oddities)
		case 1:
			continue
		case 2:
			words = append(words, k+"="+url.QueryEscape(pick(g, oddities)))
		case 3:
			if strings.HasPrefix(v, "{") {
				v = g.body(v)
			}
		}
		words = append(words, k+"="+url.QueryEscape(v))
	}
	if g.IntN(20) == 0 {
		words = append(words, pick(g, []string{"%zz", "=", "&&", "a;b", "\xff"}))
	}
	target := version + path
	if len(words) > 0 {
		target += "?" + strings.Join(words, "&")
	}
	body := g.body(q.body)
	kind := "application/json"
	switch g.IntN(12) {
	case 0:
		kind = pick(g, []string{"", "text/plain", "application/x-tar", "application/json; charset=\xff", "multipart/form-data"})
	case 1:
		kind = "application/json;charset=utf-8"
	}
	headers := []string{"Host: localhost", "Connection: close"}
	if kind != "" {
		headers = append(headers, "Content-Type: "+kind)
	}
	switch g.IntN(15) {
	case 0:
		headers = append(headers, "X-Registry-Auth: "+pick(g, []string{"e30=", "bnVsbA==", "!!!", strings.Repeat("A", 5000)}))
	case 1:
		headers[1] = "Connection: Upgrade"
		headers = append(headers, "Upgrade: "+pick(g, []string{"tcp", "h2c", "websocket", "\xff"}))
	case 2:
		headers = append(headers, "Expect: 100-continue")
	case 3:
		headers = append(headers, "X-"+strings.Repeat("y", g.IntN(3000))+": z")
	}
	switch g.IntN(25) {
	case 0:
		headers = append(headers, "Transfer-Encoding: chunked")
		body = pick(g, []string{"0\r\n\r\n", "zz\r\n", "5\r\nabc", "ffffffffffffffff\r\n"})
	case 1:
		headers = append(headers, "Content-Length: "+pick(g, []string{"-1", "99999999999999999999", "x", "3"}))
	default:
		headers = append(headers, fmt.Sprint("Content-Length: ", len(body)))
	}
	line = method + " " + target + " HTTP/1.1"
	return line, line + "\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n" + body
}

// TestTortureGarbage sends mutated requests to every route. None may be answered
// by a 500, bring down the daemon, or leave it with more than it had.
func TestTortureGarbage(t *testing.T) {
	e := startTicking(t)
	g := garbler{dice(t)}
	body := func() { // what the requests are about, as long as they leave it
		var list []struct{ ID string }
		assert.NilError(t, e.JSON("GET", "/containers/json?all=1", nil, &list))
		for _, c := range list {
			_, _, _, err := e.Do("DELETE", "/containers/"+c.ID+"?force=1", nil)
			assert.NilError(t, err)
		}
		if code, _, _, err := e.Do("GET", "/images/busybox/json", nil); err != nil || code != 200 {
			e.load()
		}
		e.run("busybox", "web", []string{"sleep", "1000"})
		e.run("busybox", "old", []string{"true"})
	}
	pid := e.Pid()
	counts := map[string]int{}
	bad := map[string]string{}
	round := func(n int) {
		for i := range n {
			if i%200 == 0 {
				body()
			}
			exec := "none"
			if code, text, _, _ := e.Do("POST", "/containers/web/exec", `{"Cmd":["true"]}`); code == 201 && i%5 == 0 {
				exec = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(text), `{"Id":"`), `"}`)
			}
			line, text := g.request(exec)
			status, answer := e.throw(text)
			counts[status[:min(1, len(status))]]++
			// A registry that cannot be reached is 500, with the words of who tried.
			unreachable := strings.Contains(answer, `"message":"Get \"https://`)
			if strings.HasPrefix(status, "5") && status != "501" && status != "503" && !unreachable {
				bad[line[:min(120, len(line))]] = status + " " + answer
			}
		}
	}
	round(200)
	body()
	goroutines, before := e.goroutines(), e.settled(idle)
	round(size(2000, 10000))
	body()
	t.Logf("answers by first digit: %v", counts)
	for line, answer := range bad {
		t.Errorf("%q: %.300q", line, answer)
	}
	assert.Equal(t, e.Pid(), pid)
	select {
	case <-e.Done():
		t.Fatal("the daemon has ended")
	default:
	}
	assert.Assert(t, !strings.Contains(e.Log(), "panic"), "%s", around(e.Log(), "panic"))
	e.back("after the garbage", goroutines, before)
	after := e.use()
	assert.Assert(t, after.rssKB <= before.rssKB+40<<10, "memory in kB: %d, then %d", before.rssKB, after.rssKB)
}

// around gives the lines of a log where a word is.
func around(log, word string) string {
	i := strings.Index(log, word)
	if i < 0 {
		return ""
	}
	return log[max(0, i-500):min(len(log), i+2000)]
}

// throw sends bytes and gives the status that comes back, "held" when the
// answer has not begun in time and "cut" when there is none.
func (e *engine) throw(text string) (status, answer string) {
	e.t.Helper()
	c, err := net.Dial("unix", e.Socket)
	assert.NilError(e.t, err, "the daemon does not take connections")
	defer c.Close()
	c.SetDeadline(time.Now().Add(3 * time.Second))
	go c.Write([]byte(text))
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		return "held", ""
	} else if err != nil {
		return "cut", ""
	}
	f := strings.Fields(line)
	if len(f) < 2 {
		return "cut", line
	}
	if !strings.HasPrefix(f[1], "5") {
		return f[1], ""
	}
	rest := make([]byte, 1000)
	n, _ := r.Read(rest)
	_, text, _ = strings.Cut(string(rest[:n]), "\r\n\r\n")
	return f[1], text
}
