package spec

import (
	"bytes"
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
	groups := []uint32{uint32(found.Gid)}
	add := func(gids []int) {
		for _, gid := range gids {
			if !slices.Contains(groups, uint32(gid)) {
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
