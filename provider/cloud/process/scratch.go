package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
)

var _ cloud.Scratcher = (*Provider)(nil)

// Scratch implements [cloud.Scratcher]. Folders and marks are apart by the name;
// ports are chosen anew, so that {port} is another one there.
func (*Provider) Scratch(t cloud.Target, name string) (cloud.Target, error) {
	settings, err := json.Marshal(scratch{Of: t.Environment})
	if err != nil {
		return cloud.Target{}, err
	}
	return cloud.Target{Environment: name, Settings: settings}, cloud.ValidateName("environment", name)
}

// scratch are the settings of a scratch environment.
type scratch struct {
	Of string `json:"scratch_of"`
}

// original is the environment that a target has its code and its captures from:
// itself, unless it is a scratch one.
func original(t cloud.Target) string {
	var s scratch
	if json.Unmarshal(t.Settings, &s) != nil || cloud.ValidateName("environment", s.Of) != nil {
		return t.Environment
	}
	return s.Of
}

// twice refuses what would meet its original: a port that is written out is the
// same one in both.
func twice(all []Definition) error {
	for _, d := range all {
		for _, owner := range all {
			if owner.Port == 0 {
				continue
			}
			written := regexp.MustCompile(`(^|[^0-9])` + strconv.Itoa(owner.Port) + `($|[^0-9])`)
			for _, text := range d.texts() {
				if written.MatchString(text) {
					return nightporter.E(nightporter.Invalid, "%s writes the port of %s out, so a second one cannot run beside it", d.Name, owner.Name).
						WithHint("write {port:%s} for %d", owner.Name, owner.Port)
				}
			}
		}
	}
	return nil
}

// scratchPorts are the ports of a scratch environment: free ones, chosen once in
// its life and kept in its folder.
func (p *Provider) scratchPorts(environment string, all []Definition) (map[string]int, error) {
	path, ports := p.live(environment, "ports.json"), map[string]int{}
	if err := readJSON(path, &ports); err != nil && !notExist(err) {
		return nil, err
	}
	fresh := false
	var held []net.Listener // all at once, so that no two components get the same one
	for _, d := range all {
		if d.Port == 0 || ports[d.Name] != 0 {
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(nightporter.Wrap(err, nightporter.Unavailable, "this machine has no free port"), letGo(held))
		}
		held = append(held, l)
		ports[d.Name], fresh = l.Addr().(*net.TCPAddr).Port, true
	}
	if err := letGo(held); err != nil || !fresh {
		return ports, err
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), writeJSON(path, ports)); err != nil {
		return nil, fmt.Errorf("note the ports of %s: %w", environment, err)
	}
	return ports, nil
}

func letGo(held []net.Listener) error {
	var errs []error
	for _, l := range held {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
