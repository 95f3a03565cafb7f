package runconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

// securityOptions checks --security-opt and replaces the name of a seccomp
// profile by its content: the file is the client's, not the daemon's.
// systempaths=unconfined is told apart, since it is not an option of the API
// but two empty lists there.
func securityOptions(given []string) (opts []string, openPaths bool, err error) {
	for _, opt := range given {
		key, value, ok := strings.Cut(opt, "=")
		if !ok && key != "no-new-privileges" {
			key, value, ok = strings.Cut(opt, ":")
		}
		if (!ok || value == "") && key != "no-new-privileges" {
			return nil, false, fmt.Errorf("Invalid --security-opt: %q", opt)
		}
		switch {
		case opt == "systempaths=unconfined":
			openPaths = true
			continue
		case key == "seccomp" && value != "builtin" && value != "unconfined":
			data, err := os.ReadFile(value)
			if err != nil {
				return nil, false, fmt.Errorf("opening seccomp profile (%s) failed: %w", value, err)
			}
			var b bytes.Buffer
			if err := json.Compact(&b, data); err != nil {
				return nil, false, fmt.Errorf("compacting json for seccomp profile (%s) failed: %w", value, err)
			}
			opt = "seccomp=" + b.String()
		}
		opts = append(opts, opt)
	}
	if openPaths && opts == nil {
		opts = []string{} // as docker's client sends it
	}
	return opts, openPaths, nil
}

// checkSysctl lets through what belongs to a namespace of the container.
func checkSysctl(s string) (string, error) {
	name, _, ok := strings.Cut(s, "=")
	if ok && name != "" {
		switch name {
		case "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall",
			"kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced":
			return s, nil
		}
		if strings.HasPrefix(name, "net.") || strings.HasPrefix(name, "fs.mqueue.") {
			return s, nil
		}
	}
	return "", fmt.Errorf("sysctl '%s' is not allowed", s)
}

func storageOptions(given []string) (map[string]string, error) {
	m := map[string]string{}
	for _, s := range given {
		k, v, ok := strings.Cut(s, "=")
		if !ok {
			return nil, errors.New("invalid storage option")
		}
		m[k] = v
	}
	return m, nil
}

func checkAttach(s string) (string, error) {
	switch lower := strings.ToLower(s); lower {
	case "stdin", "stdout", "stderr":
		return lower, nil
	}
	return s, errors.New("valid streams are STDIN, STDOUT and STDERR")
}
