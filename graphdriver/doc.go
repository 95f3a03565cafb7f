// Package graphdriver is the contract of the drivers that store layers and show
// them as one merged tree, and what every such driver can share: comparing trees
// (NewNaive) and checks of ids and options.
//
// A driver lives in a folder of its own (overlay2, vfs), imports this package
// only, and shows that it keeps the contract with three lines:
//
//	func TestContract(t *testing.T) {
//		graphtest.Run(t, func(home string) (graphdriver.Driver, error) { return mine.New(graphdriver.Options{Home: home}) })
//	}
package graphdriver
