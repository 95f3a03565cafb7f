// Package runtime is the contract between containers and what runs them: the
// supervisor, through builtins, or a stand-in of a test. It holds no code.
package runtime
