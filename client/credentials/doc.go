// Package credentials keeps what people log in to registries with: in
// config.json, as docker does, or with a credential helper that it names.
package credentials
