package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (c *CLI) manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man [DIR]", Short: "Print the manual page, or write all of them into a folder",
		Example: `  nightporter man | man -l -
  nightporter man /usr/local/share/man/man1`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				c.printf("%s", manPage(cmd.Root(), c.cfg.Version))
				return nil
			}
			n := 0
			var write func(*cobra.Command) error
			write = func(cmd *cobra.Command) error {
				name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
				if err := os.MkdirAll(args[0], 0o755); err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(manPage(cmd, c.cfg.Version)), 0o644); err != nil {
					return fmt.Errorf("writing the manual: %w", err)
				}
				n++
				commands, topics := children(cmd)
				for _, sub := range append(commands, topics...) {
					if err := write(sub); err != nil {
						return err
					}
				}
				return nil
			}
			if err := write(cmd.Root()); err != nil {
				return err
			}
			c.sayf("%s written to %s", count(n, "page"), args[0])
			return nil
		},
	}
}

// manPage writes a command's help as a page for man(1), in the man(7) macros.
func manPage(cmd *cobra.Command, version string) string {
	var b strings.Builder
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	p(`.TH "%s" "1" "" "nightporter %s" "Nightporter"`, strings.ToUpper(roff(name)), roff(version))
	p(".SH NAME\n%s \\- %s", roff(name), roff(lowerFirst(strings.TrimSuffix(cmd.Short, "."))))
	if !isTopic(cmd) {
		p(".SH SYNOPSIS\n.B %s", roff(usageLine(cmd)))
	}
	if cmd.Long != "" {
		p(".SH DESCRIPTION\n.nf\n%s\n.fi", roff(strings.Trim(cmd.Long, "\n")))
	}
	if cmd.Example != "" {
		p(".SH EXAMPLES\n.nf\n%s\n.fi", roff(strings.Trim(cmd.Example, "\n")))
	}
	commands, topics := children(cmd)
	if len(commands)+len(topics) > 0 {
		p(".SH COMMANDS")
		for _, sub := range append(commands, topics...) {
			p(".TP\n.BR %s (1)\n%s", roff(strings.ReplaceAll(sub.CommandPath(), " ", "-")), roff(sub.Short))
		}
	}
	options := func(title string, flags *pflag.FlagSet) {
		if !flags.HasAvailableFlags() {
			return
		}
		p(".SH %s", title)
		flags.VisitAll(func(f *pflag.Flag) {
			value, usage := pflag.UnquoteUsage(f)
			short := ""
			if f.Shorthand != "" {
				short = "-" + f.Shorthand + ", "
			}
			p(".TP\n\\fB%s\\fR %s\n%s", roff(short+"--"+f.Name), roff(value), roff(usage))
		})
	}
	if !isTopic(cmd) {
		options("OPTIONS", cmd.LocalFlags())
		options("OPTIONS OF EVERY COMMAND", cmd.InheritedFlags())
		p(".SH EXIT STATUS")
		for _, e := range exitCodes {
			p(".TP\n%d\n%s", e.code, roff(e.text))
		}
	}
	return b.String()
}

// roff escapes what troff would take for its own: backslashes, hyphens that must
// stay hyphens, and a control character at the start of a line.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
