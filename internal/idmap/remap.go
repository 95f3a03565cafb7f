package idmap

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/user"

	"github.com/jobengine/engine/internal/errs"
)

// DefaultUser is who gives the ids for --userns-remap=default.
const DefaultUser = "dockremap"

// firstFree is where ids for containers begin, and freeSize how many are taken,
// when nobody has said.
const (
	firstFree = 100000
	freeSize  = 65536
)

// Accounts are the files of a host that say who there is and which further ids he has.
type Accounts struct {
	Passwd, Group, SubUID, SubGID string
}

// HostAccounts are those of this host.
func HostAccounts() Accounts { return accountsIn("/etc") }

func accountsIn(dir string) Accounts {
	return Accounts{
		Passwd: filepath.Join(dir, "passwd"), Group: filepath.Join(dir, "group"),
		SubUID: filepath.Join(dir, "subuid"), SubGID: filepath.Join(dir, "subgid"),
	}
}

// Remap gives the map of --userns-remap: "default", USER, USER:GROUP, UID or
// UID:GID. The map is zero for "" and for root, which would be mapped to itself.
// For "default" the account and its ids are made where there are none; changed
// tells what was. Errors are of the class invalid.
func (a Accounts) Remap(text string) (m Map, changed []string, err error) {
	if text == "" {
		return Map{}, nil, nil
	}
	if text == "default" {
		text = DefaultUser
		if changed, err = a.makeDefault(); err != nil {
			return Map{}, changed, fmt.Errorf("userns-remap: %w", err)
		}
	}
	u, g, err := a.find(text)
	if err != nil {
		return Map{}, changed, errs.Invalid("userns-remap: %w", err)
	}
	if u.name == "root" {
		return Map{}, changed, nil
	}
	if m.UIDs, err = rangesOf(a.SubUID, u); err == nil {
		m.GIDs, err = rangesOf(a.SubGID, g)
	}
	if err == nil {
		err = m.Check()
	}
	if err != nil {
		return Map{}, changed, errs.Invalid("userns-remap: %w", err)
	}
	return m, changed, nil
}

// account is a user or a group.
type account struct {
	name string
	id   int
}

// find looks up "user:group", both by name or number; the group is the one with
// the user's name if none is given.
func (a Accounts) find(text string) (u, g account, err error) {
	name, group, withGroup := strings.Cut(text, ":")
	if name == "" || withGroup && group == "" || strings.Contains(group, ":") {
		return u, g, fmt.Errorf("%q is none of default, USER, USER:GROUP, UID, UID:GID", text)
	}
	number, numeric := parseID(name)
	users, err := user.ParsePasswdFileFilter(a.Passwd, func(e user.User) bool {
		return e.Name == name || numeric && e.Uid == number
	})
	if err != nil {
		return u, g, err
	}
	if len(users) == 0 {
		return u, g, fmt.Errorf("there is no user %q on this host", name)
	}
	u = account{users[0].Name, users[0].Uid}
	if !withGroup {
		group = u.name
	}
	number, numeric = parseID(group)
	groups, err := user.ParseGroupFileFilter(a.Group, func(e user.Group) bool {
		return e.Name == group || numeric && e.Gid == number
	})
	if err != nil {
		return u, g, err
	}
	if len(groups) == 0 {
		return u, g, fmt.Errorf("there is no group %q on this host", group)
	}
	return u, account{groups[0].Name, groups[0].Gid}, nil
}

func parseID(text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err == nil
}

// rangesOf reads who's lines of a file such as /etc/subuid, "NAME:FIRST:COUNT".
// Several make one long range for the container, in the order of the host's ids.
func rangesOf(path string, who account) ([]Range, error) {
	lines, err := readSubIDs(path)
	if err != nil {
		return nil, err
	}
	var ranges []Range
	for _, l := range lines {
		if l.owner == who.name || l.owner == strconv.Itoa(who.id) {
			ranges = append(ranges, Range{Host: l.first, Size: l.count})
		}
	}
	if len(ranges) == 0 {
		return nil, fmt.Errorf("%s has no ids for %q", path, who.name)
	}
	slices.SortFunc(ranges, func(a, b Range) int { return cmp.Compare(a.Host, b.Host) })
	var next uint64
	if ranges[0].Host == 0 {
		return nil, fmt.Errorf("%s gives %q the host's root", path, who.name)
	}
	for i := range ranges {
		ranges[i].Container = uint32(next)
		if next += uint64(ranges[i].Size); next > math.MaxUint32 {
			return nil, fmt.Errorf("%s has too many ids for %q", path, who.name)
		}
	}
	return ranges, nil
}

