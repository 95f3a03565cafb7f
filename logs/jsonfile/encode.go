package jsonfile

import (
	"encoding/base64"
	"time"
	"unicode/utf8"
)

// appendRecord adds one line of a json-file log to dst:
//
//	{"log":"text\n","stream":"stdout","attrs":{…},"time":"2026-11-20T17:00:00.000000001Z"}
//
// Attrs is that object as JSON, or empty. Bytes that are not UTF-8 become U+FFFD,
// as in docker's logs. A line with such bytes is there once more, as
// ,"raw":"base64" after the stream: a client that the log catches up gets exactly
// what the container wrote, and other readers of such files skip a field they do not know.
func appendRecord(dst []byte, stream string, line, attrs []byte, at time.Time) []byte {
	dst = append(dst, `{"log":"`...)
	dst = appendEscaped(dst, line)
	dst = append(dst, `","stream":"`...)
	dst = append(dst, stream...)
	if !utf8.Valid(line) {
		dst = append(dst, `","raw":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, line)
	}
	if len(attrs) > 0 {
		dst = append(dst, `","attrs":`...)
		dst = append(dst, attrs...)
		dst = append(dst, `,"time":"`...)
	} else {
		dst = append(dst, `","time":"`...)
	}
	dst = at.UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, "\"}\n"...)
}

const hexDigits = "0123456789abcdef"

// appendEscaped adds the inside of a JSON string, with the very escapes that
// docker's encoder uses: short ones for quote, backslash, \n and \r only, \u00XX
// for other control characters and for < > &, and \u2028, \u2029.
func appendEscaped(dst, s []byte) []byte {
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' {
				i++
				continue
			}
			dst = append(dst, s[done:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, `\n`...)
			case '\r':
				dst = append(dst, `\r`...)
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			done = i
			continue
		}
		r, size := utf8.DecodeRune(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(append(dst, s[done:i]...), `\ufffd`...)
			done = i + size
		case r == '\u2028' || r == '\u2029':
			dst = append(append(dst, s[done:i]...), `\u202`...)
			dst = append(dst, hexDigits[r&15])
			done = i + size
		}
		i += size
	}
	return append(dst, s[done:]...)
}
