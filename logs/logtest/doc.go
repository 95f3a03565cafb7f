// Package logtest is the conformance suite of log drivers that can be read.
//
//	logtest.Run(t, logtest.Driver{Open: jsonfile.Open, Create: create})
package logtest
