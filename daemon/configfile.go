package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sort"
	"strings"

	"github.com/spf13/pflag"
)

// maxConfigFile bounds what is read of a configuration file.
const maxConfigFile = 1 << 20

// renamedKeys are the keys whose flag has another name: those that may be
// given more than once are in the plural in the file.
var renamedKeys = map[string]string{
	"hosts": "host", "labels": "label", "storage-opts": "storage-opt",
	"exec-opts": "exec-opt", "runtimes": "add-runtime", "log-opts": "log-opt",
	"dns-opts": "dns-opt", "host-gateway-ips": "host-gateway-ip",
	"default-ulimits": "default-ulimit", "insecure-registries": "insecure-registry", "registry-mirrors": "registry-mirror", "mirrors": "mirror", "default-address-pools": "default-address-pool",
}

// flagOnly are flags that make no sense in a file.
var flagOnly = []string{"daemon", "help", "version", "config-file", "validate", "graph", "host", "label", "storage-opt", "exec-opt", "log-opt", "add-runtime", "dns-opt", "default-ulimit", "default-address-pool", "insecure-registry", "registry-mirror", "mirror"}

// laterKeys are dockerd's keys that this version has nothing for yet. Taking
// them in silence would be a lie, some of them a dangerous one.
var laterKeys = strings.Fields(`allow-direct-routing authorization-plugins bip6 builder cdi-spec-dirs
	containerd containerd-namespace containerd-plugins-namespace
	default-gateway default-gateway-v6 default-network-opts
	experimental features firewall-backend
	ip-forward-no-drop ip6tables iptables
	metrics-addr node-generic-resources nri-opts
	proxies raw-logs swarm-default-advertise-addr
	userland-proxy userland-proxy-path`)

// readConfigFile sets the flags that the file has keys for. A file that is
// absent is an error only if the user named it.
func readConfigFile(path string, flags *pflag.FlagSet) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !flags.Changed("config-file") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("unable to configure the daemon with file %s: %w", path, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err == nil && len(text) > maxConfigFile {
		err = errors.New("it is larger than 1 MiB")
	}
	if err == nil {
		err = applyConfig(text, flags)
	}
	if err != nil {
		return fmt.Errorf("unable to configure the daemon with file %s: %w", path, err)
	}
	return nil
}

func applyConfig(text []byte, flags *pflag.FlagSet) error {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	keys, values, err := objectOf(text)
	if err != nil {
		return err
	}
	var unknown, later, twice []string
	for _, key := range keys {
		name := key
		if renamed, ok := renamedKeys[key]; ok {
			name = renamed
		} else if slices.Contains(flagOnly, key) {
			unknown = append(unknown, key)
			continue
		}
		flag := flags.Lookup(name)
		switch {
		case flag == nil && slices.Contains(laterKeys, key):
			later = append(later, key)
		case flag == nil:
			unknown = append(unknown, key)
		case flag.Changed && key != "runtimes": // those add up
			twice = append(twice, fmt.Sprintf("%s: (from flag: %s, from file: %s)", key, flag.Value, values[key]))
		}
	}
	sort.Strings(unknown)
	switch {
	case len(unknown) > 0:
		return fmt.Errorf("the following directives don't match any configuration option: %s", strings.Join(unknown, ", "))
	case len(later) > 0:
		return fmt.Errorf("the following directives are not supported by this version of engine yet: %s", strings.Join(later, ", "))
	case len(twice) > 0:
		return fmt.Errorf("the following directives are specified both as a flag and in the configuration file: %s", strings.Join(twice, ", "))
	}
	for _, key := range keys {
		name := key
		if renamed, ok := renamedKeys[key]; ok {
			name = renamed
		}
		if err := setFlag(flags, name, values[key]); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// objectOf splits a JSON object into its keys, in order, and their values. A
// key that stands there twice is an error: one of the two would be lost.
func objectOf(text []byte) ([]string, map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, nil, fmt.Errorf("it is not a JSON object%s", because(err))
	}
	var keys []string
	values := map[string]json.RawMessage{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, nil, err
		}
		key := tok.(string)
		if _, ok := values[key]; ok {
			return nil, nil, fmt.Errorf("%s: the key is there twice", key)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", key, err)
		}
		keys, values[key] = append(keys, key), value
	}
	if _, err := dec.Token(); err != nil {
		return nil, nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("there is something after the JSON object")
	}
	return keys, values, nil
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// setFlag gives a flag the value of a key: lists set it once for each item,
// objects once for each KEY=VALUE.
func setFlag(flags *pflag.FlagSet, name string, value json.RawMessage) error {
	if whole, ok := flags.Lookup(name).Value.(interface{ SetJSON([]byte) error }); ok {
		return whole.SetJSON(value)
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return err
	}
	kind := flags.Lookup(name).Value.Type()
	switch v := v.(type) {
	case bool:
		if kind == "bool" {
			return flags.Set(name, fmt.Sprint(v))
		}
	case json.Number:
		if kind == "int" || kind == "int64" || kind == "bytes" {
			return flags.Set(name, v.String())
		}
	case string:
		if kind == "string" || kind == "bytes" {
			return flags.Set(name, v)
		}
	case []any:
		if kind == "stringArray" {
			for _, item := range v {
				s, ok := item.(string)
				if !ok {
					return fmt.Errorf("%v is not a string", item)
				}
				if err := flags.Set(name, s); err != nil {
					return err
				}
			}
			return nil
		}
	case map[string]any:
		if kind == "stringToString" {
			for key, item := range v {
				s, ok := item.(string)
				if !ok {
					return fmt.Errorf("%s: %v is not a string", key, item)
				}
				if err := flags.Set(name, key+"="+s); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return fmt.Errorf("%s is not of the type %s", value, kind)
}
