package cli

import (
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

func (c *CLI) auditCommands() *cobra.Command {
	return noun("audit", "The register: who did what, and proof that nobody changed it",
		`  nightporter audit list --actor ana
  nightporter audit verify
  nightporter audit checkpoint > anchor.note`,
		c.auditList(), c.auditVerify(), c.auditCheckpoint(), c.auditAnchors(), c.auditProof())
}

func (c *CLI) auditList() *cobra.Command {
	var f client.AuditFilter
	limit := 0
	cmd := &cobra.Command{
		Use: "list", Short: "Entries of the log, newest first",
		Example: `  nightporter audit list --resource release --limit 20
  nightporter audit list --actor ana --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			f.PageSize = limit
			list, err := client.First(api.Audit(cmd.Context(), f), limit)
			if err != nil {
				return err
			}
			columns := []column{{head: "Entry", right: true}, {head: "When"}, {head: "Who"}, {head: "Did"}, {head: "To"}, {head: "Result"}, {head: "Request", spare: 1}}
			return printList(c, list, "No entries.", columns, func(e client.Entry) []cell {
				who := e.Actor.Name
				if e.Actor.OnBehalfOf != "" {
					who += " for " + e.Actor.OnBehalfOf
				}
				result := cell{clean(e.Decision), good}
				if e.Decision != "allowed" {
					result.meaning = bad
				}
				return []cell{dim(strconv.FormatInt(e.Seq, 10)), text(c.stamp(e.At)), text(who), {clean(e.Action), strong}, text(e.Resource.String()), result, dim(e.RequestID)}
			})
		},
	}
	cmd.Flags().StringVar(&f.Actor, "actor", "", "only by this `name`, or on its behalf")
	cmd.Flags().StringVar(&f.Resource, "resource", "", "only to this `resource`: release/rel_1, or a kind: release")
	limitFlag(cmd, &limit, 50)
	return cmd
}

func (c *CLI) auditVerify() *cobra.Command {
	var o VerifyOptions
	var anchors []string
	cmd := &cobra.Command{
		Use: "verify", Short: "Recompute the whole log and say what does not fit",
		Long: `Without --store or --file the server verifies itself. Against a server that lies,
verify a copy of its store, with a checkpoint that was kept elsewhere as anchor.`,
		Example: `  nightporter audit verify
  nightporter audit verify --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(anchors) > 0 && o.Store == "" && o.File == "" {
				return usage("an anchor is held against a copy of the log, not against what the server says of itself").
					hint("add --store or --file")
			}
			for _, path := range anchors {
				note, err := c.readFileOrStdin(path)
				if err != nil {
					return err
				}
				o.Anchors = append(o.Anchors, string(note))
			}
			report, err := c.verify(cmd, o)
			if err != nil {
				return err
			}
			if c.json {
				if err := c.printJSON(report); err != nil {
					return err
				}
			}
			if n := len(report.Damage); n > 0 {
				err := failed("the audit log is damaged: %s", count(n, "finding"))
				if !c.json {
					err.lines = report.Damage
				}
				return err.hint("keep a copy of the store as it is, and find out who had access to it")
			}
			if !c.json {
				c.printf("%s The audit log is whole: %s, %s.\n", c.out.paint(good, "✓"), entries(report.Entries), count(report.Checkpoints, "checkpoint"))
				pairs(c.cfg.Stdout, c.out, [2]string{"Root", clean(report.Root)})
			}
			return nil
		},
	}
	if c.cfg.VerifyAudit != nil {
		cmd.Example += `
  nightporter audit verify --store sqlite:copy.db --anchor anchor.note`
		cmd.Flags().StringVar(&o.Store, "store", "", "verify the log in this store: a `URL`")
		cmd.Flags().StringVar(&o.File, "file", "", "verify an export: a `file`")
		cmd.MarkFlagsMutuallyExclusive("store", "file")
		cmd.Flags().StringArrayVar(&anchors, "anchor", nil, "a `file` with a checkpoint that was kept elsewhere; may be repeated")
	}
	return cmd
}

func (c *CLI) verify(cmd *cobra.Command, o VerifyOptions) (client.Report, error) {
	if o.Store != "" || o.File != "" {
		return c.cfg.VerifyAudit(cmd.Context(), o)
	}
	api, err := c.api()
	if err != nil {
		return client.Report{}, err
	}
	return api.VerifyAudit(cmd.Context())
}

func entries(n int64) string {
	if n == 1 {
		return "1 entry"
	}
	return strconv.FormatInt(n, 10) + " entries"
}

// readFileOrStdin reads a file; "-" is stdin.
func (c *CLI) readFileOrStdin(path string) ([]byte, error) {
	const most = 16 << 20
	var b []byte
	var err error
	if path == "-" {
		b, err = io.ReadAll(io.LimitReader(c.cfg.Stdin, most))
	} else {
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, usage("%s cannot be read: %v", path, err)
	}
	return b, nil
}

func (c *CLI) auditCheckpoint() *cobra.Command {
	return &cobra.Command{
		Use: "checkpoint", Short: "The newest signed checkpoint, to be kept elsewhere",
		Example: "  nightporter audit checkpoint > anchor.note",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			p, err := api.Checkpoint(cmd.Context())
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(p)
			}
			// As it was signed, to the byte.
			_, err = io.WriteString(c.cfg.Stdout, p.Note)
			return err
		},
	}
}

func (c *CLI) auditAnchors() *cobra.Command {
	return &cobra.Command{
		Use: "anchors", Short: "Where checkpoints are kept outside of the store, and how that goes",
		Example: "  nightporter audit anchors",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list, err := client.Collect(api.Anchors(cmd.Context()))
			if err != nil {
				return err
			}
			columns := []column{{head: "Place"}, {head: "Entries", right: true}, {head: "Kept", right: true}, {head: "State"}}
			return printList(c, list, "No place is configured. Whoever owns the store could rewrite it: set audit.anchor.", columns, func(a client.Anchored) []cell {
				state := cell{"kept", good}
				switch {
				case a.Error != "":
					state = cell{clean(a.Error), bad}
				case a.KeptAt.IsZero():
					state = dim("not yet")
				}
				return []cell{{clean(a.Place), strong}, text(strconv.FormatInt(a.Size, 10)), text(c.ago(a.KeptAt)), state}
			})
		},
	}
}

func (c *CLI) auditProof() *cobra.Command {
	return &cobra.Command{
		Use: "proof ENTRY", Short: "Proof that an entry is in the log (RFC 6962), as JSON",
		Example: "  nightporter audit proof 88214 > proof.json",
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || n < 0 {
				return usage("%q is not the number of an entry", args[0]).hint("nightporter audit list shows them")
			}
			api, err := c.api()
			if err != nil {
				return err
			}
			p, err := api.Proof(cmd.Context(), n)
			if err != nil {
				return err
			}
			return c.printJSON(p)
		},
	}
}
