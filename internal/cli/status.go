package cli

import (
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

func (c *CLI) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "How the server is; exit 1 when it is sealed or not ready",
		Example: "  nightporter status\n  nightporter status --json",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			s, err := api.Status(cmd.Context())
			if err != nil {
				return err
			}
			if c.json {
				if err := c.printJSON(s); err != nil {
					return err
				}
			} else {
				c.drawStatus(api, s)
			}
			if s.Sealed || !s.Ready {
				return &exit{code: exitFailed}
			}
			return nil
		},
	}
}

func (c *CLI) drawStatus(api *client.Client, s *client.Status) {
	k := cell{"✓ ready", good}
	switch {
	case s.Sealed:
		k = cell{"‖ sealed", needs}
	case !s.Ready:
		k = cell{"✗ not ready", bad}
	}
	if !c.out.terminal {
		k.text = string([]rune(k.text)[2:])
	}
	parked, note := "", ""
	if n := len(s.Parked); n > 0 {
		parked = count(n, "event") + " refused: something that should have followed a change did not"
	}
	if s.Demo {
		note = "schedules and waits go by a demo's clock"
	}
	pairs(c.cfg.Stdout, c.out,
		[2]string{"Server", api.Address()}, [2]string{"State", c.painted(k)}, [2]string{"Version", clean(s.Version)},
		[2]string{"Store", clean(s.Store)}, [2]string{"Started", c.startedAgo(s.StartedAt)},
		[2]string{"Parked", parked}, [2]string{"Note", note})
	if len(s.Forges) > 0 {
		c.printf("\n")
		t := forgeTable()
		for _, f := range s.Forges {
			t.add(c.forgeRow(f)...)
		}
		t.write(c.cfg.Stdout, c.out)
	}
}

func (c *CLI) startedAgo(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return c.since(t)
}

// finding is something that is weaker than it should be.
type finding struct {
	Level   string `json:"level"` // "problem" or "advice"
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (c *CLI) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "What is weak here; exit 1 when something is wrong",
		Example: "  nightporter doctor\n  nightporter doctor --json",
		Args:    takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			list := c.doctorLocal(cmd, api)
			s, err := api.Status(cmd.Context())
			if err != nil {
				list = append(list, finding{"problem", err.Error(), nightporter.HintOf(err)})
			} else {
				list = append(list, c.doctorServer(s)...)
				list = append(list, c.doctorToken(cmd, api)...)
				list = append(list, c.doctorInstallation(cmd, api)...)
			}
			if c.json {
				if err := c.printJSON(items[finding]{append([]finding{}, list...)}); err != nil {
					return err
				}
			} else {
				c.drawFindings(list)
			}
			if slices.ContainsFunc(list, func(f finding) bool { return f.Level == "problem" }) {
				return &exit{code: exitFailed}
			}
			return nil
		},
	}
}

func (c *CLI) drawFindings(list []finding) {
	if len(list) == 0 {
		c.printf("%s Nothing is weak that can be seen from here.\n", c.out.paint(good, "✓"))
		return
	}
	for _, f := range list {
		icon, m := "!", needs
		if f.Level == "problem" {
			icon, m = "✗", bad
		}
		c.printf("%s %s\n", c.out.paint(m, icon+" "+f.Level+":"), cleanLines(f.Message))
		if f.Hint != "" {
			c.printf("    %s\n", c.out.paint(quiet, cleanLines(f.Hint)))
		}
	}
}

// doctorLocal looks at this side: the configuration, the token's file and the
// way to the server.
func (c *CLI) doctorLocal(cmd *cobra.Command, api *client.Client) (list []finding) {
	if path, explicit := c.configPath(""); c.cfg.Validate != nil {
		if _, err := os.Stat(path); err == nil || explicit {
			warnings, err := c.cfg.Validate(cmd.Context(), path)
			if err != nil {
				list = append(list, finding{"problem", path + ": " + err.Error(), "nightporter validate"})
			}
			for _, w := range warnings {
				list = append(list, finding{"advice", path + ": " + w, ""})
			}
		}
	}
	if path := c.tokenPath(); path != "" {
		if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModePerm&0o077 != 0 {
			list = append(list, finding{"problem", "others on this machine may read " + path, "chmod 600 " + path})
		}
	}
	if u, err := url.Parse(api.Address()); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
		list = append(list, finding{"problem", "tokens travel to " + u.Host + " unencrypted", "use https, or a tunnel"})
	}
	return list
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func (c *CLI) doctorServer(s *client.Status) (list []finding) {
	if s.Sealed {
		list = append(list, finding{"problem", "the server is sealed: nothing runs", "vault operator unseal"})
	} else if !s.Ready {
		list = append(list, finding{"problem", "the server is not ready", "its log says why"})
	}
	if s.Demo {
		list = append(list, finding{"advice", "schedules and waits go by a demo's clock", "start the server without --demo-clock"})
	}
	for _, e := range s.Parked {
		list = append(list, finding{"problem", fmt.Sprintf("%s refused %s of %s %s: %s", e.Listener, e.Name, e.Subject, count(int(e.Attempts), "time"), e.Error), "what should have followed did not happen; the server's log says more"})
	}
	for _, f := range s.Forges {
		if !f.FailingSince.IsZero() {
			list = append(list, finding{"problem", fmt.Sprintf("forge %s does not answer since %s: %s", f.Name, c.stamp(f.FailingSince), f.Error), ""})
		}
	}
	return list
}

// doctorInstallation asks the server about its own files, process and records. Who is
// no operator is not told.
func (c *CLI) doctorInstallation(cmd *cobra.Command, api *client.Client) (list []finding) {
	weak, err := client.Collect(api.Doctor(cmd.Context()))
	switch nightporter.CodeOf(err) {
	case "":
	case nightporter.Denied, nightporter.Unauthenticated, nightporter.NotFound:
		return nil
	default:
		return []finding{{"problem", "the server could not say what is weak in its installation: " + err.Error(), ""}}
	}
	for _, w := range weak {
		list = append(list, finding{w.Level, w.Message, w.Hint})
	}
	return list
}

// doctorToken looks at the caller's own token.
func (c *CLI) doctorToken(cmd *cobra.Command, api *client.Client) []finding {
	token, source, err := c.token()
	if err != nil || token == "" {
		return []finding{{"advice", "you are not signed in, so only the outside was looked at", "nightporter login NAME"}}
	}
	me, err := api.Whoami(cmd.Context())
	if err != nil {
		return []finding{{"problem", "the token from " + source + " does not work: " + err.Error(), "nightporter login NAME"}}
	}
	var list []finding
	if slices.Contains(me.Policies, "root") {
		list = append(list, finding{"advice", "you use a root token, which nothing limits", "sign in as yourself: nightporter login NAME"})
	}
	if left := me.ExpiresAt.Sub(c.cfg.Now()); !me.ExpiresAt.IsZero() && left < 24*time.Hour {
		list = append(list, finding{"advice", "your token ends in " + brief(left), "nightporter login " + me.Name})
	}
	return list
}
