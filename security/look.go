package security

import (
	"context"
	"errors"
	"time"

	"nightporter.dev/nightporter"
)

// lookEvery is the time between two looks. What is due by the day needs no hurry.
const lookEvery = time.Minute

// Run looks at what changes by the passing of time, until ctx ends.
func (s *Security) Run(ctx context.Context) {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("security", ""))
	for {
		if err := s.Look(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("look at findings and risks", "error", err)
		}
		timer := time.NewTimer(lookEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// Look opens what was accepted until now, and what is to be reviewed.
func (s *Security) Look(ctx context.Context) error {
	now := s.cfg.Now()
	return errors.Join(s.expire(ctx, now), s.review(ctx, now))
}
