package detachkeys

import (
	"bytes"
	"errors"
	"io"
)

// ErrDetached comes from a Reader when the whole sequence was typed.
var ErrDetached = errors.New("detach keys typed")

// Reader passes on what it reads until the keys come. Bytes that may begin the
// sequence are held back; when it breaks off, or the input ends, they follow.
type Reader struct {
	src  io.Reader
	keys []byte
	fail []int  // for each length of a match, the longest shorter match that is its end
	held int    // how many keys are matched so far
	out  []byte // decided bytes that Read has not given yet
	buf  []byte
	err  error // what comes after out
}

// NewReader reads from src and looks for keys. Without keys it never detaches.
func NewReader(src io.Reader, keys []byte) *Reader {
	return &Reader{src: src, keys: bytes.Clone(keys), fail: borders(keys)}
}

// Read gives what was typed, and ErrDetached once the keys came: what was typed
// before them has been given by then, and nothing after them is.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(r.keys) == 0 {
		return r.src.Read(p)
	}
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if len(r.buf) < len(p) {
			r.buf = make([]byte, len(p))
		}
		n, err := r.src.Read(r.buf[:len(p)])
		r.scan(r.buf[:n])
		if err != nil && r.err == nil {
			r.out = append(r.out, r.keys[:r.held]...)
			r.held, r.err = 0, err
		}
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// scan moves typed bytes to out as far as they are known not to be keys.
func (r *Reader) scan(typed []byte) {
	r.out = r.out[:0]
	for _, c := range typed {
		for r.held > 0 && c != r.keys[r.held] {
			shorter := r.fail[r.held]
			r.out = append(r.out, r.keys[:r.held-shorter]...)
			r.held = shorter
		}
		if c != r.keys[r.held] {
			r.out = append(r.out, c)
			continue
		}
		if r.held++; r.held == len(r.keys) {
			r.held, r.err = 0, ErrDetached
			return
		}
	}
}

// borders is the failure function of Knuth, Morris and Pratt: borders(keys)[n]
// is the length of the longest proper prefix of keys[:n] that is also its suffix.
func borders(keys []byte) []int {
	fail := make([]int, len(keys)+1)
	k := 0
	for i := 1; i < len(keys); i++ {
		for k > 0 && keys[i] != keys[k] {
			k = fail[k]
		}
		if keys[i] == keys[k] {
			k++
		}
		fail[i+1] = k
	}
	return fail
}
