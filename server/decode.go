package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/jobengine/engine/internal/errs"
)

// The bounds of a JSON body. Archives and streams have none.
const (
	maxBody     = 16 << 20
	bodyTimeout = time.Minute
)

// decode reads a JSON body into v. Fields that v does not have are ignored, as
// docker does. An empty body leaves v as it is, unless required.
func decode(w *response, r *request, v any, required bool) error {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		if required {
			return errs.Invalid("invalid JSON: got EOF while reading request body")
		}
		return nil
	}
	if err := wantJSON(r); err != nil {
		return err
	}
	data, err := readBody(w, r)
	if err != nil {
		return err
	}
	return unmarshal(data, v, required)
}

func unmarshal(data []byte, v any, required bool) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(v); {
	case errors.Is(err, io.EOF):
		if required {
			return errs.Invalid("invalid JSON: got EOF while reading request body")
		}
		return nil
	case err != nil:
		return invalidJSON(err, v, data)
	}
	if len(bytes.TrimSpace(data[dec.InputOffset():])) > 0 {
		return errs.Invalid("unexpected content after JSON")
	}
	return nil
}

// readBody reads a body that is to be held in memory, within limits of size and time.
func readBody(w *response, r *request) ([]byte, error) {
	conn := http.NewResponseController(w.ResponseWriter)
	conn.SetReadDeadline(time.Now().Add(bodyTimeout))
	defer conn.SetReadDeadline(time.Time{})
	data, err := io.ReadAll(http.MaxBytesReader(w.ResponseWriter, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, errs.TooLarge("request body is larger than %d bytes", large.Limit)
	case err != nil:
		return nil, errs.Invalid("read request body: %w", err)
	}
	return data, nil
}

// invalidJSON names the field that is wrong, where one is.
func invalidJSON(err error, v any, data []byte) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errs.Invalid("invalid JSON: %w", err)
	}
	path, reason := badField(reflect.TypeOf(v).Elem(), data)
	var kind *json.UnmarshalTypeError
	if errors.As(reason, &kind) {
		// Its own text is full of Go's types.
		reason = fmt.Errorf("a JSON %s is not possible here", kind.Value)
	}
	switch {
	case reason == nil:
		return errs.Invalid("invalid JSON: %w", err)
	case len(path) == 0:
		return errs.Invalid("invalid JSON: %w", reason)
	}
	return errs.Invalid("invalid JSON: field %s: %w", strings.Join(path, "."), reason)
}

// wantJSON refuses a body that does not say it is JSON.
func wantJSON(r *request) error {
	given := r.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(given)
	if err == nil && kind == "application/json" {
		return nil
	}
	return errs.Invalid("unsupported Content-Type header (%s): must be 'application/json'", given)
}

// words is a list that old clients also write as one string.
type words []string

// UnmarshalJSON takes a string, a list of strings, or null.
func (l *words) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var one string
		if err := json.Unmarshal(data, &one); err != nil {
			return err
		}
		*l = words{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(data, &many); err != nil {
		return errors.New("want a string or a list of strings")
	}
	*l = many
	return nil
}
