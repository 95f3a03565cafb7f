// Package vfs stores each layer as a whole tree: its parent's, copied, and its
// own changes in it. It is slow and large, works on every file system, and needs
// no root: then owners are not kept and device nodes are left out. It is the
// reference for what other drivers do.
//
// Below Home lie ID/root, the tree, and ID/layer.json, the record. A layer is
// made as .new-ID and removed as .trash-ID; what a killed process left of these
// is removed by New.
package vfs
