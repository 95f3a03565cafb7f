// Package client is how the daemon talks to the supervisor: it finds a running
// one or starts one, and does so again whenever it dies. A call that was on its
// way then is repeated; every operation bears that.
//
// Output and input of a container do not pass through the connection: see Output
// and OpenStdin.
package client
