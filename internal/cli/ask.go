package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// consent is how a person agrees to something that cannot be taken back.
type consent struct {
	yes bool // --yes
	// name must be typed instead of a y; "" for none.
	name string
}

func (k *consent) flag(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&k.yes, "yes", "y", false, "do not ask")
}

// agree says what will happen and asks. Without a terminal it refuses, so that a
// script never hangs.
func (c *CLI) agree(k consent, plan ...string) error {
	for _, line := range plan {
		c.sayf("%s", clean(line))
	}
	if k.yes {
		return nil
	}
	if !c.canAsk() {
		return usage("this asks before it acts, and there is no terminal to ask at").hint("repeat it with --yes")
	}
	question, want := "Go on? [y/N] ", "y"
	if k.name != "" {
		question, want = fmt.Sprintf("Type %s to go on: ", clean(k.name)), k.name
	}
	_, _ = fmt.Fprint(c.cfg.Stderr, question)
	answer := strings.TrimSpace(c.readLine())
	if answer == want || k.name == "" && (strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes")) {
		return nil
	}
	return failed("nothing was changed")
}

func (c *CLI) canAsk() bool {
	_, in := c.cfg.Terminal(c.cfg.Stdin)
	return in && c.talk.terminal
}

// readLine reads a line and nothing after it.
func (c *CLI) readLine() string {
	line, _ := bufio.NewReader(oneByte{c.cfg.Stdin}).ReadString('\n')
	return strings.TrimRight(line, "\r\n")
}

// oneByte keeps a bufio.Reader from taking what comes after the line.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

// secretInput are the ways to hand a secret over. None is an argument: other
// people on the machine see those.
type secretInput struct {
	stdin bool
	file  string
}

func (s *secretInput) flags(cmd *cobra.Command, what string) {
	cmd.Flags().BoolVar(&s.stdin, what+"-stdin", false, "read the "+what+" from stdin")
	cmd.Flags().StringVar(&s.file, what+"-file", "", "read the "+what+" from a `file`")
	cmd.MarkFlagsMutuallyExclusive(what+"-stdin", what+"-file")
}

const maxSecret = 64 << 10

// read gets the secret: stdin, file, or a question at the terminal.
func (c *CLI) readSecret(s secretInput, what string) (string, error) {
	var b []byte
	var err error
	switch {
	case s.file != "":
		b, err = os.ReadFile(s.file)
	case s.stdin:
		b, err = io.ReadAll(io.LimitReader(c.cfg.Stdin, maxSecret))
	case c.canAsk():
		_, _ = fmt.Fprintf(c.cfg.Stderr, "%s: ", strings.ToUpper(what[:1])+what[1:])
		if f, ok := c.cfg.Stdin.(*os.File); ok {
			b, err = term.ReadPassword(int(f.Fd()))
		} else {
			b = []byte(c.readLine())
		}
		c.sayf("")
	default:
		return "", usage("the %s is needed, and there is no terminal to ask at", what).hint("use --%s-stdin or --%s-file", what, what)
	}
	if err != nil {
		return "", usage("the %s cannot be read: %v", what, err)
	}
	secret := strings.TrimRight(string(b), "\r\n")
	if secret == "" {
		return "", usage("the %s is empty", what)
	}
	return secret, nil
}
