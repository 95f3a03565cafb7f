package jsonfile

import (
	"testing"
	"time"

	"github.com/jobengine/engine/logs/driver"
	"github.com/jobengine/engine/logs/logtest"
)

type suiteWriter struct{ *Writer }

func (w suiteWriter) Write(s driver.Stream, line string, at time.Time) error {
	name := map[driver.Stream]string{driver.Stdout: "stdout", driver.Stderr: "stderr"}[s]
	return w.Writer.Write(w.Append(nil, name, []byte(line), at))
}

func TestConformance(t *testing.T) {
	logtest.Run(t, logtest.Driver{Open: Open, Create: func(path string) (logtest.Writer, error) {
		w, err := OpenWriter(path, WriterOptions{})
		return suiteWriter{w}, err
	}})
}

func TestConformanceWithARotationBeforeEachRecord(t *testing.T) {
	for _, compress := range []bool{false, true} {
		logtest.Run(t, logtest.Driver{Open: Open, Create: func(path string) (logtest.Writer, error) {
			w, err := OpenWriter(path, WriterOptions{MaxSizeBytes: 1, MaxFiles: 100, Compress: compress})
			return rotating{suiteWriter{w}}, err
		}})
	}
}

type rotating struct{ suiteWriter }

func (w rotating) Write(s driver.Stream, line string, at time.Time) error {
	if w.Size() > 0 {
		if err := w.Rotate(); err != nil {
			return err
		}
	}
	return w.suiteWriter.Write(s, line, at)
}
