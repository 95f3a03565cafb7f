package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Version is put before every path of JSON and Do that does not begin with
// "bare:"; it is the newest that Debian's dockerd knows.
const Version = "/v1.41"

// Do sends one request; body may be nil, a string, an io.Reader, or a value to
// send as JSON. It answers the status and the whole body.
func (d *Daemon) Do(method, path string, body any, header ...string) (int, string, http.Header, error) {
	var r io.Reader
	kind := ""
	switch b := body.(type) {
	case nil:
	case string:
		r, kind = strings.NewReader(b), "application/json"
	case io.Reader:
		r, kind = b, "application/x-tar"
	default:
		j, err := json.Marshal(b)
		if err != nil {
			return 0, "", nil, err
		}
		r, kind = bytes.NewReader(j), "application/json"
	}
	if bare, ok := strings.CutPrefix(path, "bare:"); ok {
		path = bare
	} else {
		path = Version + path
	}
	req, err := http.NewRequest(method, "http://d"+path, r)
	if err != nil {
		return 0, "", nil, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			req.Header.Del(header[i])
		}
	}
	res, err := d.HTTP().Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), res.Header, err
}

// JSON sends a request that must succeed, and decodes its answer into out when
// that is not nil.
func (d *Daemon) JSON(method, path string, body, out any) error {
	code, text, _, err := d.Do(method, path, body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if code >= 300 {
		return fmt.Errorf("%s %s: %d %s", method, path, code, strings.TrimSpace(text))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		return fmt.Errorf("%s %s: %w in %q", method, path, err, text)
	}
	return nil
}
