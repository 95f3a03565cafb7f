package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/jobengine/engine/"

// A rule says what the packages of a folder may import of ours, and why.
// Everything may import internal/... packages and its own folder, unless leaf
// is set. forbid names packages of others that must stay out.
type rule struct {
	may    []string
	leaf   bool
	forbid []string
	why    string
}

const mobyAPI = "github.com/moby/moby/api"

// rules maps a folder to its rule; the longest matching folder counts.
var rules = map[string]rule{
	"": {may: []string{"builtins", "client", "daemon"},
		why: "main.go tells the boot story and nothing else"},
	"engine": {leaf: true, forbid: []string{mobyAPI},
		why: "the kernel knows nothing of containers"},
	"jobs": {may: []string{"engine"},
		why: "the catalogue holds contracts, no code"},
	"daemon": {may: []string{"engine", "jobs", "builtins"},
		why: "flags and boot order; what is plugged in is builtins' to say"},
	"builtins": {may: []string{"*", "!client", "!daemon"},
		why: "the one place that knows all the parts and connects them"},
	"builtins/supervised": {may: []string{"execdriver", "supervisor"}, forbid: []string{mobyAPI},
		why: "the supervisor is small: exec drivers and nothing more"},
	"cmd/engine-supervisor": {may: []string{"builtins/supervised", "supervisor"}, forbid: []string{mobyAPI},
		why: "the small program is what every container start pays for"},
	"cmd/engine-init": {may: nil, leaf: true, why: "a program in C and its tests"},
	"server": {may: []string{"engine", "jobs"},
		why: "HTTP becomes jobs; a server that knows a noun can not be replaced"},
	"client": {why: "the client knows the HTTP API only"},
	"containers": {may: []string{"engine", "jobs", "graphdriver", "logs/driver"},
		why: "nouns meet through needs.go, not through imports"},
	"containers/etc": {may: []string{"containers/request", "containers/resolvconf"},
		why: "files of /etc are made of what they are told, not of containers"},
	"containers/show": {may: []string{"jobs", "containers/state"},
		why: "what is shown is made of a snapshot; it starts and asks nothing"},
	"containers/logspec": {may: []string{"containers/runtime", "containers/state"},
		why: "what the options of a log say is read from a snapshot"},
	"containers/state": {may: []string{"containers/record"}, leaf: true,
		why: "a snapshot is data"},
	"images":           {may: []string{"engine", "jobs", "graphdriver"}, why: "nouns meet through needs.go"},
	"networks":         {may: []string{"engine", "jobs", "networkdriver"}, why: "nouns meet through needs.go"},
	"networks/forward": {leaf: true, why: "the relay carries bytes; what a port means it is told"},
	"networks/dns": {forbid: []string{mobyAPI},
		why: "a resolver knows names and addresses; what a container or a network is stays outside"},
	"volumes": {may: []string{"engine", "jobs"}, why: "nouns meet through needs.go"},
	"system":  {may: []string{"engine", "jobs"}, why: "nouns meet through needs.go"},
	"events":  {may: []string{"engine", "jobs"}, why: "nouns meet through needs.go"},
	"supervisor": {may: []string{"execdriver", "logs/jsonfile"}, forbid: []string{mobyAPI},
		why: "the parent of all containers stays tiny; the spool is the json-file log itself"},
	"execdriver":    {may: nil, forbid: []string{mobyAPI}, why: "a driver knows its contract"},
	"graphdriver":   {may: nil, forbid: []string{mobyAPI}, why: "a driver knows its contract"},
	"networkdriver": {may: nil, forbid: []string{mobyAPI}, why: "a driver knows its contract"},
	"logs":          {may: nil, forbid: []string{mobyAPI}, why: "a driver knows its contract"},
	"internal":      {leaf: true, why: "leaves import leaves"},
	"test":          {may: []string{"*"}, why: "tests look at everything"},
	"bench":         {may: []string{"*"}, why: "benchmarks look at everything"},
	"docs":          {may: []string{"*"}, why: "examples show third parties' code"},
	"scripts":       {may: nil, why: "scripts stand alone"},
}

func TestImportsFollowTheArchitecture(t *testing.T) {
	checked := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "testdata" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder := filepath.ToSlash(filepath.Dir(path))
		if folder == "." {
			folder = ""
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if broken := violates(folder, imported); broken != "" {
				t.Errorf("%s imports %s: %s", path, imported, broken)
			}
			checked++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 100 {
		t.Errorf("only %d imports were looked at: the walk is broken", checked)
	}
}

// violates gives the reason why folder may not import a package, or "".
func violates(folder, imported string) string {
	home, r, ok := ruleFor(folder)
	if !ok {
		return "there is no rule for folder " + folder
	}
	for _, f := range r.forbid {
		if imported == f || strings.HasPrefix(imported, f+"/") {
			return r.why
		}
	}
	ours, isOurs := strings.CutPrefix(imported, module)
	if !isOurs {
		return ""
	}
	if within(ours, home) && home != "" {
		return siblings(folder, ours, home)
	}
	if within(ours, "internal") && !r.leaf {
		return ""
	}
	allowed := false
	for _, may := range r.may {
		if not, ok := strings.CutPrefix(may, "!"); ok {
			if within(ours, not) {
				return r.why
			}
		} else if may == "*" || ours == may || within(ours, may) && (may == "builtins" || may == "supervisor") {
			allowed = true
		} else if home == "builtins/supervised" && within(ours, may) {
			allowed = true // the list of drivers imports the drivers
		}
	}
	if !allowed {
		return r.why
	}
	return ""
}

// siblings keeps the drivers of a family apart: graphdriver/vfs may import
// graphdriver, but not graphdriver/overlay2. Suites and the contract are for all.
func siblings(folder, ours, home string) string {
	switch home {
	case "execdriver", "graphdriver", "networkdriver", "logs":
	default:
		return ""
	}
	contract := home
	if home == "logs" {
		contract = "logs/driver"
	}
	if ours == contract || within(ours, folder) || strings.HasSuffix(ours, "test") {
		return ""
	}
	return "drivers of a family do not know each other"
}

func ruleFor(folder string) (string, rule, bool) {
	for f := folder; ; {
		if r, ok := rules[f]; ok && (f != "" || folder == "") {
			return f, r, true
		}
		cut := strings.LastIndexByte(f, '/')
		if cut < 0 {
			return "", rule{}, false
		}
		f = f[:cut]
	}
}

func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

func TestTheImportRulesBite(t *testing.T) {
	for _, c := range []struct {
		folder, imported string
		ok               bool
	}{
		{"engine", module + "jobs", false},
		{"engine", mobyAPI + "/types/container", false},
		{"jobs", module + "engine", true},
		{"containers", module + "images", false},
		{"containers", module + "internal/errs", true},
		{"graphdriver/vfs", module + "graphdriver", true},
		{"graphdriver/vfs", module + "graphdriver/overlay2", false},
		{"graphdriver/overlay2", module + "internal/archive", true},
		{"supervisor/client", module + "supervisor/protocol", true},
		{"supervisor", mobyAPI + "/types/container", false},
		{"builtins", module + "client", false},
		{"builtins", module + "containers", true},
		{"internal/filters", module + "internal/errs", true},
		{"internal/errs", module + "engine", false},
		{"nowhere", module + "engine", false},
	} {
		if broken := violates(c.folder, c.imported); (broken == "") != c.ok {
			t.Errorf("%s imports %s: allowed=%v, want %v (%s)", c.folder, c.imported, broken == "", c.ok, broken)
		}
	}
}
