// Package graphtest checks that a graph driver keeps the contract of package
// graphdriver. Each promise is a row with the sentence that says why it counts.
//
//	func TestContract(t *testing.T) {
//		graphtest.Run(t, func(home string) (graphdriver.Driver, error) {
//			return mine.New(graphdriver.Options{Home: home})
//		})
//	}
//
// Rows that need root are skipped without it. Every row gets a home of its own
// below t.TempDir, and must leave no mount there.
package graphtest
