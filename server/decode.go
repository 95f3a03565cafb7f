package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/jobengine/engine/internal/errs"
)

// maxBody bounds a JSON body. Archives and streams have no such bound.
const maxBody = 16 << 20

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
	body := http.MaxBytesReader(w.ResponseWriter, r.Body, maxBody)
	return decodeFrom(body, v, required)
}

func decodeFrom(body io.Reader, v any, required bool) error {
	dec := json.NewDecoder(body)
	if err := dec.Decode(v); err != nil {
		if errors.Is(err, io.EOF) && !required {
			return nil
		}
		return invalidJSON(err)
	}
	switch _, err := dec.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case tooLarge(err):
		return invalidJSON(err)
	}
	return errs.Invalid("unexpected content after JSON")
}

func invalidJSON(err error) error {
	var field *json.UnmarshalTypeError
	switch {
	case tooLarge(err):
		return errs.TooLarge("request body is larger than %d bytes", maxBody)
	case errors.Is(err, io.EOF):
		return errs.Invalid("invalid JSON: got EOF while reading request body")
	case errors.As(err, &field) && field.Field != "":
		return errs.Invalid("invalid JSON: field %s: a JSON %s is not possible here", field.Field, field.Value)
	}
	return errs.Invalid("invalid JSON: %w", err)
}

func tooLarge(err error) bool {
	var large *http.MaxBytesError
	return errors.As(err, &large)
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
		return fmt.Errorf("want a string or a list of strings: %w", err)
	}
	*l = many
	return nil
}
