// Package state is a container at one moment, and how that becomes a record and is made of one again.
package state
