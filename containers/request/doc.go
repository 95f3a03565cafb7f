// Package request says what may be asked of a container: it checks names,
// configurations and host configurations, reads the short forms in them (binds,
// signals), and fills in what the image and the defaults say. Errors are of the
// classes invalid and not implemented, in docker's words where it has some. It
// touches nothing outside the request.
package request
