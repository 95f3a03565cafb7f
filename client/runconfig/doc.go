// Package runconfig turns the flags of `run` and `create` into what the API
// takes: a container's Config, HostConfig and NetworkingConfig.
//
// Flags are bound straight to the fields they set wherever a field holds the
// text as given; the rest is worked out in Finish. Nothing here talks to a
// daemon; files are read where a flag names one (--env-file, --label-file,
// --security-opt seccomp=FILE).
package runconfig
