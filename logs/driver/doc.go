// Package driver is the contract of log drivers, as far as reading goes. What a
// container writes is always on disk first, in the driver that keeps it
// (json-file); reading, following and forwarding are done by the daemon.
package driver
