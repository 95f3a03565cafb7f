// Package engine is the kernel: it runs named jobs and knows nothing of
// containers.
//
// A job is a verb that someone outside the process could say, modelled on a
// Unix process: it has a name, input, standard streams and a result.
//
//	var Wait = engine.Define[WaitIn, WaitOut]("wait")              // the catalogue, package jobs
//	Wait.Register(eng, c.wait)                                      // the noun that does it
//	out, err := Wait.Run(ctx, eng, WaitIn{Container: "web"})        // whoever wants it done
//
// A Definition is the typed door. The dynamic door, Engine.Job and
// Engine.Call, takes names, arguments and JSON and is meant for scripts and
// third parties.
//
// A context is the only way to stop a job. Errors carry a class of
// github.com/containerd/errdefs.
package engine
