// Package pidfd waits for processes and names them without the dangers of bare
// process numbers: by pidfd in Go's poller, so that no thread waits, and by pid
// together with start time, so that a reused number is noticed.
package pidfd
