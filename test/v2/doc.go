// Package v2 holds the tests that run in a virtual machine with Debian 12's own
// kernel (6.1), systemd as process 1 and cgroup v2, hybrid or v1: see run.sh,
// which `make test-v2` calls. They drive the installed units with the client.
package v2
