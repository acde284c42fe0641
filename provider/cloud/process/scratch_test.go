package process_test

import (
	"bytes"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
	"nightporter.dev/nightporter/provider/cloud/cloudtest"
)

// of filters processes of the judge by the environment that they are marked with,
// as /proc shows it.
func of(environment string, pids map[int]bool) map[int]bool {
	out := map[int]bool{}
	for pid := range pids {
		b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if bytes.Contains(b, []byte("NIGHTPORTER_ENVIRONMENT="+environment+"\x00")) {
			out[pid] = true
		}
	}
	return out
}

func (s *site) over(v func() (cloud.Token, error), target cloud.Target) {
	s.t.Helper()
	token, err := v()
	if err != nil {
		s.t.Fatal(err)
	}
	var o cloud.Observation
	cloudtest.Eventually(s.t.(*testing.T), "it is over", func() bool {
		if o, err = s.provider.Observe(s.t.Context(), target, token); err != nil {
			s.t.Fatal(err)
		}
		return o.State != cloud.Running
	})
	if o.State != cloud.Succeeded {
		s.t.Fatalf("%s: %s %q", o.State, o.Message, o.Lines)
	}
}

// Beside a running environment a second one is built from the same code, on ports
// of its own, with the rows of the last capture. It goes without a trace, and the
// first one never notices. The judges are /proc, the folders and HTTP.
func TestASecondOneBesideTheFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	code := s.code("good", "", "")
	ctx := t.Context()
	request := func(target cloud.Target, key, component string) cloud.Request {
		return cloud.Request{Target: target, Key: key, Component: component, Code: code}
	}
	up := func(target cloud.Target, key, component string) {
		t.Helper()
		s.over(func() (cloud.Token, error) { return s.provider.Up(ctx, request(target, key, component)) }, target)
		var p cloud.Probe
		cloudtest.Eventually(t, component+" is good", func() (good bool) {
			var err error
			if p, err = s.provider.Probe(ctx, target, component); err != nil || p.Hopeless {
				t.Fatalf("%s: %+v %v", component, p, err)
			}
			return p.Good
		})
	}
	up(dev, "db", "db")
	put, err := http.NewRequestWithContext(ctx, http.MethodPut, s.rows(), strings.NewReader("of last night"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := http.DefaultClient.Do(put); err != nil {
		t.Fatal(err)
	}
	s.over(func() (cloud.Token, error) { return s.provider.Capture(ctx, request(dev, "capture", "db")) }, dev)
	up(dev, "db-again", "db")
	up(dev, "app", "app")
	first := of("dev", s.alive(""))

	target, err := s.provider.Scratch(dev, "dev.drill")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.provider.Plan(ctx, cloud.PlanRequest{Target: target, Direction: cloud.Up, Code: code}); err != nil {
		t.Fatal(err)
	}
	s.over(func() (cloud.Token, error) { return s.provider.Restore(ctx, request(target, "restore", "db")) }, target)
	up(target, "drill-db", "db")
	up(target, "drill-app", "app")
	if second := of("dev.drill", s.alive("")); len(second) != 2 {
		t.Errorf("the second one has the processes %v, want two", second)
	}
	rows, err := s.provider.Output(ctx, target, "rows")
	if err != nil || string(rows) != "of last night" {
		t.Errorf("the second one holds %q %v", rows, err)
	}
	all, err := s.provider.Inventory(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if strings.HasSuffix(r.Address, ":"+strconv.Itoa(s.db)) || strings.HasSuffix(r.Address, ":"+strconv.Itoa(s.app)) {
			t.Errorf("%s answers at the first one's port: %s", r.ID, r.Address)
		}
	}
	if _, err := s.provider.Capture(ctx, request(target, "drill-capture", "db")); nightporter.CodeOf(err) != nightporter.Conflict {
		t.Errorf("capturing a second one: %v, want a conflict", err)
	}

	s.over(func() (cloud.Token, error) { return s.provider.Down(ctx, request(target, "rest", cloud.Rest)) }, target)
	if left := of("dev.drill", s.alive("")); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "live", "dev.drill")); !os.IsNotExist(err) {
		t.Errorf("its folder is left: %v", err)
	}
	if now := of("dev", s.alive("")); !maps.Equal(now, first) {
		t.Errorf("the first one's processes are %v, and were %v", now, first)
	}
}

func TestAPortThatIsWrittenOutIsRefusedASecondTime(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	code := s.code("good", `, "--database", "127.0.0.1:`+strconv.Itoa(s.db)+`"`, "")
	target, err := s.provider.Scratch(dev, "dev.drill")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.provider.Plan(t.Context(), cloud.PlanRequest{Target: target, Direction: cloud.Up, Code: code})
	if nightporter.CodeOf(err) != nightporter.Invalid || nightporter.HintOf(err) != "write {port:db} for "+strconv.Itoa(s.db) {
		t.Errorf("got %v (%s)", err, nightporter.HintOf(err))
	}
	if _, err := s.provider.Plan(t.Context(), cloud.PlanRequest{Target: dev, Direction: cloud.Up, Code: code}); err != nil {
		t.Errorf("the first one may: %v", err)
	}
}
