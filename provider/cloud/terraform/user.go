package terraform

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"nightporter.dev/nightporter"
)

// account is the other user that components run as.
type account struct {
	name       string
	credential syscall.Credential
}

// runAs finds the user that components run as; nil is our own. Other people's code
// must not run as the user who can read the keys, unless somebody said so.
func runAs(name string, same SameUser) (*account, error) {
	if name == "" {
		if same != Allowed {
			return nil, nightporter.E(nightporter.Invalid, "Terraform has no user of their own").
				WithHint("set run_as to a user that cannot read Nightporter's files, or same_user: allowed where that does not matter")
		}
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "run_as: there is no user %q on this machine", name).
			WithHint("make one: useradd --system --no-create-home %s", name)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("read the user id of %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("read the group id of %s: %w", name, err)
	}
	if int(uid) == os.Geteuid() {
		return runAs("", same)
	}
	if uid == 0 {
		return nil, nightporter.E(nightporter.Invalid, "run_as: Terraform cannot run as root")
	}
	if os.Geteuid() != 0 {
		return nil, nightporter.E(nightporter.Invalid, "run_as: only root can start processes as %s", name).
			WithHint("run Nightporter as root, or as %s with same_user: allowed", name)
	}
	a := &account{name: name, credential: syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("read the groups of %s: %w", name, err)
	}
	for _, g := range groups {
		if id, err := strconv.ParseUint(g, 10, 32); err == nil {
			a.credential.Groups = append(a.credential.Groups, uint32(id))
		}
	}
	return a, nil
}

// uid is the user id that our processes have.
func (p *Provider) uid() uint32 {
	if p.user == nil {
		return uint32(os.Geteuid())
	}
	return p.user.credential.Uid
}

// give hands a file to the user of the processes. Symbolic links are not followed.
func (p *Provider) give(path string) error {
	if p.user == nil {
		return nil
	}
	return os.Lchown(path, int(p.user.credential.Uid), int(p.user.credential.Gid))
}
