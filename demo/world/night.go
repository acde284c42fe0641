package world

import (
	"context"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // dev's evening is London's on every machine
)

// Infrastructure is the repository of what dev is made of.
const Infrastructure = "infra"

// London is where dev's evening comes at nine.
var London = london()

func london() *time.Location {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		panic(err) // it is compiled in
	}
	return zone
}

// Components are the files of the infrastructure's repository: dev with these
// components, each of which needs the one before it.
func Components(names ...string) map[string]string {
	var b strings.Builder
	b.WriteString("components:\n")
	for i, name := range names {
		fmt.Fprintf(&b, "  - name: %s\n    kind: process\n    command: [/bin/sleep, infinity]\n", name)
		if i > 0 {
			fmt.Fprintf(&b, "    needs: [%s]\n", names[i-1])
		}
	}
	return map[string]string{"dev/environment.yaml": b.String()}
}

// awake waits until dev has been built.
func (w *World) awake(ctx context.Context) error {
	return w.Until(ctx, "dev is up", func(context.Context) error {
		all, err := w.Proc.In("dev")
		if err == nil && len(all) == 0 {
			err = fmt.Errorf("nothing of it is there")
		}
		return err
	})
}

// ClockAt moves the clock forward to a time of its day in London.
func (w *World) ClockAt(hour, minute int) error {
	now := w.Clock.Now().In(London)
	to := time.Date(now.Year(), now.Month(), now.Day(), hour, minute, 0, 0, London)
	if !to.After(now) {
		return fmt.Errorf("it is %s already, later than %02d:%02d", now.Format("15:04"), hour, minute)
	}
	return w.Clock.Jump(to.Sub(now))
}
