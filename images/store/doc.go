// Package store keeps images on disk: their configs, names and layers.
//
//	ROOT/configs/HEX/config.json  the config as it came; its SHA-256 is HEX and the image's id
//	ROOT/configs/HEX/image.json   names, parent, times
//	ROOT/configs/HEX/origins.json the manifests under which registries have it
//	ROOT/layers/HEX/layer.json    a layer by its chain id: diff id, parent, size, id in the graph driver
//	ROOT/layers/HEX/tar.index     what its tar has beside the files' contents (images/tarsplit),
//	                tar.whole     or all of it, where the files cannot give it back
//	ROOT/inits/HEX.json           the init layer above the layer of that chain id
//	ROOT/tmp                      what is being loaded; emptied by Open
//
// The order of writing is what makes an image that is listed whole, whenever
// the process dies or the power fails: the files of a layer, synced; the layer's
// record; the image's folder, made aside and renamed. Removal goes the other way.
// What a kill leaves in between is owned by no record, and Open removes it: the
// ids of the store's layers in the graph driver begin with "l-" or "i-", and
// layers that a container stands on are spared.
//
// A name is written down with the image that has it. When it moves to another
// image, both may claim it for a moment; the higher sequence number counts.
//
// Damage is kept to where it is: an image whose record or layer cannot be read
// is listed with its Damage, can be removed, and is repaired by loading it again.
//
// Lists are served from an immutable Snapshot and wait for nobody.
package store
