// Package exectest is the conformance suite of exec drivers: every promise of
// execdriver.Driver is a row of it.
//
//	func TestConformance(t *testing.T) {
//		exectest.Run(t, func(t testing.TB, stateDir string) execdriver.Driver { … })
//	}
//
// It also makes root file systems and specs to try drivers with (bundle.go).
package exectest
