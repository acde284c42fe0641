package run

import (
	"context"
	"sync"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
)

// drive begins whatever a run's next steps are.
func (e *Engine) drive(ctx context.Context, wg *sync.WaitGroup, id string) {
	var r *Run
	err := e.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		r, err = Get(ctx, tx, id)
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			e.cfg.Log.ErrorContext(ctx, "read a run", "run", id, "error", err)
			e.mu.Lock()
			e.todo[id], e.away = true, true
			e.mu.Unlock()
		}
		return
	}
	if r.State.Over() {
		return
	}
	if unknown := e.unknownKind(r); unknown != "" {
		e.pause(ctx, r, unknown)
		return
	}
	for i := range r.Steps {
		if e.turn(r, &r.Steps[i]) {
			e.begin(ctx, wg, r, r.Steps[i].N)
		}
	}
}

// turn says whether there is something to do at a step now.
func (e *Engine) turn(r *Run, s *Step) bool {
	at := s.State == Starting || s.State == Running || s.State == Waiting
	due := s.NotBefore.IsZero() || !s.NotBefore.After(e.cfg.Clock.Now())
	switch {
	case s.State == Pending:
		return r.State != cancelling && due && ready(r, s)
	case at && r.State != cancelling:
		return due
	}
	return at
}

// begin gives a step to a goroutine, unless one has it: that one is then told to
// have the step looked at once more. The goroutine reads the step again: from now
// on nobody else changes it, but before that somebody may have.
func (e *Engine) begin(ctx context.Context, wg *sync.WaitGroup, r *Run, n int) {
	key := stepKey{r.ID, n}
	e.mu.Lock()
	defer e.mu.Unlock()
	if t := e.busy[key]; t != nil {
		t.missed = true
		return
	}
	sctx, stop := context.WithCancel(ctx)
	sctx = nightporter.WithRequestID(nightporter.WithActor(sctx, nightporter.SystemActor("run", r.Cause)), r.RequestID)
	t := &task{stop: stop}
	e.busy[key] = t
	wg.Go(func() {
		again := e.work(ctx, sctx, key)
		stop()
		e.mu.Lock()
		delete(e.busy, key)
		again = again || t.missed
		e.mu.Unlock()
		if again && ctx.Err() == nil {
			e.look(key.run)
		}
	})
}

// work reads a step and takes it as far as it goes; see [worker.work].
func (e *Engine) work(root, ctx context.Context, key stepKey) (again bool) {
	var r *Run
	err := e.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		r, err = Get(ctx, tx, key.run)
		return err
	})
	if err != nil {
		return sleep(root, firstRest)
	}
	if r.State.Over() || !e.turn(r, &r.Steps[key.n]) {
		return false
	}
	return (&worker{e: e, run: r, step: r.Steps[key.n]}).work(root, ctx)
}

// ready says that everything that a step stands after has succeeded.
func ready(r *Run, s *Step) bool {
	for _, name := range s.After {
		if before := r.Step(name); before == nil || before.State != Succeeded {
			return false
		}
	}
	return true
}

func (e *Engine) unknownKind(r *Run) string {
	for i := range r.Steps {
		if s := &r.Steps[i]; !s.State.Over() && e.handlers[s.Kind] == nil {
			return s.Kind
		}
	}
	return ""
}

// pause makes it visible that a newer binary began this run.
func (e *Engine) pause(ctx context.Context, r *Run, kind string) {
	if r.State == Paused {
		return
	}
	r.State = Paused
	r.Message = "this version of nightporter does not know steps of the kind " + kind + ": a newer one began this run"
	err := e.cfg.Gate.Keep(ctx, "run.pause", func(tx *store.Tx) error { return setRun(ctx, tx, r) })
	if err != nil && ctx.Err() == nil {
		e.cfg.Log.ErrorContext(ctx, "pause a run", "run", r.ID, "error", err)
	}
	e.cfg.Changed(r.ID)
}
