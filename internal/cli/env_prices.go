package cli

import (
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
)

// PriceOptions are the flags of `nightporter env prices import`.
type PriceOptions struct {
	Source string // a path or an https address
	Format string // aws, azure, csv
	Region string
	Engine string
}

func (c *CLI) envPrices() *cobra.Command {
	o, out := PriceOptions{Format: "aws"}, ""
	load := &cobra.Command{
		Use: "import FILE|URL", Short: "Make a price list from a public price file",
		Long: "Reads an offer file of the AWS price list bulk API, a page of the Azure Retail Prices API or a CSV table, from a file or over https, and " +
			"writes a price list with today's date. On-demand Linux prices by the hour count. Look at it, say what commitments cover, and commit it.",
		Example: `  nightporter env prices import ec2-eu-west-2.json --format aws --region eu-west-2 --out prices.yaml
  nightporter env prices import https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonRDS/current/eu-west-2/index.json --region eu-west-2
  nightporter env prices import ours.csv --format csv`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Format != "aws" && o.Format != "azure" && o.Format != "csv" {
				return usage("--format is aws, azure or csv, not %q", o.Format)
			}
			o.Source = args[0]
			list, err := c.cfg.ImportPrices(cmd.Context(), o)
			if err != nil {
				return err
			}
			if out == "" {
				_, err = c.cfg.Stdout.Write(list)
				return err
			}
			// What somebody wrote there is never overwritten.
			f, err := os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
			if errors.Is(err, fs.ErrExist) {
				return failed("%s is there already", out).hint("write it to another file, and merge the two")
			}
			if err != nil {
				return err
			}
			if _, err := f.Write(list); err != nil {
				return errors.Join(err, f.Close())
			}
			c.sayf("%s is a price list. Name it in nightporter.yaml: prices: %s", clean(out), clean(out))
			return f.Close()
		},
	}
	load.Flags().StringVar(&o.Format, "format", o.Format, "aws, azure or csv")
	load.Flags().StringVar(&o.Region, "region", "", "only prices of this `region`")
	load.Flags().StringVar(&o.Engine, "engine", "", "of AWS databases, whose prices: `engine` (default PostgreSQL)")
	load.Flags().StringVar(&out, "out", "", "write it to this `file`, which must not exist (default standard output)")
	_ = load.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"aws", "azure", "csv"}, cobra.ShellCompDirectiveNoFileComp))
	cmd := noun("prices", "What environments cost, for the savings", "  nightporter env prices import ec2.json --region eu-west-2", load)
	cmd.Hidden = c.cfg.ImportPrices == nil
	if c.cfg.ImportPrices == nil {
		load.RunE = func(*cobra.Command, []string) error { return failed("prices cannot be read here") }
	}
	return cmd
}
