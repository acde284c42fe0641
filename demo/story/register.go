package story

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"nightporter.dev/nightporter/client"
	"nightporter.dev/nightporter/demo/world"
)

// holdReason is a sentence that only the register still has when the hold is
// over.
const holdReason = "the month is being closed"

// register: what was done is written down, and nobody can change it unseen.
func register(s *Story) {
	s.Step("the register is whole: nightporter audit verify; its checkpoint is kept elsewhere", func(ctx context.Context) error {
		if _, err := s.Porter.Command(ctx, s.Porter.RootToken, "audit", "verify"); err != nil {
			return err
		}
		note, err := s.Porter.Command(ctx, s.Porter.RootToken, "audit", "checkpoint")
		if err != nil {
			return err
		}
		return os.WriteFile(s.anchor(), note, 0o600)
	}, nil)

	s.Step("it says who was refused: Kim by the policy, Ana because it was her own change", nil, func(ctx context.Context) error {
		for _, person := range []string{world.Kim, world.Ana} {
			out, err := s.Porter.Command(ctx, s.Porter.RootToken, "audit", "list", "--actor", person, "--json")
			if err != nil {
				return err
			}
			var list struct{ Items []client.Entry }
			if err := json.Unmarshal(out, &list); err != nil {
				return fmt.Errorf("nightporter audit list --json: %w", err)
			}
			if !slices.ContainsFunc(list.Items, func(e client.Entry) bool { return e.Action == "release.approve" && e.Decision == "denied" }) {
				return fmt.Errorf("the register does not say that %s was refused", person)
			}
		}
		return nil
	})
}

func (s *Story) anchor() string { return filepath.Join(s.Dir, "anchor.note") }

// tamper holds copies of the store against the anchor, when nobody writes to it.
func (s *Story) tamper() {
	s.Step("a copy of the register holds against the checkpoint", func(ctx context.Context) error {
		return s.verifyCopy(ctx, "copy", nil)
	}, nil)
	s.Step("a copy in which one word was changed does not", func(ctx context.Context) error {
		changed := 0
		err := s.verifyCopy(ctx, "forged", func(b []byte) []byte {
			changed += bytes.Count(b, []byte(holdReason))
			return bytes.ReplaceAll(b, []byte(holdReason), []byte("the month is being cooked"))
		})
		if changed == 0 {
			return errors.New("the register does not have the reason of the hold")
		}
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
			return fmt.Errorf("it passed, or failed in another way: %w", err)
		}
		return nil
	}, nil)
}

// verifyCopy copies the store, changed or not, and has it verified without a
// server.
func (s *Story) verifyCopy(ctx context.Context, name string, change func([]byte) []byte) error {
	dir := filepath.Join(s.Dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	files, err := filepath.Glob(s.Porter.Store() + "*") // the store and what is not yet in it
	if err != nil {
		return err
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if change != nil {
			b = change(b)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), b, 0o600); err != nil {
			return err
		}
	}
	store := filepath.Join(dir, filepath.Base(s.Porter.Store()))
	_, err = s.Porter.Command(ctx, "", "audit", "verify", "--store", "sqlite:"+store, "--anchor", s.anchor())
	return err
}
