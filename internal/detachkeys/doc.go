// Package detachkeys reads what a user types at a terminal and notices the keys
// that leave it, such as ctrl-p ctrl-q.
package detachkeys
