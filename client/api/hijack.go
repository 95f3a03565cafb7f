package api

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Conn is a connection that left HTTP behind: the daemon's streams one way,
// standard input the other.
type Conn struct {
	net.Conn
	r *bufio.Reader
}

func (c *Conn) Read(p []byte) (int, error) { return c.r.Read(p) }

// CloseWrite tells the daemon that standard input has ended; output goes on.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Hijack sends a POST that asks to upgrade the connection to a raw stream.
// ctx ends the asking only, not the stream.
func (c *Client) Hijack(ctx context.Context, path string, query url.Values, body any) (*Conn, error) {
	version, err := c.Version(ctx)
	if err != nil {
		return nil, err
	}
	reader, kind, err := encode(body)
	if err != nil {
		return nil, err
	}
	req, err := c.request(ctx, http.MethodPost, "/v"+version+path, query, reader)
	if err != nil {
		return nil, err
	}
	if kind == "" {
		kind = "text/plain"
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "tcp")

	conn, err := c.Dial(ctx)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// A quiet session must not be dropped by a NAT on the way.
		tcp.SetKeepAlivePeriod(30 * time.Second)
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	r := bufio.NewReader(conn)
	resp, err := exchange(conn, r, req)
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, c.connectionError(err)
	}
	if resp.StatusCode >= 400 {
		defer conn.Close()
		return nil, errorFrom(resp, req.URL.String())
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		conn.Close()
		return nil, &ConnectionError{"unable to upgrade to tcp, received " + http.StatusText(resp.StatusCode)}
	}
	return &Conn{Conn: conn, r: r}, nil
}

func exchange(conn net.Conn, r *bufio.Reader, req *http.Request) (*http.Response, error) {
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	return http.ReadResponse(r, req)
}
