package native

import (
	"crypto/sha256"
	"encoding/json"
	"sync"

	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/specconv"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// A profile has some 400 rules. libcontainer writes them as JSON into its state, twice, and
// to the first process of each container and of each exec, where they are read, looked up
// by name and put together again: some 3 ms of processor time. So they are put
// together here, once for each profile, and travel as one rule with a long name, which our
// libseccomp understands (internal/libseccomp, PackRules). Where the
// original libseccomp-golang is linked they travel as they are.

// profiles keeps the last few profiles that were converted, by the hash of their text.
type profiles struct {
	mu   sync.Mutex
	byID map[[sha256.Size]byte]*configs.Seccomp
}

// maxProfiles is more than a host has in use; each takes 2 KB.
const maxProfiles = 32

// convert is specconv.SetupSeccomp, with the rules packed if they can be. The
// result is shared: nobody changes it.
func (p *profiles) convert(profile *specs.LinuxSeccomp) (*configs.Seccomp, error) {
	if profile == nil {
		return nil, nil
	}
	text, err := json.Marshal(profile)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(text)
	p.mu.Lock()
	config, ok := p.byID[id]
	p.mu.Unlock()
	if ok {
		return config, nil
	}
	if config, err = specconv.SetupSeccomp(profile); err != nil || config == nil {
		return config, err
	}
	if small, ok := packRules(config); ok {
		config = small
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.byID) >= maxProfiles || p.byID == nil {
		p.byID = map[[sha256.Size]byte]*configs.Seccomp{}
	}
	p.byID[id] = config
	return config, nil
}
