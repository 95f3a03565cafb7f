// Package events is the bus on which the nouns tell what happens, and the jobs
// that read it (events) and write it (log).
//
// The last 256 events are kept for those who ask for the past. Publishing never
// waits: who cannot keep up loses the subscription and is told so.
package events
