// Package sabotage breaks the world in ways that Nightporter cannot see, or that
// nobody may overlook. The story must notice each, at the step named with it: a
// judge who never says no is none.
package sabotage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"nightporter.dev/nightporter/demo/story"
	"nightporter.dev/nightporter/demo/world"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

// Sabotage is one way to break the world.
type Sabotage struct {
	Name string
	What string // what it does
	Step string // the step that must notice
	// plan changes the world before it is built. dir is a folder that is
	// removed afterwards.
	plan func(o *world.Options, dir string) error
	// before and after happen around what a step does.
	before, after map[string]func(w *world.World) error
}

// Plan changes the options of a world.
func (s *Sabotage) Plan(o *world.Options, dir string) error {
	if s.plan == nil {
		return nil
	}
	return s.plan(o, dir)
}

// Before implements [story.Meddler].
func (s *Sabotage) Before(step string, w *world.World) error { return call(s.before[step], w) }

// After implements [story.Meddler].
func (s *Sabotage) After(step string, w *world.World) error { return call(s.after[step], w) }

func call(fn func(*world.World) error, w *world.World) error {
	if fn == nil {
		return nil
	}
	if err := fn(w); err != nil {
		return fmt.Errorf("the sabotage itself: %w", err)
	}
	return nil
}

// All are the sabotages.
func All() []*Sabotage {
	return []*Sabotage{tagNotMoved(), oldBinary(), eventLost(), mergeDoubled(), survivor(), loginKept(), sleepless()}
}

// Named finds one.
func Named(name string) (*Sabotage, error) {
	for _, s := range All() {
		if s.Name == name {
			return s, nil
		}
	}
	return nil, fmt.Errorf("no sabotage is called %q", name)
}

func tagNotMoved() *Sabotage {
	return &Sabotage{
		Name: "tag-not-moved",
		What: "the forge says that it moved the tag prod, and did not",
		Step: story.StepFirstApprovals,
		plan: func(o *world.Options, _ string) error {
			o.ForgeFront = swallowTag("refs/tags/prod")
			return nil
		},
	}
}

func oldBinary() *Sabotage {
	armed := ""
	return &Sabotage{
		Name: "old-binary",
		What: "a stale build cache hands out the ledger's last binary instead of building",
		Step: story.StepMerge,
		plan: func(o *world.Options, dir string) error {
			armed, o.PathFront = filepath.Join(dir, "armed"), dir
			return staleCompiler(dir, armed)
		},
		before: map[string]func(*world.World) error{
			story.StepMerge: func(*world.World) error { return os.WriteFile(armed, nil, 0o644) },
		},
	}
}

func eventLost() *Sabotage {
	return &Sabotage{
		Name: "event-lost",
		What: "a webhook is lost, and the sweep that would find what it told is off",
		Step: story.StepLost,
		plan: func(o *world.Options, _ string) error {
			o.Sweep = 24 * time.Hour
			return nil
		},
	}
}

func mergeDoubled() *Sabotage {
	return &Sabotage{
		Name: "merge-doubled",
		What: "a merge is on main twice, and has two versions",
		Step: story.StepTwoMerges,
		after: map[string]func(*world.World) error{
			story.StepTwoMerges: func(w *world.World) error {
				commit, err := w.Forge.PushDirect("ledger", "List accounts", world.Login(world.Ana), nil)
				if err != nil {
					return err
				}
				return w.Forge.PushTag("ledger", "v0.4.1", commit, world.Login(world.Ana), githubtest.Lightweight)
			},
		},
	}
}

func loginKept() *Sabotage {
	login := ""
	prod := world.DatabaseOf("affordability", "prod")
	return &Sabotage{
		Name: "login-kept",
		What: "somebody makes the login again that was taken away",
		Step: story.StepRevoked,
		before: map[string]func(*world.World) error{
			story.StepRevoked: func(w *world.World) error {
				if w.Database == nil {
					return errors.New("it needs PostgreSQL")
				}
				logins, err := w.Database.Logins(context.Background(), prod)
				if err != nil || len(logins) != 1 {
					return errors.Join(err, fmt.Errorf("%v can log in, not one", logins))
				}
				login = logins[0]
				return nil
			},
		},
		after: map[string]func(*world.World) error{
			story.StepRevoked: func(w *world.World) error {
				return w.Until(context.Background(), "the login can be made again", func(ctx context.Context) error {
					return w.Database.Exec(ctx, fmt.Sprintf("CREATE ROLE %q LOGIN IN ROLE %s", login, prod))
				})
			},
		},
	}
}

func sleepless() *Sabotage {
	return &Sabotage{
		Name: "sleepless",
		What: "a process of dev that nobody knows of starts at midnight and survives the night",
		Step: story.StepNight,
		before: map[string]func(*world.World) error{
			story.StepNight: func(w *world.World) error {
				cmd := exec.Command("/bin/sleep", "infinity")
				cmd.Env = []string{"NIGHTPORTER_ENVIRONMENT=dev", "NIGHTPORTER_CLOUD_DIR=" + filepath.Join(w.Dir, "elsewhere")}
				cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
				if err := cmd.Start(); err != nil {
					return err
				}
				go func() { _ = cmd.Wait() }() // the world ends it
				return nil
			},
		},
	}
}

func survivor() *Sabotage {
	return &Sabotage{
		Name: "survivor",
		What: "a version of the ledger leaves a process behind that is in no group, has no mark and ignores SIGTERM",
		Step: story.StepMerge,
		plan: func(o *world.Options, _ string) error {
			o.Change = func(repo, title string, files map[string]string) {
				if repo == "ledger" && title == "Accept refunds" {
					files["linger.go"] = linger
				}
			}
			return nil
		},
	}
}

// linger starts the program once more, in a session of its own and without any of
// its environment, where it waits and does not listen.
const linger = `package main

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

func init() {
	if os.Getenv("LINGER") != "" {
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, os.Interrupt)
		for {
			time.Sleep(time.Hour)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return
	}
	cmd := exec.Command(self)
	cmd.Env = []string{"LINGER=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	_ = cmd.Start()
}
`
