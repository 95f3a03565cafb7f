package harness

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Stream is a connection that a request has turned into a raw stream.
type Stream struct {
	net.Conn
	r *bufio.Reader
}

// Read gives what the daemon sends, frames included where there is no terminal.
func (s *Stream) Read(p []byte) (int, error) { return s.r.Read(p) }

// Reset breaks the connection off as the kernel of a client that crashed does.
func (s *Stream) Reset() {
	if tcp, ok := s.Conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	s.Close()
}

// Expect reads until text has come.
func (s *Stream) Expect(text string) error {
	defer s.SetReadDeadline(time.Time{})
	s.SetReadDeadline(time.Now().Add(20 * time.Second))
	var seen []byte
	buf := make([]byte, 4096)
	for !strings.Contains(string(seen), text) {
		n, err := s.Read(buf)
		seen = append(seen, buf[:n]...)
		if err != nil {
			return fmt.Errorf("no %q in %.300q: %w", text, seen, err)
		}
	}
	return nil
}

// Hijack sends a request with Upgrade: tcp and gives the stream that it becomes.
func (d *Daemon) Hijack(method, path string, body any) (*Stream, error) {
	return d.stream(method, path, body, "Connection: Upgrade\r\nUpgrade: tcp\r\n", http.StatusSwitchingProtocols)
}

// Follow sends a request whose answer has no end, and gives the connection after
// the answer's headers.
func (d *Daemon) Follow(method, path string) (*Stream, error) {
	return d.stream(method, path, nil, "", http.StatusOK)
}

func (d *Daemon) stream(method, path string, body any, headers string, want int) (*Stream, error) {
	text := []byte{}
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	network, address := "unix", d.Socket
	if d.TCP != "" {
		network, address = "tcp", d.TCP
	}
	conn, err := net.DialTimeout(network, address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "%s %s%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s",
		method, Version, path, len(text), headers, text)
	r := bufio.NewReader(conn)
	status, err := r.ReadString('\n')
	for err == nil {
		var line string
		if line, err = r.ReadString('\n'); line == "\r\n" {
			break
		}
	}
	if err == nil && !strings.Contains(status, fmt.Sprintf(" %d ", want)) {
		conn.SetReadDeadline(time.Now().Add(time.Second))
		rest, _ := io.ReadAll(io.LimitReader(r, 1000))
		err = fmt.Errorf("%s %s: %s %s", method, path, strings.TrimSpace(status), rest)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return &Stream{conn, r}, nil
}
