// Demo is acme in a temporary folder: a forge with repositories, small services
// that run as real processes in dev, preprod and prod, and a Nightporter that was
// installed and configured as its users do it.
//
//	go run .                        build it, open a browser, keep running until Ctrl-C
//	go run . --story                play the whole story, check it against the world, exit
//	go run . --story --sabotage=X   break the world: the story must exit 1
//	go run . --list-sabotages
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"nightporter.dev/nightporter/demo/judge"
	"nightporter.dev/nightporter/demo/sabotage"
	"nightporter.dev/nightporter/demo/story"
	"nightporter.dev/nightporter/demo/world"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// The exit codes are those of nightporter itself.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// options are what the command line says.
type options struct {
	story    bool
	sabotage *sabotage.Sabotage
	binary   string
	patience time.Duration
	noOpen   bool
	// noDatabase does without PostgreSQL.
	noDatabase bool
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.story, "story", false, "play the whole story, check it against the world, and exit")
	name := flags.String("sabotage", "", "break the world in this way; the story must then fail")
	list := flags.Bool("list-sabotages", false, "say which ways there are to break the world, and exit")
	flags.StringVar(&o.binary, "binary", "", "the nightporter to use; without it, it is built")
	flags.DurationVar(&o.patience, "patience", world.Patience, "how long a check of the story may take to hold")
	flags.BoolVar(&o.noDatabase, "no-database", false, "do as if no PostgreSQL were installed here")
	flags.BoolVar(&o.noOpen, "no-open", false, "do not open a browser")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case err != nil:
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "error: %q is not understood\n", flags.Arg(0))
		return exitUsage
	}
	if *list {
		for _, s := range sabotage.All() {
			fmt.Fprintf(stdout, "%-15s %s\n%15s noticed at: %s\n", s.Name, s.What, "", s.Step)
		}
		return exitDone
	}
	if *name != "" {
		var err error
		if o.sabotage, err = sabotage.Named(*name); err != nil {
			fmt.Fprintln(stderr, "error:", err, "(see --list-sabotages)")
			return exitUsage
		}
		o.story = true
	}
	err := demo(ctx, o, stdin, stdout)
	switch left := (*leftover)(nil); {
	case errors.As(err, &left):
		fmt.Fprintln(stderr, "error:", left)
		return exitFailed
	case ctx.Err() != nil && o.story:
		fmt.Fprintln(stderr, "interrupted")
		return exitInterrupted
	case ctx.Err() != nil:
		return exitDone // Ctrl-C is how the demo is meant to end
	case err != nil:
		fmt.Fprintln(stderr, "error:", err)
		return exitFailed
	}
	return exitDone
}

// demo builds the world, plays in it, and takes it down, whatever happens.
func demo(ctx context.Context, o options, stdin io.Reader, stdout io.Writer) (err error) {
	if o.binary == "" {
		if o.binary, err = build(ctx, stdout); err != nil {
			return err
		}
	}
	began := time.Now()
	opts := world.Options{Binary: o.binary, NoDatabase: o.noDatabase, Progress: func(format string, args ...any) {
		fmt.Fprintf(stdout, "  · "+format+"\n", args...)
	}}
	if o.story {
		// Only the story asks for it: the descriptions take a moment to load.
		if opts.Contract, err = githubtest.SharedContract(); err != nil {
			return err
		}
	}
	if o.sabotage != nil {
		dir, err := os.MkdirTemp("", "nightporter-sabotage-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if err := o.sabotage.Plan(&opts, dir); err != nil {
			return err
		}
	}
	w, err := world.New(ctx, opts)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "  · ready after %.1f s\n", time.Since(began).Seconds())
	s := &story.Story{World: w, Patience: o.patience, Out: stdout}
	if o.sabotage != nil {
		s.Meddler = o.sabotage
	}
	if o.story {
		err = s.Tell(ctx, story.Chapters)
	} else {
		err = live(ctx, s, o, stdin, stdout)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(stdout, "\nThe end of Nightporter's log:")
		w.Log(stdout, 30)
	}
	if err := leave(w, stdout); err != nil {
		return &leftover{err}
	}
	if err == nil && o.story {
		fmt.Fprintf(stdout, "\n%d steps in %.0f s, and everything held.\n", s.Steps(), time.Since(began).Seconds())
		if n := s.Skipped(); n > 0 {
			fmt.Fprintf(stdout, "%d STEPS WERE NOT RUN: NO POSTGRESQL (%s). Nothing is shown of leased logins.\n", n, w.WhyNoDatabase)
		}
	}
	return err
}

// leftover is that something of the world is still there, or may be.
type leftover struct{ error }

func (l *leftover) Unwrap() error { return l.error }

// leave takes the world down and looks whether anything is left of it.
func leave(w *world.World, stdout io.Writer) error {
	if err := w.Close(); err != nil {
		return fmt.Errorf("taking the demo down: %w", err)
	}
	left, err := judge.Proc{Dir: w.Dir}.All()
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("%d processes are left: %v", len(left), left)
	}
	if _, err := os.Stat(w.Dir); !os.IsNotExist(err) {
		return fmt.Errorf("the folder %s is left", w.Dir)
	}
	fmt.Fprintln(stdout, "\nNo process and no file is left.")
	return nil
}
