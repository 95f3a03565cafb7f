package server

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/api/types/system"
)

// infoFor gives the state of the engine in a version's shape.
func infoFor(v apiVersion, info *system.Info) any {
	if !v.before(50) {
		return info
	}
	old := infoBefore50{Info: info, RegistryConfig: info.RegistryConfig, BridgeNfIptables: true, BridgeNfIp6tables: true}
	if v.before(42) {
		old.KernelMemory = new(bool)
		*old.KernelMemory = info.MemoryLimit && info.CgroupVersion == "1"
		old.KernelMemoryTCP = old.KernelMemory
	}
	if !v.before(44) {
		old.CDISpecDirs = &info.CDISpecDirs
	}
	old.ContainerdCommit = &commitBefore50{ID: info.ContainerdCommit.ID}
	old.RuncCommit = &commitBefore50{ID: info.RuncCommit.ID}
	old.InitCommit = &commitBefore50{ID: info.InitCommit.ID}
	if v.before(49) {
		old.RegistryConfig = &registryBefore49{ServiceConfig: info.RegistryConfig}
		for _, c := range []*commitBefore50{old.ContainerdCommit, old.RuncCommit, old.InitCommit} {
			c.Expected = &c.ID
		}
	}
	return old
}

// infoBefore50 says that bridges are filtered, or old clients would warn of a
// thing that we do not depend on.
type infoBefore50 struct {
	*system.Info
	BridgeNfIptables  bool
	BridgeNfIp6tables bool
	KernelMemory      *bool     `json:",omitempty"`
	KernelMemoryTCP   *bool     `json:",omitempty"`
	CDISpecDirs       *[]string `json:",omitempty"` // since 1.44
	RegistryConfig    any       `json:",omitempty"`
	ContainerdCommit  *commitBefore50
	RuncCommit        *commitBefore50
	InitCommit        *commitBefore50
}

// registryBefore49 lists what nobody may push.
type registryBefore49 struct {
	*registry.ServiceConfig
	AllowNondistributableArtifactsCIDRs     []string
	AllowNondistributableArtifactsHostnames []string
}

// commitBefore50 has what was expected too before 1.49.
type commitBefore50 struct {
	ID       string
	Expected *string `json:",omitempty"`
}

// eventsFor makes the lines of the events job what a version and content type want.
func eventsFor(v apiVersion, kind string, w io.Writer) io.Writer {
	switch {
	case v.before(52):
		return &lines{each: func(line []byte) error { return writeLegacyEvent(w, line) }}
	case kind == "application/json-seq":
		return &lines{each: func(line []byte) error {
			record := append([]byte{0x1e}, line...) // RFC 7464: a record separator before each
			_, err := w.Write(append(record, '\n'))
			return err
		}}
	}
	return w
}

// legacyEvent repeats action and actor in the fields of before 1.22.
type legacyEvent struct {
	Status string `json:"status,omitempty"`
	ID     string `json:"id,omitempty"`
	From   string `json:"from,omitempty"`
	events.Message
}

func writeLegacyEvent(w io.Writer, line []byte) error {
	var e legacyEvent
	if err := json.Unmarshal(line, &e.Message); err != nil {
		return err
	}
	switch e.Type {
	case events.ContainerEventType:
		e.Status, e.ID, e.From = string(e.Action), e.Actor.ID, e.Actor.Attributes["image"]
	case events.ImageEventType:
		e.Status, e.ID = string(e.Action), e.Actor.ID
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return err
	}
	_, err := w.Write(buf.Bytes())
	return err
}
