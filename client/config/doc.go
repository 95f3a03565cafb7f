// Package config reads what a user keeps for the CLI: docker's config.json and
// docker's contexts, as they are.
package config
