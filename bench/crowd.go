package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/jobengine/engine/test/harness"
)

// crowd measures what grows with numbers, side by side with dockerd: lists of
// many containers, and events that many listen to.
func crowd(args []string) (err error) {
	flags := flag.NewFlagSet("crowd", flag.ExitOnError)
	n := flags.Int("containers", 1000, "containers")
	listeners := flags.Int("listeners", 50, "clients of /events")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b, err := newBench()
	if err != nil {
		return err
	}
	defer b.close(&err)
	c := &comparison{bench: b, rounds: 10}
	if err := c.assemble(); err != nil {
		return err
	}
	fmt.Printf("crowd: %d containers, %d listeners; load when it began: %s\n\n", *n, *listeners, load())
	c.head()
	for _, d := range c.daemons() {
		if err := b.load(d); err != nil {
			return err
		}
		if _, err := atOnce(*n, 8, func(i int) error { return create(d, fmt.Sprintf("bench-%03d", i), []string{"true"}) }); err != nil {
			return err
		}
	}
	if err := c.measure(fmt.Sprintf("ps -a with %d containers", *n), "ps", 0, c.rounds, false); err != nil {
		return err
	}
	took := map[string]times{}
	for range 3 {
		for _, d := range c.daemons() {
			t, err := fanOut(d, *listeners, 200)
			if err != nil {
				return err
			}
			took[c.name(d)] = append(took[c.name(d)], t)
		}
	}
	c.row(fmt.Sprintf("200 events to %d listeners", *listeners), took)
	m := c.memory()
	fmt.Printf("\nmemory, PSS in MB: engine %.1f, dockerd %.1f\n", m[0], m[1])
	return nil
}

// fanOut is the time from the first of some events until everybody has them all.
func fanOut(d *harness.Daemon, listeners, events int) (time.Duration, error) {
	var bodies []io.ReadCloser
	defer func() {
		for _, body := range bodies {
			body.Close()
		}
	}()
	for range listeners {
		resp, err := d.HTTP().Get("http://d/events?filters=" + `%7B%22event%22%3A%5B%22rename%22%5D%7D`)
		if err != nil {
			return 0, err
		}
		if resp.StatusCode != http.StatusOK {
			resp.Body.Close()
			return 0, errors.New(resp.Status)
		}
		bodies = append(bodies, resp.Body)
	}
	began := time.Now()
	all := make(chan error, listeners)
	for _, body := range bodies {
		go func() { all <- readLines(body, events) }()
	}
	for i := range events {
		from, to := "bench-000", "bench-renamed"
		if i%2 == 1 {
			from, to = to, from
		}
		if err := d.JSON(http.MethodPost, "/containers/"+from+"/rename?name="+to, nil, nil); err != nil {
			return 0, err
		}
	}
	var err error
	for range listeners {
		err = errors.Join(err, <-all)
	}
	return time.Since(began), err
}

// readLines returns when n lines have come.
func readLines(r io.Reader, n int) error {
	buf := make([]byte, 32<<10)
	for n > 0 {
		got, err := r.Read(buf)
		for _, b := range buf[:got] {
			if b == '\n' {
				n--
			}
		}
		if err != nil && n > 0 {
			return fmt.Errorf("%d events are missing: %w", n, err)
		}
	}
	return nil
}
