package security

import (
	"context"
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

// Look opens what was accepted until now.
func (s *Security) Look(ctx context.Context) error {
	return s.expire(ctx, s.cfg.Now())
}
