// Package change reads the Dockerfile lines of `import --change` and
// `commit --change`: those instructions that only change an image's config.
//
// Each line is one instruction, as `ENV A=b` or `CMD ["sh"]`. It is a small
// parser of its own: a few instructions, no stages, no variables, no escapes
// over lines; build has the whole language.
package change