type subIDs struct {
	owner        string
	first, count uint32
}

// maxSubIDs bounds what is read of /etc/subuid.
const maxSubIDs = 4 << 20

func readSubIDs(path string) ([]subIDs, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSubIDs+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSubIDs {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxSubIDs)
	}
	return parseSubIDs(path, text)
}

func parseSubIDs(path string, text []byte) ([]subIDs, error) {
	var list []subIDs
	n := 0
	for line := range bytes.Lines(text) {
		n++
		words := strings.Split(strings.TrimSpace(string(line)), ":")
		if words[0] == "" && len(words) == 1 || strings.HasPrefix(words[0], "#") {
			continue
		}
		bad := fmt.Errorf("%s, line %d: not NAME:FIRST:COUNT", path, n)
		if len(words) != 3 || words[0] == "" {
			return nil, bad
		}
		first, err1 := strconv.ParseUint(words[1], 10, 32)
		count, err2 := strconv.ParseUint(words[2], 10, 32)
		if err1 != nil || err2 != nil || count == 0 || first+count > math.MaxUint32 {
			return nil, bad
		}
		list = append(list, subIDs{words[0], uint32(first), uint32(count)})
	}
	return list, nil
}

// makeDefault sees to it that there is the account that "default" stands for and
// that it has ids. What is there already is left alone. The programs of the
// shadow suite do it, since they know how accounts are locked here.
func (a Accounts) makeDefault() (changed []string, err error) {
	u, _, err := a.find(DefaultUser)
	if err != nil && u.name == "" {
		if err := runTool("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/false", DefaultUser); err != nil {
			return nil, fmt.Errorf("make the user %s: %w", DefaultUser, err)
		}
		changed = append(changed, "made the user "+DefaultUser)
		if u, _, err = a.find(DefaultUser); err != nil {
			return changed, err
		}
	}
	for _, f := range []struct{ path, flag string }{{a.SubUID, "--add-subuids"}, {a.SubGID, "--add-subgids"}} {
		if _, err := rangesOf(f.path, account{DefaultUser, u.id}); err == nil {
			continue
		}
		// Without the file the tool does not know ids of this kind.
		file, err := os.OpenFile(f.path, os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return changed, err
		}
		file.Close()
		lines, err := readSubIDs(f.path)
		if err != nil {
			return changed, err
		}
		first, err := freeRange(lines)
		if err != nil {
			return changed, fmt.Errorf("%s: %w", f.path, err)
		}
		ids := fmt.Sprintf("%d-%d", first, first+freeSize-1)
		if err := runTool("usermod", f.flag, ids, DefaultUser); err != nil {
			return changed, fmt.Errorf("give ids to the user %s: %w", DefaultUser, err)
		}
		changed = append(changed, fmt.Sprintf("gave %s the ids %s in %s", DefaultUser, ids, f.path))
	}
	return changed, nil
}

// freeRange gives the first id of freeSize that nobody has.
func freeRange(taken []subIDs) (uint32, error) {
	sorted := slices.SortedFunc(slices.Values(taken), func(a, b subIDs) int { return cmp.Compare(a.first, b.first) })
	first := uint64(firstFree)
	for _, t := range sorted {
		if uint64(t.first) < first+freeSize && first < uint64(t.first)+uint64(t.count) {
			first = uint64(t.first) + uint64(t.count)
		}
	}
	if first+freeSize > math.MaxInt32 {
		return 0, errors.New("no ids are free")
	}
	return uint32(first), nil
}

func runTool(name string, args ...string) error {
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("this host has no %s: make it by hand, with lines in /etc/subuid and /etc/subgid", name)
	} else if err != nil {
		return err
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out[:min(len(out), 500)]))
	}
	return nil
}
