package archive

import (
	"io"
	"sync"
)

const (
	aheadSize  = 256 << 10
	aheadCount = 4
)

// ReadAhead reads r in a goroutine of its own, up to 1 MiB ahead, so that
// decompressing and hashing run beside unpacking. Close waits for a Read of r
// that is under way, and does not close r. Nobody reads while it closes, or
// afterwards anything: its buffers are somebody else's then.
func ReadAhead(r io.Reader) io.ReadCloser {
	a := &ahead{
		full:  make(chan chunk, aheadCount),
		empty: make(chan []byte, aheadCount),
		stop:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	a.whole = aheads.Get().(*[aheadCount * aheadSize]byte)
	for i := range aheadCount {
		a.empty <- a.whole[i*aheadSize : (i+1)*aheadSize]
	}
	go a.fill(r)
	return a
}

var aheads = sync.Pool{New: func() any { return new([aheadCount * aheadSize]byte) }}

type chunk struct {
	data []byte
	err  error
}

type ahead struct {
	full    chan chunk
	empty   chan []byte
	stop    chan struct{}
	done    chan struct{}
	stopped sync.Once

	now   chunk
	rest  []byte
	whole *[aheadCount * aheadSize]byte // what all buffers are parts of
}

func (a *ahead) fill(r io.Reader) {
	defer close(a.done)
	defer close(a.full)
	for {
		var buf []byte
		select {
		case buf = <-a.empty:
		case <-a.stop:
			return
		}
		n, err := fillBuffer(r, buf[:aheadSize])
		select {
		case a.full <- chunk{buf[:n], err}:
		case <-a.stop:
			return
		}
		if err != nil {
			return
		}
	}
}

// fillBuffer reads until p is full or r has an error; unlike io.ReadFull it hands
// on the error of r unchanged.
func fillBuffer(r io.Reader, p []byte) (n int, err error) {
	for idle := 0; n < len(p) && err == nil; {
		var m int
		m, err = r.Read(p[n:])
		n += m
		if m > 0 {
			idle = 0
		} else if idle++; err == nil && idle > 100 {
			err = io.ErrNoProgress
		}
	}
	return n, err
}

func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.now.err != nil {
			return 0, a.now.err
		}
		if a.now.data != nil {
			a.empty <- a.now.data
		}
		c, ok := <-a.full
		if !ok {
			return 0, io.ErrClosedPipe
		}
		a.now, a.rest = c, c.data
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

func (a *ahead) Close() error {
	a.stopped.Do(func() {
		close(a.stop)
		<-a.done
		a.now, a.rest = chunk{err: io.ErrClosedPipe}, nil
		aheads.Put(a.whole)
		a.whole = nil
	})
	return nil
}
