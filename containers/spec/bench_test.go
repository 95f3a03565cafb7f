package spec

import (
	"encoding/json"
	"testing"
)

// What a start pays for its spec: it must stay far below a millisecond or two.
func BenchmarkSpecWithTheDefaultFilter(b *testing.B) {
	in := plain()
	in.Host.Seccomp = true
	for b.Loop() {
		s, err := Make(in)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := json.Marshal(s); err != nil {
			b.Fatal(err)
		}
	}
}
