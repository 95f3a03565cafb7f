// Package server turns HTTP requests into jobs and what jobs answer into
// responses: the Docker Engine API, versions 1.24 to 1.56.
//
// serve.go is the way of every request: who may ask (guard.go), which version
// (apiversion.go), which handler (routes.go). There is one file of handlers for
// each noun. Shapes that older versions want are made in compat_NOUN.go and
// nowhere else; classes of errors become a status in errors.go and nowhere else.
//
// # Streams
//
// A streaming job calls Open when it has accepted the request. Until then its
// error is the status of the answer; from then on it is told in the stream: as
// the last message of progress, as text on raw streams. Attach and exec take
// the connection away from HTTP (hijack.go).
//
// # The dynamic door
//
//	GET    /jobs          running jobs: [{ID, Name, Job, Caller, Started}]
//	POST   /jobs/NAME     run a job
//	DELETE /jobs/ID       cancel a running one: 204
//
// A job run by name gets its input either from the query, arg=… for arguments
// in order and env=FIELD=VALUE for fields by name, with the request's body as
// its standard input; or, if the body is application/json, from that object.
// What the job writes to its output streams is the answer, raw, as it comes
// (application/octet-stream), and its result is dropped; a job that writes
// nothing answers with its result (application/json). An error before the first
// byte is a status and {"message"}; a later one is a last line "error: …" and
// the trailer Engine-Job-Error.
//
// The door is closed (403) on TCP to clients without a verified certificate,
// and to all while authorization plugins are in use.
package server
