// Package strictjson refuses JSON that two readers may understand differently:
// a key given twice, where it is a field's name also in other case (which
// encoding/json does not tell apart), and anything after the document.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxDepth bounds the nesting of a document.
const maxDepth = 200

// Check reads a document that must be one JSON object or array. Down to
// foldDepth (1 is the outermost object or array) keys that differ only in case
// are the same: the field names of the document's format are found there,
// further down may be names that a user chose.
func Check(data []byte, foldDepth int) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	tok, err := dec.Token()
	if err != nil {
		return syntax(err)
	}
	if d, ok := tok.(json.Delim); !ok {
		return errors.New("not a JSON object or array")
	} else if err := check(dec, d, 1, foldDepth); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("data after the end of the JSON document")
	}
	return nil
}

func check(dec *json.Decoder, open json.Delim, depth, foldDepth int) error {
	if depth > maxDepth {
		return fmt.Errorf("JSON nested more than %d deep", maxDepth)
	}
	var seen map[string]bool
	if open == '{' {
		seen = map[string]bool{}
	}
	for dec.More() {
		if seen != nil {
			tok, err := dec.Token()
			if err != nil {
				return syntax(err)
			}
			key := tok.(string) // the decoder lets nothing else pass as a key
			name := key
			if depth <= foldDepth {
				name = strings.ToLower(strings.ToUpper(key)) // as encoding/json folds it
			}
			if seen[name] {
				return fmt.Errorf("key %q is given twice", key)
			}
			seen[name] = true
		}
		tok, err := dec.Token()
		if err != nil {
			return syntax(err)
		}
		if d, ok := tok.(json.Delim); ok {
			if err := check(dec, d, depth+1, foldDepth); err != nil {
				return err
			}
		}
	}
	_, err := dec.Token() // the closing one
	return syntax(err)
}

func syntax(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
