// Package cgroupbound puts a bound on what all containers together may use, by
// limits on the cgroup that is their parent, so that they cannot take from the
// host what it needs to live: a fork bomb in each of them must leave processes
// for the daemon and for whoever comes to help.
package cgroupbound
