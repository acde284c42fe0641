package story

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"nightporter.dev/nightporter/demo/judge"
)

// end: the porter can leave without its services noticing, and they leave when
// they are asked.
func end(s *Story) {
	s.Step("the forge saw no call that GitHub would not understand", nil, func(context.Context) error {
		if v := s.Forge.Violations(); len(v) > 0 {
			return fmt.Errorf("%d did not keep GitHub's contract; the first: %s", len(v), v[0])
		}
		return nil
	})

	s.Step("the porter is stopped, and the services go on", func(ctx context.Context) error {
		watch, err := s.Proc.Keep(ctx, "ledger", "prod")
		if err != nil {
			return err
		}
		err = s.Porter.Stop()
		_, wrong := watch.Stop()
		return errors.Join(err, wrong)
	}, func(ctx context.Context) error {
		return errors.Join(s.runs(ctx, s.ledger, "dev", "preprod"), s.runs(ctx, s.inProd, "prod"))
	})

	s.tamper()

	s.Step(StepEnd, func(context.Context) error {
		return s.EndServices(syscall.SIGTERM)
	}, func(context.Context) error {
		all, err := s.Proc.All()
		if err != nil || len(all) > 0 {
			return errors.Join(err, fmt.Errorf("%d processes are left: %v", len(all), all))
		}
		starts, err := judge.Starts(s.StartLog)
		return errors.Join(err, judge.Once(starts))
	})
}
