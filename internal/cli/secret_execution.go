package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"nightporter.dev/nightporter/client"
)

// execution is one `secret exec`: a command, and the logins that it has one after
// another.
type execution struct {
	c       *CLI
	api     *client.Client
	path    string // where logins are asked for
	program string
	args    []string // with the command's name first
	prefix  string   // of the variables
	file    string   // "" puts the login into the environment
	format  string
	change  onChange
	signal  syscall.Signal
	overlap time.Duration
	grace   time.Duration

	mu  sync.Mutex
	out map[string]bool // the leases that are not revoked yet
}

// held is a login and its lease.
type held struct {
	login
	secret *client.Secret
}

// run runs the command to its end. Every login that was made is revoked then.
func (x *execution) run(ctx context.Context) error {
	now, err := x.fetch(ctx)
	defer x.endAll(ctx)
	if err != nil {
		return err
	}
	if x.file != "" {
		if err := x.write(now); err != nil {
			return err
		}
		defer func() { _ = os.Remove(x.file) }()
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, x.c.forwarded()...)
	defer signal.Stop(signals)
	if err := ctx.Err(); err != nil {
		return err // interrupted before there was somebody to send it on to
	}
	ch, err := x.c.start(x.command(now))
	if err != nil {
		return err
	}
	asked := ctx // its end says that the command is to end, and not to come back
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	changes := make(chan held)
	var wait sync.WaitGroup
	defer wait.Wait()
	defer stop()
	wait.Go(func() { x.keep(ctx, now, changes) })
	for {
		select {
		case <-ch.ended:
			return ch.result()
		case s := <-signals:
			ch.send(s)
		case next := <-changes:
			old := now.secret.LeaseID
			now = next
			if x.file != "" {
				if err := x.write(now); err != nil {
					x.c.warn([]string{err.Error()})
					continue // the old one is all that the command has
				}
			}
			if x.change == changeRestarts {
				if ch.end(x.grace, signals) || asked.Err() != nil {
					return ch.result()
				}
				if ch, err = x.c.start(x.command(now)); err != nil {
					return err
				}
				wait.Go(func() { x.revoke(ctx, old) })
				continue
			}
			if x.change == changeSignals {
				ch.send(x.signal)
			}
			wait.Go(func() {
				select {
				case <-ctx.Done(): // with all the others
				case <-time.After(x.overlap):
					x.revoke(ctx, old)
				}
			})
		}
	}
}

// fetch asks for a login.
func (x *execution) fetch(ctx context.Context) (held, error) {
	secret, err := x.api.ReadSecret(ctx, x.path)
	if err != nil {
		return held{}, err
	}
	x.mu.Lock()
	if x.out == nil {
		x.out = map[string]bool{}
	}
	x.out[secret.LeaseID] = true
	x.mu.Unlock()
	l, err := readLogin(secret)
	return held{l, secret}, err
}

// keep renews the login, and hands over another one when it cannot be renewed any
// more, until ctx ends.
func (x *execution) keep(ctx context.Context, now held, changes chan<- held) {
	for {
		why := x.c.keepLease(ctx, x.api, now.secret)
		if why == "" {
			return
		}
		next, ok := x.another(ctx, now)
		if !ok {
			if ctx.Err() == nil {
				x.c.warn([]string{why})
			}
			return
		}
		x.c.sayf("%s %s", clean(upperFirst(why)+"."), map[onChange]string{
			changeRestarts: "There is a new one, and the command is started again with it.",
			changeSignals:  "There is a new one in the file, and the command gets the signal.",
			changeWrites:   "There is a new one in the file.",
		}[x.change])
		select {
		case changes <- next:
			now = next
		case <-ctx.Done():
			return
		}
	}
}

// another asks for a new login until there is one. It gives up on a refusal, and
// when ctx ends.
func (x *execution) another(ctx context.Context, old held) (next held, ok bool) {
	said := false
	for {
		// The end does not interrupt it: what was made must be known, to be revoked.
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		next, err := x.fetch(asking)
		cancel()
		switch {
		case err == nil:
			return next, true
		case ctx.Err() != nil:
			return held{}, false
		case refused(err):
			x.c.warn([]string{"there is no new login: " + err.Error()})
			return held{}, false
		case !said:
			said = true
			x.c.warn([]string{"there is no new login yet, and it is asked for again: " + err.Error()})
		}
		select {
		case <-ctx.Done():
			return held{}, false
		case <-time.After(min(max(time.Second, old.secret.TTL()/20), 30*time.Second)):
		}
	}
}

// revoke ends one of our leases, unless it was ended already.
func (x *execution) revoke(ctx context.Context, id string) {
	x.mu.Lock()
	ours := x.out[id]
	delete(x.out, id)
	x.mu.Unlock()
	if ours {
		x.c.endLease(ctx, x.api, id)
	}
}

// endAll ends what is left.
func (x *execution) endAll(ctx context.Context) {
	x.mu.Lock()
	var ids []string
	for id := range x.out {
		ids = append(ids, id)
	}
	x.mu.Unlock()
	for _, id := range ids {
		x.revoke(ctx, id)
	}
}

// command is the command with a login.
func (x *execution) command(h held) *exec.Cmd {
	cmd := exec.Command(x.program, x.args[1:]...)
	cmd.Args[0] = x.args[0]
	cmd.Env = x.c.childEnv(x.prefix+"USERNAME", x.prefix+"PASSWORD", x.prefix+"FILE")
	if x.file != "" {
		cmd.Env = append(cmd.Env, x.prefix+"FILE="+x.file)
	} else {
		cmd.Env = append(cmd.Env, x.prefix+"USERNAME="+h.Username, x.prefix+"PASSWORD="+h.Password)
	}
	return cmd
}

// write replaces the file at once, so that nobody reads half of it, and for its
// owner only.
func (x *execution) write(h held) error {
	var text []byte
	if x.format == "json" {
		var err error
		text, err = json.Marshal(map[string]string{"username": h.Username, "password": h.Password, "lease_id": h.secret.LeaseID})
		if err != nil {
			return err
		}
		text = append(text, '\n')
	} else {
		text = fmt.Appendf(nil, "%sUSERNAME=%s\n%sPASSWORD=%s\n", x.prefix, shellQuote(h.Username), x.prefix, shellQuote(h.Password))
	}
	f, err := os.CreateTemp(filepath.Dir(x.file), "."+filepath.Base(x.file)+"-*") // mode 0600
	if err != nil {
		return failed("the login cannot be written: %v", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), x.file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return failed("the login cannot be written: %v", err)
	}
	return nil
}

// plainWord needs no quotes in a shell, or in a file of variables.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

func shellQuote(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
