package record

import (
	"encoding/json"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"gotest.tools/v3/assert"
)

func TestRecordsHaveEveryFieldOfTheAPI(t *testing.T) {
	compare(t, "Config", reflect.TypeFor[container.Config](), reflect.TypeFor[Config]())
	compare(t, "HostConfig", reflect.TypeFor[container.HostConfig](), reflect.TypeFor[HostConfig]())
	compare(t, "MountPoint", reflect.TypeFor[container.MountPoint](), reflect.TypeFor[MountPoint]())
}

func TestNothingIsLostOnTheWayToTheRecordAndBack(t *testing.T) {
	roundTrip(t, new(container.Config), new(Config), new(container.Config))
	roundTrip(t, new(container.HostConfig), new(HostConfig), new(container.HostConfig))
	roundTrip(t, new(container.MountPoint), new(MountPoint), new(container.MountPoint))
}

func TestCheckRefusesWhatIsNotAWholeRecord(t *testing.T) {
	whole := func() *Container {
		return &Container{Format: 1, ID: "a", Name: "n", ImageID: "i", Config: &Config{}, HostConfig: &HostConfig{}}
	}
	assert.NilError(t, whole().Check("a"))
	for why, harm := range map[string]func(*Container){
		"newer format":  func(c *Container) { c.Format = 2 },
		"no format":     func(c *Container) { c.Format = 0 },
		"other id":      func(c *Container) { c.ID = "b" },
		"no name":       func(c *Container) { c.Name = "" },
		"no config":     func(c *Container) { c.Config = nil },
		"no hostconfig": func(c *Container) { c.HostConfig = nil },
	} {
		c := whole()
		harm(c)
		assert.Assert(t, errdefs.IsDataLoss(c.Check("a")), why)
	}
}

// compare fails for each JSON field of the API's type that ours lacks.
func compare(t *testing.T, path string, api, ours reflect.Type) {
	for api.Kind() == reflect.Pointer {
		api = api.Elem()
	}
	for ours.Kind() == reflect.Pointer {
		ours = ours.Elem()
	}
	if api.Kind() == reflect.Slice && ours.Kind() == reflect.Slice {
		compare(t, path+"[]", api.Elem(), ours.Elem())
		return
	}
	if api.Kind() == reflect.Map && ours.Kind() == reflect.Map {
		compare(t, path+"{}", api.Elem(), ours.Elem())
		return
	}
	if api.Kind() != reflect.Struct || ours.Kind() != reflect.Struct {
		return
	}
	fields := jsonFields(ours)
	for name, f := range jsonFields(api) {
		mine, ok := fields[name]
		if !ok {
			t.Errorf("%s: the record has no field %s", path, name)
			continue
		}
		compare(t, path+"."+name, f, mine)
	}
}

func jsonFields(s reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for i := range s.NumField() {
		f := s.Field(i)
		if f.Anonymous {
			for name, sub := range jsonFields(f.Type) {
				fields[name] = sub
			}
			continue
		}
		if !f.IsExported() {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		if name != "-" {
			fields[name] = f.Type
		}
	}
	return fields
}

func roundTrip(t *testing.T, api, ours, back any) {
	fill(reflect.ValueOf(api).Elem())
	assert.NilError(t, Convert(api, ours))
	assert.NilError(t, Convert(ours, back))
	want, err := json.Marshal(api)
	assert.NilError(t, err)
	got, err := json.Marshal(back)
	assert.NilError(t, err)
	assert.Equal(t, string(got), string(want))
}

// fill gives every field a value that is not zero.
func fill(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *netip.Addr:
		*x = netip.MustParseAddr("192.0.2.7")
		return
	case *network.Port:
		*x = network.MustParsePort("80/tcp")
		return
	case *time.Duration:
		*x = time.Second
		return
	case *os.FileMode:
		*x = 0o640
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(7)
	case reflect.Uint, reflect.Uint64, reflect.Uint32, reflect.Uint16, reflect.Uint8:
		v.SetUint(7)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(elem)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, elem)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fill(f)
			}
		}
	}
}
