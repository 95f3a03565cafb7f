// Package streams brings what containers write to clients, however slow they
// are, and what clients type to containers. It knows outputs, logs and files,
// and no container.
package streams
