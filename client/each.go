package client

import (
	"errors"
	"net/url"
	"strconv"

	"github.com/spf13/pflag"
)

// each does one thing to many objects at a time and prints the name of each
// that succeeded, in the order given. All errors are returned, in that order.
func (c *Cmd) each(names []string, do func(name string) error) error {
	const atOnce = 50
	turns := make(chan struct{}, atOnce)
	results := make([]chan error, len(names))
	for i := range names {
		results[i] = make(chan error, 1)
	}
	go func() {
		for i, name := range names {
			turns <- struct{}{}
			go func() {
				results[i] <- do(name)
				<-turns
			}()
		}
	}()
	var errs []error
	for i, name := range names {
		if err := <-results[i]; err != nil {
			errs = append(errs, err)
			continue
		}
		c.println(name)
	}
	return errors.Join(errs...)
}

// postEach posts to the verb's route of each container.
func (c *Cmd) postEach(names []string, verb string, query url.Values) error {
	return c.each(names, func(name string) error {
		return c.API().Post(c.Context(), "/containers/"+name+"/"+verb, query, nil, nil)
	})
}

// stopFlags are those of stop and restart.
type stopFlags struct {
	flags   *pflag.FlagSet
	signal  string
	timeout int
}

func (s *stopFlags) declare(f *pflag.FlagSet) {
	s.flags = f
	f.StringVarP(&s.signal, "signal", "s", "", "Signal to send to the container")
	f.IntVarP(&s.timeout, "timeout", "t", 0, "Seconds to wait before killing the container")
	f.IntVar(&s.timeout, "time", 0, "Seconds to wait before killing the container (deprecated: use --timeout)")
	f.MarkDeprecated("time", "use --timeout instead")
}

func (s *stopFlags) query() (url.Values, error) {
	q := url.Values{}
	if s.flags.Changed("time") && s.flags.Changed("timeout") {
		return nil, errors.New("conflicting options: cannot specify both --timeout and --time")
	}
	if s.flags.Changed("time") || s.flags.Changed("timeout") {
		q.Set("t", strconv.Itoa(s.timeout))
	}
	if s.signal != "" {
		q.Set("signal", s.signal)
	}
	return q, nil
}
