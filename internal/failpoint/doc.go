// Package failpoint has named points in the program at which a test makes it die,
// fail or pause. They exist with the build tag failpoints only; without it Hit is
// nothing, and no symbol of this package is in the program.
//
//	ENGINE_FAILPOINTS='containers.create.layer=die,containers.start.step=fail@3'
//
// Actions: die (SIGKILL to the own process), fail (Hit gives an error), pause (two
// seconds). ENGINE_FAILPOINTS_DONE names a folder where it is noted that a point has
// acted, so that the successors of a process that died act no more. @N waits for the N-th time that the point is reached; 1 unless told.
package failpoint
