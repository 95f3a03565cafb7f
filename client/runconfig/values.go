package runconfig

import (
	"errors"
	"fmt"
	"math/big"
	"sort"
	"strings"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
)

// list is a flag that may be given many times. check may change a value or refuse it.
type list struct {
	values *[]string
	check  func(string) (string, error)
}

func (l list) Type() string { return "list" }

func (l list) String() string {
	if l.values == nil || len(*l.values) == 0 {
		return ""
	}
	return fmt.Sprint(*l.values)
}

func (l list) Set(s string) error {
	if l.check != nil {
		var err error
		if s, err = l.check(s); err != nil {
			return err
		}
	}
	*l.values = append(*l.values, s)
	return nil
}

// List makes a repeatable flag for a command outside this package.
func List(values *[]string) *list { return &list{values: values} }

// EnvList is List for environment variables, as run's --env takes them.
func EnvList(values *[]string) *list { return &list{values, checkEnv} }

// pairs is a repeatable NAME=VALUE flag.
type pairs struct {
	values map[string]string
	check  func(string) (string, error)
}

func (p pairs) Type() string { return "map" }

func (p pairs) String() string {
	if len(p.values) == 0 {
		return ""
	}
	return fmt.Sprint(p.values)
}

func (p pairs) Set(s string) error {
	if p.check != nil {
		var err error
		if s, err = p.check(s); err != nil {
			return err
		}
	}
	k, v, _ := strings.Cut(s, "=")
	p.values[k] = v
	return nil
}

// amount is an amount of memory with a binary unit: 512m, 2g. When unlimited is
// set, -1 is taken too.
type amount struct {
	n         *int64
	unlimited bool
}

func (b amount) Type() string { return "bytes" }

func (b amount) String() string {
	if b.n == nil || *b.n == 0 {
		return "0"
	}
	return units.BytesSize(float64(*b.n))
}

func (b amount) Set(s string) error {
	if b.unlimited && s == "-1" {
		*b.n = -1
		return nil
	}
	n, err := units.RAMInBytes(s)
	*b.n = n
	return err
}

// cpus is a number of CPUs with up to nine decimals, kept in billionths.
type cpus struct{ nano *int64 }

func (c cpus) Type() string { return "decimal" }

func (c cpus) String() string {
	if c.nano == nil || *c.nano == 0 {
		return ""
	}
	return big.NewRat(*c.nano, 1e9).FloatString(3)
}

func (c cpus) Set(s string) error {
	// A number like 1e999999999 would make the exact arithmetic below endless.
	if len(s) > 64 || strings.ContainsAny(s, "eEpPxX") {
		return fmt.Errorf("failed to parse %v as a rational number", s)
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return fmt.Errorf("failed to parse %v as a rational number", s)
	}
	r.Mul(r, big.NewRat(1e9, 1))
	if !r.IsInt() || !r.Num().IsInt64() {
		return errors.New("value is too precise")
	}
	*c.nano = r.Num().Int64()
	return nil
}

// ulimits is a repeatable NAME=SOFT[:HARD]; the last of a name counts.
type ulimits struct{ byName map[string]*container.Ulimit }

func (u ulimits) Type() string   { return "ulimit" }
func (u ulimits) String() string { return fmt.Sprint(u.sorted()) }

func (u ulimits) Set(s string) error {
	l, err := units.ParseUlimit(s)
	if err != nil {
		return err
	}
	u.byName[l.Name] = l
	return nil
}

func (u ulimits) sorted() []*container.Ulimit {
	out := make([]*container.Ulimit, 0, len(u.byName))
	for _, l := range u.byName {
		out = append(out, l)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}
