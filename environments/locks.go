package environments

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
)

// Self is what this server runs on and stores in, which no night may take away.
type Self struct {
	// PIDs are our own process and those that it needs. Their parents count
	// too. Default: our own.
	PIDs []int
	// Paths are the store, the unseal key, the data folder, the configuration.
	Paths []string
	// Addresses are hosts and ports that we need, such as the store's database.
	Addresses []string
}

// limits are the provider settings that this package reads itself.
type limits struct {
	MaxDestroy int      `json:"max_destroy"`
	Allow      []string `json:"allow"`
}

// refuse checks the locks on a tear-down, and says which one holds. destroy is
// how many resources somebody allowed by hand; 0 means what the configuration
// says.
//
// Lock 1 is also in the catalog: production cannot have a schedule.
func (e *Environments) refuse(env found, plan cloud.Plan, destroy int) error {
	no := func(hint, format string, args ...any) error {
		return nightporter.E(nightporter.Protected, format, args...).WithHint("%s", hint)
	}
	name := env.Name
	// 1. Production is never torn down, by a clock or by hand.
	if env.Kind == nightporter.Production {
		return no("", "%s is production, which is never torn down", name)
	}
	var l limits
	if len(env.Cloud.Settings) > 0 {
		if err := json.Unmarshal(env.Cloud.Settings, &l); err != nil {
			return no("", "the settings of %s cannot be read, so its limits are not known", name)
		}
	}
	// 2. Only accounts that the configuration names: no list allows none.
	for _, account := range plan.Accounts {
		if !slices.Contains(l.Allow, account) {
			return no("add it to cloud.allow when it belongs to "+name, "the plan touches %q, which %s may not", account, name)
		}
	}
	for _, r := range plan.Resources {
		switch {
		// 3. Every resource says itself that it belongs to this environment.
		case r.Environment == "":
			return no("mark it, or remove it from the plan", "%s carries no mark that says which environment it belongs to", r.ID)
		case r.Environment != name:
			return no("", "%s is marked as %s, not as %s", r.ID, r.Environment, name)
		// 5. Protected resources fail closed.
		case r.Protected:
			return no("take the protection away first", "%s is protected", r.ID)
		}
		// 6. Not the branch that we sit on.
		if what := e.cfg.Self.needs(r); what != "" {
			return no("move Nightporter or its store out of "+name, "%s is %s", r.ID, what)
		}
	}
	// 4. A plan that is larger than anybody expects stops and asks.
	limit := l.MaxDestroy
	if destroy > 0 {
		limit = destroy
	}
	if n := len(plan.Resources); limit > 0 && n > limit {
		return no(fmt.Sprintf("allow it once: nightporter env down %s --destroy %d", name, n),
			"the plan destroys %d resources, and at most %d are expected", n, limit)
	}
	return nil
}

// needs says what of ours a resource is, or "".
func (s Self) needs(r cloud.Resource) string {
	pids := s.PIDs
	if len(pids) == 0 {
		pids = []int{os.Getpid()}
	}
	if r.PID != 0 {
		for _, pid := range pids {
			if slices.Contains(ancestors(pid), r.PID) {
				return "a process that Nightporter runs in"
			}
		}
	}
	if r.Path != "" {
		for _, p := range s.Paths {
			if p != "" && inside(p, r.Path) {
				return "where Nightporter keeps " + filepath.Base(p)
			}
		}
	}
	if r.Address != "" {
		for _, a := range s.Addresses {
			if sameAddress(a, r.Address) {
				return "what Nightporter stores in"
			}
		}
	}
	return ""
}

// ancestors are a process and its parents, up to init.
func ancestors(pid int) []int {
	var all []int
	for pid > 1 && len(all) < 100 {
		all = append(all, pid)
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			break
		}
		// proc(5): the name in parentheses may hold anything, the parent is
		// the second field after it.
		fields := strings.Fields(string(b)[strings.LastIndexByte(string(b), ')')+1:])
		if len(fields) < 2 {
			break
		}
		if pid, err = strconv.Atoi(fields[1]); err != nil {
			break
		}
	}
	return all
}

// inside says whether path is root or below it, symbolic links resolved.
func inside(path, root string) bool {
	rel, err := filepath.Rel(real(root), real(path))
	return err == nil && (rel == "." || filepath.IsLocal(rel))
}

func real(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if r, err := filepath.EvalSymlinks(path); err == nil {
		return r
	}
	return path
}

func sameAddress(a, b string) bool {
	ah, ap, err1 := net.SplitHostPort(a)
	bh, bp, err2 := net.SplitHostPort(b)
	if err1 != nil || err2 != nil || ap != bp {
		return false
	}
	return ah == bh || local(ah) && local(bh)
}

func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || host == "" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}
