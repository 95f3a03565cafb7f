package builtins

import (
	"fmt"
	"strings"
)

// Registry is an explicit list of things by name, in the order of their adding.
type Registry[T any] struct {
	what  string
	names []string
	items map[string]T
}

func newRegistry[T any](what string) *Registry[T] {
	return &Registry[T]{what: what, items: map[string]T{}}
}

// Add puts a thing on the list. It panics if the name is taken: see Replace.
func (r *Registry[T]) Add(name string, item T) {
	if _, ok := r.items[name]; ok {
		panic(fmt.Sprintf("builtins: %s %q is there already", r.what, name))
	}
	r.names = append(r.names, name)
	r.items[name] = item
}

// Replace puts a thing in the place of another. It panics if there is none.
func (r *Registry[T]) Replace(name string, item T) {
	if _, ok := r.items[name]; !ok {
		panic(fmt.Sprintf("builtins: there is no %s %q to replace", r.what, name))
	}
	r.items[name] = item
}

// Names lists the names in the order of their adding.
func (r *Registry[T]) Names() []string { return append([]string(nil), r.names...) }

// Get finds a thing by name; the error lists the names there are.
func (r *Registry[T]) Get(name string) (T, error) {
	item, ok := r.items[name]
	if !ok {
		return item, fmt.Errorf("unknown %s %q: there are %s", r.what, name, strings.Join(r.names, ", "))
	}
	return item, nil
}
