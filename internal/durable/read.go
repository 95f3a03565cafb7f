package durable

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/jobengine/engine/internal/errs"
)

// MaxRecord bounds the records that Read and ReadJSON accept, in bytes.
const MaxRecord = 16 << 20

// Read reads a whole file of at most MaxRecord bytes. A bigger one, and one
// that is not a regular file, is damaged: errdefs.ErrDataLoss. An absent one
// is fs.ErrNotExist.
func Read(fsys FS, path string) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxRecord+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(data) > MaxRecord {
		return nil, errs.DataLoss("%s is damaged: larger than %d bytes", path, MaxRecord)
	}
	return data, nil
}

// WriteJSON is WriteFile of v as one indented JSON document.
func WriteJSON(fsys FS, path string, v any, perm fs.FileMode) error {
	return writeJSON(fsys, path, v, perm, true)
}

// WriteJSONUnsynced is WriteFileUnsynced of v as one indented JSON document.
func WriteJSONUnsynced(fsys FS, path string, v any, perm fs.FileMode) error {
	return writeJSON(fsys, path, v, perm, false)
}

func writeJSON(fsys FS, path string, v any, perm fs.FileMode, sync bool) error {
	data, err := encode(v)
	if err != nil {
		return err
	}
	return write(fsys, path, data, perm, sync)
}

func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	err := enc.Encode(v)
	return buf.Bytes(), err
}

// ReadJSON reads what WriteJSON wrote. An absent file is fs.ErrNotExist; one
// that is empty, truncated, followed by garbage or of another shape is
// damaged: errdefs.ErrDataLoss. Unknown fields are passed over, for a newer
// program may have written them.
func ReadJSON(fsys FS, path string, v any) error {
	data, err := Read(fsys, path)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(v); err != nil {
		return errs.DataLoss("%s is damaged: %v", path, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errs.DataLoss("%s is damaged: data after the end of the record", path)
	}
	return nil
}
