// Package fake is the reference network driver: networks in memory, which need no root and no kernel. It keeps
// every promise of the contract, and says by Connect who would answer whom.
//
// It is for tests of what uses drivers, and to be read by those who write one.
package fake
