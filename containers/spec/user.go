package spec

import (
	"bytes"
	"math"
	"slices"

	"github.com/moby/sys/user"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// User is who a process runs as.
type User struct {
	Spec specs.User
	Home string // "/" if the image does not say
}

// FindUser looks up "user", "user:group" and numbers in the image's passwd and
// group; "" is root. Further groups come by name or number. What is not found by
// name is an error; numbers need no entry.
func FindUser(rootfs, name string, groupAdd []string) (User, error) {
	passwd, err := readInRoot(rootfs, "etc/passwd")
	if err != nil {
		return User{}, err
	}
	group, err := readInRoot(rootfs, "etc/group")
	if err != nil {
		return User{}, err
	}
	found, err := user.GetExecUser(name, &user.ExecUser{Home: "/"}, bytes.NewReader(passwd), bytes.NewReader(group))
	if err != nil {
		return User{}, err
	}
	// An account of the image may have a number whose 32 bits are another's, or root's.
	if slices.ContainsFunc(append([]int{found.Uid, found.Gid}, found.Sgids...), outOfRange) {
		return User{}, user.ErrRange
	}
	return withGroups(found, groupAdd, group)
}

func outOfRange(id int) bool { return id < 0 || id > math.MaxInt32 }

func withGroups(found *user.ExecUser, groupAdd []string, group []byte) (User, error) {
	groups := []uint32{uint32(found.Gid)}
	have := map[int]bool{found.Gid: true}
	add := func(gids []int) {
		for _, gid := range gids {
			if !have[gid] {
				have[gid] = true
				groups = append(groups, uint32(gid))
			}
		}
	}
	add(found.Sgids)
	if len(groupAdd) > 0 {
		more, err := user.GetAdditionalGroups(groupAdd, bytes.NewReader(group))
		if err != nil {
			return User{}, err
		}
		if slices.ContainsFunc(more, outOfRange) {
			return User{}, user.ErrRange
		}
		slices.Sort(more)
		add(more)
	}
	home := found.Home
	if home == "" {
		home = "/"
	}
	return User{
		Spec: specs.User{UID: uint32(found.Uid), GID: uint32(found.Gid), AdditionalGids: groups},
		Home: home,
	}, nil
}
