package idmap

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Range maps Size ids from Container on to ids of the host from Host on.
type Range struct {
	Container, Host, Size uint32
}

// Map says which ids of the host a container's are. The zero value maps
// nothing: the container has the host's ids.
type Map struct {
	UIDs, GIDs []Range
}

// IsZero tells whether there is no map.
func (m Map) IsZero() bool { return len(m.UIDs) == 0 && len(m.GIDs) == 0 }

// Root gives the ids that a container's root has on the host.
func (m Map) Root() (uid, gid int, err error) {
	if m.IsZero() {
		return 0, 0, nil
	}
	u, okU := toHost(m.UIDs, 0)
	g, okG := toHost(m.GIDs, 0)
	if !okU || !okG {
		return 0, 0, fmt.Errorf("the map %s has no root", m)
	}
	return int(u), int(g), nil
}

// FirstGIDs tells how many group ids, from 0 on, a container has without a gap.
func (m Map) FirstGIDs() uint32 {
	var n uint32
	for again := true; again; {
		again = false
		for _, r := range m.GIDs {
			if r.Container <= n && n-r.Container < r.Size {
				n, again = r.Container+r.Size, true
			}
		}
	}
	return n
}

// HasUID tells whether a user has an id on the host; without a map all have.
func (m Map) HasUID(id uint32) bool {
	_, ok := toHost(m.UIDs, id)
	return ok || m.IsZero()
}

// HasGID is HasUID of a group.
func (m Map) HasGID(id uint32) bool {
	_, ok := toHost(m.GIDs, id)
	return ok || m.IsZero()
}

func toHost(ranges []Range, id uint32) (uint32, bool) {
	for _, r := range ranges {
		if id >= r.Container && id-r.Container < r.Size {
			return r.Host + (id - r.Container), true
		}
	}
	return 0, false
}

// Check tells whether the kernel can have the map: no range is empty, leaves the
// numbers, or overlaps another one, and there is a root.
func (m Map) Check() error {
	for _, ranges := range [][]Range{m.UIDs, m.GIDs} {
		for i, r := range ranges {
			// The highest number is no id.
			if r.Size == 0 || uint64(r.Container)+uint64(r.Size) > math.MaxUint32 || uint64(r.Host)+uint64(r.Size) > math.MaxUint32 {
				return fmt.Errorf("%d ids from %d on for the container's %d: not a range of ids", r.Size, r.Host, r.Container)
			}
			for _, s := range ranges[:i] {
				if overlap(r.Container, s.Container, r.Size, s.Size) || overlap(r.Host, s.Host, r.Size, s.Size) {
					return fmt.Errorf("ranges of ids overlap: %s", m)
				}
			}
		}
	}
	_, _, err := m.Root()
	return err
}

func overlap(a, b, sizeA, sizeB uint32) bool {
	return uint64(a) < uint64(b)+uint64(sizeB) && uint64(b) < uint64(a)+uint64(sizeA)
}

// String writes the map as "uids 0:100000:65536, gids 0:100000:65536".
func (m Map) String() string {
	list := func(ranges []Range) string {
		var words []string
		for _, r := range ranges {
			words = append(words, fmt.Sprintf("%d:%d:%d", r.Container, r.Host, r.Size))
		}
		return strings.Join(words, " ")
	}
	return "uids " + list(m.UIDs) + ", gids " + list(m.GIDs)
}

// OfProcess reads the map of the user namespace that a process is in; it is zero
// where that has the ids of ours.
func OfProcess(pid int) (Map, error) {
	var m Map
	for _, f := range []struct {
		name string
		to   *[]Range
	}{{"uid_map", &m.UIDs}, {"gid_map", &m.GIDs}} {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + f.name)
		if err != nil {
			return Map{}, err
		}
		if *f.to, err = parseProc(text); err != nil {
			return Map{}, fmt.Errorf("%s of process %d: %w", f.name, pid, err)
		}
	}
	whole := []Range{{Size: math.MaxUint32}}
	if slices.Equal(m.UIDs, whole) && slices.Equal(m.GIDs, whole) {
		return Map{}, nil
	}
	return m, nil
}

func parseProc(text []byte) ([]Range, error) {
	var ranges []Range
	for line := range bytes.Lines(text) {
		var r Range
		if _, err := fmt.Sscan(string(line), &r.Container, &r.Host, &r.Size); err != nil {
			return nil, err
		}
		ranges = append(ranges, r)
	}
	return ranges, nil
}
