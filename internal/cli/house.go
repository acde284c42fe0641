package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func (c *CLI) initCommand() *cobra.Command {
	if c.cfg.Init == nil {
		return nil
	}
	return &cobra.Command{
		Use: "init [DIR]", Short: "Make a new house: configuration, store and key file",
		Long: "Prints the root token once. Never overwrites anything.",
		Example: `  nightporter init
  nightporter init /srv/nightporter --json`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := InitOptions{Dir: "."}
			if len(args) == 1 {
				o.Dir = args[0]
			}
			made, err := c.cfg.Init(cmd.Context(), o)
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(made)
			}
			pairs(c.cfg.Stdout, c.out,
				[2]string{"Configuration", clean(made.Config)}, [2]string{"Unseal key", clean(made.UnsealKeyFile)}, [2]string{"Root token", made.RootToken})
			c.sayf("\nThe root token is not shown again, and without the unseal key nobody can read the store: keep both safe.")
			c.sayf("%s  nightporter server --config %s", c.talk.paint(strong, "next:"), clean(made.Config))
			return nil
		},
	}
}

func (c *CLI) serverCommand() *cobra.Command {
	if c.cfg.Server == nil {
		return nil
	}
	var o ServerOptions
	config := ""
	cmd := &cobra.Command{
		Use: "server", Short: "Run the server until it is interrupted",
		Example: `  nightporter server
  nightporter server --config /srv/nightporter/nightporter.yaml
  nightporter server --dev`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Config, o.ConfigExplicit = c.configPath(config)
			if o.Dev && !o.ConfigExplicit {
				o.Config = ""
			}
			if o.DevRootToken != "" && !o.Dev {
				return usage("--dev-root-token-id is for --dev only")
			}
			err := c.cfg.Server(cmd.Context(), o)
			if cmd.Context().Err() != nil && errors.Is(err, context.Canceled) {
				return nil // asked to stop, and stopped
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&config, "config", "", "the configuration `file` (default $NIGHTPORTER_CONFIG, ./nightporter.yaml)")
	f.StringVar(&o.Listen, "listen", "", "the `address` to listen on, instead of the configuration's; port 0 takes a free one")
	f.StringVar(&o.AddressFile, "address-file", "", "write the address to this `file` once it listens")
	f.StringVar(&o.Store, "store", "", "the store's `URL`, instead of the configuration's")
	f.BoolVar(&o.Dev, "dev", false, "in memory, unsealed, NOT SAFE: to try things out")
	f.StringVar(&o.DevRootToken, "dev-root-token-id", "", "the root `token` of --dev")
	f.StringVar(&o.DemoClock, "demo-clock", "", "the `URL` of a demo's clock, on loopback: moves schedules and waits")
	return cmd
}

func (c *CLI) validateCommand() *cobra.Command {
	if c.cfg.Validate == nil {
		return nil
	}
	config := ""
	cmd := &cobra.Command{
		Use: "validate", Short: "Check the configuration",
		Example: "  nightporter validate\n  nightporter validate --config /srv/nightporter/nightporter.yaml",
		Args:    takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				config = args[0]
			}
			path, _ := c.configPath(config)
			warnings, err := c.cfg.Validate(cmd.Context(), path)
			for _, w := range warnings {
				c.sayf("%s %s", c.talk.paint(needs, "warning:"), cleanLines(w))
			}
			if c.json {
				if jerr := c.printJSON(validity(path, warnings, err)); jerr != nil {
					return jerr
				}
			}
			if err != nil {
				return err
			}
			if !c.json {
				c.printf("%s is valid.\n", clean(path))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "the configuration `file` (default $NIGHTPORTER_CONFIG, ./nightporter.yaml)")
	return cmd
}

// validityJSON is what validate says as JSON.
type validityJSON struct {
	Config   string   `json:"config"`
	Valid    bool     `json:"valid"`
	Error    string   `json:"error,omitempty"`
	Warnings []string `json:"warnings"`
}

func validity(path string, warnings []string, err error) validityJSON {
	v := validityJSON{Config: path, Valid: err == nil, Warnings: append([]string{}, warnings...)}
	if err != nil {
		v.Error = err.Error()
	}
	return v
}

func (c *CLI) configCommand() *cobra.Command {
	if c.cfg.Schema == nil {
		return nil
	}
	schema := &cobra.Command{
		Use: "schema", Short: "The JSON Schema of the configuration, with the meaning of every key",
		Example: "  nightporter config schema > nightporter.schema.json",
		Args:    takes(0, 0),
		RunE: func(*cobra.Command, []string) error {
			b, err := c.cfg.Schema()
			if err != nil {
				return fmt.Errorf("writing the schema: %w", err)
			}
			c.printf("%s", b)
			return nil
		},
	}
	return noun("config", "The configuration file", "  nightporter config schema", schema)
}
