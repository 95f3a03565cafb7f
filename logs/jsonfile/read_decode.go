package jsonfile

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/jobengine/engine/logs/driver"
)

// decoder reads records. It keeps what consecutive ones have in common.
type decoder struct {
	line     []byte
	raw      []byte
	attrs    map[string]string
	attrsRaw []byte
}

// record is the shape of a record.
type record struct {
	Log    string            `json:"log"`
	Stream string            `json:"stream"`
	Raw    []byte            `json:"raw"`
	Attrs  map[string]string `json:"attrs"`
	Time   time.Time         `json:"time"`
}

// decode reads one record into e, whose Line is valid until the next call.
// False: it is damaged.
func (d *decoder) decode(raw []byte, e *driver.Entry) bool {
	if !d.decodeUsual(raw, e) && !d.decodeAny(raw, e) {
		return false
	}
	e.Partial = !bytes.HasSuffix(e.Line, []byte{'\n'})
	return true
}

// decodeAny reads any JSON object that has the fields of a record.
func (d *decoder) decodeAny(raw []byte, e *driver.Entry) bool {
	var rec record
	if json.Unmarshal(raw, &rec) != nil {
		return false
	}
	stream, ok := streamOf([]byte(rec.Stream))
	if !ok || rec.Time.IsZero() {
		return false
	}
	d.line = append(d.line[:0], rec.Log...)
	*e = driver.Entry{Line: d.line, Raw: rec.Raw, Stream: stream, Time: rec.Time.UTC(), Attrs: rec.Attrs}
	return true
}

// decodeUsual reads a record that is laid out as docker and Writer do.
func (d *decoder) decodeUsual(raw []byte, e *driver.Entry) bool {
	rest, ok := bytes.CutPrefix(raw, []byte(`{"log":"`))
	if !ok {
		return false
	}
	d.line, rest, ok = unescape(d.line[:0], rest)
	if !ok {
		return false
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(`,"stream":"`)); !ok {
		return false
	}
	name, rest, ok := bytes.Cut(rest, []byte{'"'})
	if !ok {
		return false
	}
	stream, ok := streamOf(name)
	if !ok {
		return false
	}
	// The time is the last field and its length is bounded, whatever attrs hold.
	const timeKey = `,"time":"`
	i := bytes.LastIndex(rest, []byte(timeKey))
	if i < 0 || len(rest)-i > 64 || !bytes.HasSuffix(rest, []byte(`"}`)) {
		return false
	}
	if i+len(timeKey) > len(rest)-2 {
		return false
	}
	var at time.Time
	if at.UnmarshalText(rest[i+len(timeKey):len(rest)-2]) != nil {
		return false
	}
	var whole []byte
	if rest, whole, ok = d.readRaw(rest[:i]); !ok {
		return false
	}
	var attrs map[string]string
	if len(rest) > 0 {
		if attrs, ok = d.readAttrs(rest); !ok {
			return false
		}
	}
	*e = driver.Entry{Line: d.line, Raw: whole, Stream: stream, Time: at.UTC(), Attrs: attrs}
	return true
}

// readRaw reads the field that holds a line as it was, if it is there.
func (d *decoder) readRaw(s []byte) (rest, raw []byte, ok bool) {
	value, is := bytes.CutPrefix(s, []byte(`,"raw":"`))
	if !is {
		return s, nil, true
	}
	text, rest, is := bytes.Cut(value, []byte{'"'})
	if !is {
		return nil, nil, false
	}
	var err error
	d.raw, err = base64.StdEncoding.AppendDecode(d.raw[:0], text)
	return rest, d.raw, err == nil
}

func (d *decoder) readAttrs(raw []byte) (map[string]string, bool) {
	if len(d.attrsRaw) > 0 && bytes.Equal(raw, d.attrsRaw) {
		return d.attrs, true
	}
	value, ok := bytes.CutPrefix(raw, []byte(`,"attrs":`))
	if !ok {
		return nil, false
	}
	var attrs map[string]string
	if json.Unmarshal(value, &attrs) != nil {
		return nil, false
	}
	d.attrs, d.attrsRaw = attrs, append(d.attrsRaw[:0], raw...)
	return attrs, true
}

func streamOf(name []byte) (driver.Stream, bool) {
	switch string(name) {
	case "stdout":
		return driver.Stdout, true
	case "stderr":
		return driver.Stderr, true
	}
	return 0, false
}

// unescape adds the text of a JSON string to dst. s begins after its opening
// quote; rest is what follows the closing one.
func unescape(dst, s []byte) (text, rest []byte, ok bool) {
	quote := bytes.IndexByte(s, '"')
	for {
		if quote < 0 {
			return dst, nil, false
		}
		esc := bytes.IndexByte(s[:quote], '\\')
		if esc < 0 {
			return append(dst, s[:quote]...), s[quote+1:], true
		}
		dst = append(dst, s[:esc]...)
		used := 0
		if dst, used = unescapeOne(dst, s[esc:]); used == 0 {
			return dst, nil, false
		}
		s = s[esc+used:]
		if quote -= esc + used; quote < 0 {
			quote = bytes.IndexByte(s, '"')
		}
	}
}

// unescapeOne decodes the escape at the beginning of s and tells its length, 0
// if it is none.
func unescapeOne(dst, s []byte) ([]byte, int) {
	if len(s) < 2 {
		return dst, 0
	}
	switch s[1] {
	case 'n':
		return append(dst, '\n'), 2
	case '"', '\\', '/':
		return append(dst, s[1]), 2
	case 'r':
		return append(dst, '\r'), 2
	case 't':
		return append(dst, '\t'), 2
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case 'u':
	default:
		return dst, 0
	}
	r, ok := hex4(s)
	if !ok {
		return dst, 0
	}
	if utf16.IsSurrogate(r) {
		if low, ok := hex4(s[6:]); ok {
			if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
				return utf8.AppendRune(dst, both), 12
			}
		}
		r = utf8.RuneError
	}
	return utf8.AppendRune(dst, r), 6
}

func hex4(s []byte) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range s[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
