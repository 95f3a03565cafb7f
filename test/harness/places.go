package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Root is the top folder of the repository, found from the working folder.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("not inside the repository: no go.mod above the working folder")
		}
		dir = up
	}
}

// EngineBinary is the program under test: $ENGINE_BIN, else bin/engine.
func EngineBinary() (string, error) {
	path := os.Getenv("ENGINE_BIN")
	if path == "" {
		root, err := Root()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, "bin", "engine")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("no engine binary (run `make build`, or set ENGINE_BIN): %w", err)
	}
	return filepath.Abs(path)
}

// CLI is a command line client.
type CLI struct {
	Name string // engine, docker20, docker28 …
	Path string
}

// DockerCLIs lists the docker clients of the machine: Debian's first, then the
// newer one, where present.
func DockerCLIs() []CLI {
	var found []CLI
	for _, c := range []CLI{{"docker20", "/usr/bin/docker"}, {"docker28", "/usr/local/bin/docker"}} {
		if _, err := os.Stat(c.Path); err == nil {
			found = append(found, c)
		}
	}
	return found
}

// EngineCLI is the engine's own client.
func EngineCLI() (CLI, error) {
	path, err := EngineBinary()
	return CLI{Name: "engine", Path: path}, err
}

// CLIs lists all clients to test with: the engine's own and every docker.
func CLIs() ([]CLI, error) {
	own, err := EngineCLI()
	if err != nil {
		return nil, err
	}
	return append([]CLI{own}, DockerCLIs()...), nil
}

// BusyboxArchive writes the busybox image as a docker-archive.
func BusyboxArchive(file, tag string) error { return busybox("archive", file, tag) }

// BusyboxRootfs writes the root filesystem of the busybox image as a tar.
func BusyboxRootfs(file string) error { return busybox("rootfs", file) }

func busybox(args ...string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	out, err := exec.Command(filepath.Join(root, "scripts", "busybox-image.sh"), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make the busybox image: %w: %s", err, out)
	}
	return nil
}
