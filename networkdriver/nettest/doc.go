// Package nettest is the conformance suite of network drivers.
//
//	func TestDriver(t *testing.T) {
//		nettest.Run(t, func(t *testing.T) networkdriver.Driver { … })
//	}
//
// Each promise of the contract is a row. Rows that look into the kernel run on a thread
// with a network namespace of its own, which stands for a host, and are skipped without root
// or for drivers that connect nothing.
package nettest
