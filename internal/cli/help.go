package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// help writes what a command does, examples first.
func (c *CLI) help(cmd *cobra.Command, _ []string) {
	c.setStyles()
	w, s := cmd.OutOrStdout(), c.styleOf(cmd.OutOrStdout())
	head := func(text string) { _, _ = fmt.Fprintf(w, "\n%s\n", s.paint(strong, text)) }
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, "  "+format+"\n", args...) }

	_, _ = fmt.Fprintln(w, cmd.Short)
	if cmd.Long != "" {
		_, _ = fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(cmd.Long))
	}
	if cmd.Example != "" {
		head("Examples")
		_, _ = fmt.Fprintln(w, strings.Trim(cmd.Example, "\n"))
	}
	if isTopic(cmd) {
		return
	}
	head("Usage")
	line("%s", usageLine(cmd))
	commands, topics := children(cmd)
	if len(commands) > 0 {
		head("Commands")
		summaries(w, commands)
	}
	if len(topics) > 0 {
		head("More help")
		summaries(w, topics)
	}
	flagList(w, head, "Flags", cmd.LocalFlags())
	flagList(w, head, "Flags of every command", cmd.InheritedFlags())
	head("Exit codes")
	if cmd.HasParent() {
		codes := make([]string, len(exitCodes))
		for i, e := range exitCodes {
			short, _, _ := strings.Cut(e.text, ",")
			short, _, _ = strings.Cut(short, ";")
			codes[i] = fmt.Sprintf("%d %s", e.code, short)
		}
		line("%s", strings.Join(codes[:4], " · "))
		line("%s", strings.Join(codes[4:], " · "))
		return
	}
	for _, e := range exitCodes {
		line("%-4d %s", e.code, e.text)
	}
}

func usageLine(cmd *cobra.Command) string {
	if cmd.HasAvailableSubCommands() && cmd.Args != nil {
		return cmd.CommandPath() + " COMMAND"
	}
	return cmd.UseLine()
}

// children are the commands below cmd, and the pages that are only text.
func children(cmd *cobra.Command) (commands, topics []*cobra.Command) {
	for _, sub := range cmd.Commands() {
		switch {
		case isTopic(sub):
			topics = append(topics, sub)
		case sub.IsAvailableCommand():
			commands = append(commands, sub)
		}
	}
	return commands, topics
}

func isTopic(cmd *cobra.Command) bool { return !cmd.Runnable() && !cmd.HasSubCommands() }

func summaries(w io.Writer, list []*cobra.Command) {
	width := 0
	for _, cmd := range list {
		width = max(width, len(cmd.Name()))
	}
	for _, cmd := range list {
		_, _ = fmt.Fprintf(w, "  %-*s  %s\n", width, cmd.Name(), cmd.Short)
	}
}

func flagList(w io.Writer, head func(string), title string, flags *pflag.FlagSet) {
	text := strings.TrimRight(flags.FlagUsages(), "\n")
	if text == "" {
		return
	}
	head(title)
	_, _ = fmt.Fprintln(w, text)
}

// topics are pages of `nightporter help` that are no commands.
func topics() []*cobra.Command {
	var codes strings.Builder
	for _, e := range exitCodes {
		_, _ = fmt.Fprintf(&codes, "  %-4d %s\n", e.code, e.text)
	}
	return []*cobra.Command{
		{Use: "exit-codes", Short: "What the exit codes mean", Long: "Scripts may rely on these:\n\n" + codes.String()},
		{Use: "variables", Short: "What is read from the environment", Long: `  NIGHTPORTER_ADDR     the server's URL; then VAULT_ADDR, then http://127.0.0.1:8200
  NIGHTPORTER_TOKEN    the token; then VAULT_TOKEN, then the file ~/.vault-token
  NIGHTPORTER_CONFIG   the configuration file; else ./nightporter.yaml
  NO_COLOR             no colour
  FORCE_COLOR          colour although it is not a terminal

A flag comes before the variable that says the same. Because Vault's variables
and file count too, vault and nightporter share a session.`},
	}
}
