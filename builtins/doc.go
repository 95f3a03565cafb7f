// Package builtins is the list of what is plugged into the engine: drivers,
// nouns with their jobs, and how the nouns are connected.
//
// A third party's own main starts from this list and extends it:
//
//	set := builtins.Default()
//	set.Graph.Add("mine", mine.New)
//	set.Jobs.Add("hello", func(eng *engine.Engine) { Hello.Register(eng, hello) })
//
// and goes on as our main.go does. See docs/examples.
package builtins
