// Package forward is the engine's relay: it carries what comes to published ports
// and can not be translated by the kernel, because it is of another family than the
// container's addresses, or comes from ::1.
//
// There is one listener for each protocol and family, whatever the number of published
// ports: the firewall redirects them all to it, and the kernel's table of connections tells
// which one a client asked for. So a range of 10,000 ports costs what one port costs.
//
// It lives in the daemon, and its connections end with it. The container sees the host as the client.
package forward
