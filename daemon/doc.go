// Package daemon boots `engine -d`: it reads flags and the configuration file,
// locks the data root, makes the engine, lets builtins plug everything in,
// serves the API, and shuts down on a signal.
//
// The flags are dockerd's, classic short forms included; the configuration
// file has dockerd's keys. A key that is given both as a flag and in the file
// is an error, and so is an unknown one.
package daemon
