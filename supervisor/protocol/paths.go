package protocol

import "path/filepath"

// Name is the program name under which a supervisor runs: the base of argv[0]
// tells a binary that has several roles to be one.
const Name = "engine-supervisor"

// SocketPath is where the supervisor of an exec root listens.
func SocketPath(execRoot string) string { return filepath.Join(execRoot, "supervisor.sock") }

// ContainersDir has the folders of all containers.
func ContainersDir(execRoot string) string { return filepath.Join(execRoot, "containers") }

// ContainerDir is the folder of a container's run-time files.
func ContainerDir(execRoot, id string) string { return filepath.Join(ContainersDir(execRoot), id) }

// BundleDir is where the daemon puts the OCI bundle of a container.
func BundleDir(execRoot, id string) string {
	return filepath.Join(ContainerDir(execRoot, id), "bundle")
}
