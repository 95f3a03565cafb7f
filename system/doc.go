// Package system is the noun of the engine as a whole: the jobs version and info.
package system
