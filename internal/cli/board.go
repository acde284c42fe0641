package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

func (c *CLI) boardCommand() *cobra.Command {
	var local, watch bool
	var config string
	cmd := &cobra.Command{
		Use: "board", Short: "What runs where, and how far production is behind main",
		Example: `  nightporter release board
  nightporter release board --watch
  nightporter release board --json | jq '.items[] | select(.production.behind > 0) | .service'`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if local {
				return c.localBoard(cmd.Context(), config)
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			if watch {
				return c.watchBoard(cmd.Context(), api)
			}
			b, err := readBoard(cmd.Context(), api)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(items[client.BoardRow]{b.Rows})
			}
			c.drawBoard(c.cfg.Stdout, b)
			return nil
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show every change, until interrupted")
	if c.cfg.LocalBoard != nil {
		cmd.Flags().BoolVar(&local, "local", false, "without a server: from the configuration and the forge")
		cmd.Flags().StringVar(&config, "config", "", "the configuration `file` for --local")
		cmd.MarkFlagsMutuallyExclusive("local", "watch")
	}
	return cmd
}

func (c *CLI) localBoard(ctx context.Context, config string) error {
	path, _ := c.configPath(config)
	b, err := c.cfg.LocalBoard(ctx, LocalOptions{Config: path})
	if err != nil {
		return err
	}
	if b.Rows == nil {
		b.Rows = []client.BoardRow{}
	}
	if c.json {
		return c.printJSON(items[client.BoardRow]{b.Rows})
	}
	c.drawBoard(c.cfg.Stdout, b)
	return nil
}

// readBoard reads the rows, and the order of the columns. A board whose order
// cannot be read is still a board.
func readBoard(ctx context.Context, api *client.Client) (LocalBoard, error) {
	rows, err := api.Board(ctx)
	if err != nil {
		return LocalBoard{}, err
	}
	b := LocalBoard{Rows: rows}
	if list, err := api.Services(ctx); err == nil {
		b.Environments = pipeline(list)
	}
	return b, nil
}

// pipeline lists the environments by how far down the pipeline of any service
// they stand.
func pipeline(services []client.Service) []string {
	stage := map[string]int{}
	var order []string
	for _, s := range services {
		for i, envs := range s.Stages {
			for _, env := range envs {
				if _, ok := stage[env]; !ok {
					order = append(order, env)
				}
				stage[env] = max(stage[env], i)
			}
		}
	}
	slices.SortStableFunc(order, func(a, b string) int { return stage[a] - stage[b] })
	return order
}

// watchBoard draws the board anew whenever something changes: on a terminal in
// place, elsewhere one after another, as JSON one a line.
func (c *CLI) watchBoard(ctx context.Context, api *client.Client) error {
	last := ""
	draw := func() error {
		b, err := readBoard(ctx, api)
		if err != nil {
			return err
		}
		var out strings.Builder
		if c.json {
			enc := json.NewEncoder(&out)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(items[client.BoardRow]{b.Rows}); err != nil {
				return fmt.Errorf("writing JSON: %w", err)
			}
		} else {
			c.drawBoard(&out, b)
		}
		if out.String() == last {
			return nil
		}
		switch {
		case c.json:
		case c.out.terminal:
			c.printf("\x1b[H\x1b[2J") // home, and clear
		case last != "":
			c.printf("\n")
		}
		last = out.String()
		c.printf("%s", last)
		if !c.json && c.out.terminal {
			c.printf("\n%s\n", c.out.paint(quiet, "as of "+c.cfg.Now().Format("15:04:05")+", live"))
		}
		return nil
	}
	if err := draw(); err != nil {
		return err
	}
	for _, err := range api.Events(ctx, "board") {
		if err != nil {
			return err
		}
		if err := draw(); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return (&exit{code: exitInterrupted})
}

// drawBoard writes the board. A terminal gets its answer in the first line and
// what needs a person below.
func (c *CLI) drawBoard(w io.Writer, b LocalBoard) {
	if len(b.Rows) == 0 {
		c.sayf("No services yet. Write the first one into nightporter.yaml, under services.")
		return
	}
	envs := b.columns()
	if c.out.terminal {
		_, _ = fmt.Fprintf(w, "%s\n\n", c.out.paint(strong, c.headline(b.Rows)))
	}
	t := table{columns: []column{{head: "Service"}, {head: "Owner", spare: 2}}}
	for _, env := range envs {
		t.columns = append(t.columns, column{head: env})
	}
	t.columns = append(t.columns, column{head: "Behind", right: true}, column{head: "Oldest", spare: 1, right: true})
	for _, row := range b.Rows {
		cells := []cell{{clean(row.Service), strong}, dim(row.Owner)}
		for _, env := range envs {
			cells = append(cells, c.place(row, env))
		}
		t.add(append(cells, c.behind(row)...)...)
	}
	t.write(w, c.out)
	if !c.out.terminal {
		return
	}
	if notes := c.boardNotes(b.Rows); len(notes) > 0 {
		_, _ = fmt.Fprintln(w)
		for _, note := range notes {
			_, _ = fmt.Fprintln(w, note)
		}
	}
}

// columns are the environments in the order of the pipeline; those that nobody
// ordered come by name, production last.
func (b LocalBoard) columns() []string {
	there := map[string]bool{}
	for _, row := range b.Rows {
		for env := range row.Environments {
			there[env] = true
		}
	}
	var out []string
	for _, env := range b.Environments {
		if there[env] {
			out = append(out, env)
			delete(there, env)
		}
	}
	rest := slices.Sorted(maps.Keys(there))
	slices.SortStableFunc(rest, func(a, b string) int {
		return strings.Compare(productionLast(a), productionLast(b))
	})
	return append(out, rest...)
}

func productionLast(env string) string {
	if strings.HasPrefix(env, "prod") {
		return "\uffff" + env
	}
	return env
}

// place is what one environment runs, and what is about to change there.
func (c *CLI) place(row client.BoardRow, env string) cell {
	p, ok := row.Environments[env]
	if !ok {
		return cell{}
	}
	if p.State == "none" {
		return dim("–")
	}
	l := lookOf(p.State)
	words := []string{}
	if c.out.terminal {
		words = append(words, l.icon)
	}
	if p.Version != "" {
		words = append(words, p.Version)
	}
	switch p.State {
	case "deploying", "waiting", "held":
		if row.Release != nil && row.Release.Version != p.Version {
			words = append(words, "→ "+row.Release.Version)
		}
	}
	if p.State != "healthy" || !c.out.terminal {
		words = append(words, l.word)
	}
	return cell{clean(strings.Join(words, " ")), l.meaning}
}

func (c *CLI) behind(row client.BoardRow) []cell {
	p := row.Production
	switch {
	case p.Behind > 0:
		return []cell{{count(p.Behind, "merge"), needs}, text(c.ago(p.OldestUnreleased))}
	case !p.Released:
		return []cell{dim("never released"), {}}
	}
	return []cell{dim("–"), {}}
}

// headline answers the board's question: how far behind is production?
func (c *CLI) headline(rows []client.BoardRow) string {
	behind, never := 0, 0
	var oldest time.Time
	for _, row := range rows {
		p := row.Production
		if !p.Released {
			never++
		}
		if p.Behind == 0 {
			continue
		}
		behind++
		if at := p.OldestUnreleased; oldest.IsZero() || !at.IsZero() && at.Before(oldest) {
			oldest = at
		}
	}
	switch {
	case behind == 0 && never == len(rows):
		return "Nothing was released to production yet."
	case behind == 0:
		return "Everything on main is in production."
	}
	line := fmt.Sprintf("Production is behind main for %d of %s", behind, count(len(rows), "service"))
	if age := c.ago(oldest); age != "" && age != "now" {
		line += "; the oldest change has waited " + age
	}
	return line + "."
}

// boardNotes say what needs a person, and the command for it.
func (c *CLI) boardNotes(rows []client.BoardRow) []string {
	var notes []string
	say := func(state, what, command string) {
		l := lookOf(state)
		note := c.out.paint(l.meaning, l.icon) + " " + clean(what)
		if command != "" {
			note += "  " + c.out.paint(quiet, command)
		}
		notes = append(notes, note)
	}
	shown := map[string]bool{}
	for _, row := range rows {
		for _, env := range slices.Sorted(maps.Keys(row.Environments)) {
			if f := row.Environments[env].Frozen; f != nil && !shown[env] {
				shown[env] = true
				say("held", frozenLine(c, *f), "")
			}
		}
	}
	for _, row := range rows {
		if row.Hold != nil {
			say("held", fmt.Sprintf("%s is on hold by %s: %s", row.Service, row.Hold.Person, row.Hold.Reason),
				"nightporter release unhold "+row.Service)
		}
		r := row.Release
		if r == nil {
			continue
		}
		name := row.Service + " " + r.Version
		switch r.State {
		case "waiting":
			say(r.State, name+" waits for an approval", "nightporter release approve "+row.Service)
		case "held":
			if row.Hold == nil {
				say(r.State, name+": "+r.Message, "")
			}
		case "rolled_back", "failed", "rejected":
			what := name + " " + lookOf(r.State).word
			if r.Message != "" {
				what += ": " + r.Message
			}
			say(r.State, what, "nightporter release show "+r.ID)
		}
	}
	return notes
}
