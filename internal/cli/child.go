package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// child is a command of somebody's that we stand around.
type child struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
	err   error         // how; read it after ended
}

// start starts a command with our streams.
func (c *CLI) start(cmd *exec.Cmd) (*child, error) {
	cmd.Stdout, cmd.Stderr = c.cfg.Stdout, c.cfg.Stderr
	if f, ok := c.cfg.Stdin.(*os.File); ok {
		cmd.Stdin = f // itself: a copy would wait for input after the child's end
	}
	if err := cmd.Start(); err != nil {
		return nil, failed("the command cannot be run: %v", err)
	}
	ch := &child{cmd: cmd, ended: make(chan struct{})}
	go func() {
		ch.err = cmd.Wait()
		close(ch.ended)
	}()
	return ch, nil
}

// send sends a signal to a child, which may have ended.
func (ch *child) send(s os.Signal) { _ = ch.cmd.Process.Signal(s) }

// result is the exit of a child that has ended, as our own.
func (ch *child) result() error {
	<-ch.ended
	var ended *exec.ExitError
	switch {
	case ch.err == nil:
		return nil
	case !errors.As(ch.err, &ended):
		return failed("waiting for the command: %v", ch.err)
	}
	code := ended.ExitCode()
	if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal()) // as shells say it
	}
	return &exit{code: code}
}

// end has a child end: SIGTERM, and SIGKILL after grace. Signals go on to it
// meanwhile. byItself says that it had ended before it was asked.
func (ch *child) end(grace time.Duration, signals <-chan os.Signal) (byItself bool) {
	select {
	case <-ch.ended:
		return true
	default:
	}
	ch.send(syscall.SIGTERM)
	patience := time.NewTimer(grace)
	defer patience.Stop()
	for {
		select {
		case <-ch.ended:
			return false
		case s := <-signals:
			ch.send(s)
		case <-patience.C:
			ch.send(syscall.SIGKILL)
		}
	}
}

// runChild runs a command to its end, with our streams and the signals that we
// get. An interrupt of ours does not kill the child: it gets the signal, and
// decides.
func (c *CLI) runChild(ctx context.Context, cmd *exec.Cmd) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, c.forwarded()...)
	defer signal.Stop(signals)
	if err := ctx.Err(); err != nil {
		return err // interrupted before there was somebody to send it on to
	}
	ch, err := c.start(cmd)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ch.ended:
			return ch.result()
		case s := <-signals:
			ch.send(s)
		}
	}
}

// forwarded are the signals that go on to a child. What a terminal's keys send
// reaches every process in front of it already, so sending it on would double it.
// Whoever runs us catches it to end our context, so that we outlive the child.
func (c *CLI) forwarded() []os.Signal {
	list := []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2}
	if _, terminal := c.cfg.Terminal(c.cfg.Stdin); !terminal {
		list = append(list, syscall.SIGINT, syscall.SIGQUIT)
	}
	return list
}
