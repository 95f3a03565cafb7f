// Package shm makes the memory that containers share as /dev/shm: a tmpfs of the
// host, where whoever joins finds it without a look into the other's root.
package shm
