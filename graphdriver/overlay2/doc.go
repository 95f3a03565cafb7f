// Package overlay2 stores each layer as a folder and lets the kernel's overlayfs
// show a layer above its parents.
//
// Below Home:
//
//	ID/layer.json  the record: parent, kind, size
//	ID/diff        the layer's own files, whiteouts in overlayfs' form
//	ID/work        overlayfs' scratch folder, for writable layers
//	ID/merged      where the layer is mounted
//	.new-ID        a layer that is being made; renamed to ID when it is whole
//	.trash-ID      a layer that is being removed
//
// Names with a leading dot that a killed process left are removed by New. The
// files of a layer do not depend on its parents, so layers can be filled in any
// order, and Diff and Changes read a layer's own folder only.
package overlay2
