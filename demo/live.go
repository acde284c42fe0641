package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"nightporter.dev/nightporter/demo/story"
	"nightporter.dev/nightporter/demo/world"
)

// live brings acme to an interesting state and leaves it to whoever sits there,
// until Ctrl-C.
func live(ctx context.Context, s *story.Story, o options, stdin io.Reader, stdout io.Writer) error {
	if err := s.Tell(ctx, story.Begin); err != nil {
		return err
	}
	open := []world.Pull{
		{Repo: "ledger", Title: "Say hello more warmly", Label: "minor"},
		{Repo: "ledger", Title: "Accept refunds"}, // no label: its status says what to do
		{Repo: "gateway", Title: "Know one more path", Label: "patch", Author: world.Kim},
		{Repo: "statements", Title: "Print the first statement", Label: "minor", Author: world.Kim},
	}
	for _, p := range open {
		if _, err := s.Open(p); err != nil {
			return err
		}
	}
	prod, _, err := s.Proc.Serving(ctx, "ledger", "prod")
	if err != nil {
		return err
	}
	token := filepath.Join(s.Dir, "root-token")
	if err := os.WriteFile(token, []byte(s.Porter.RootToken+"\n"), 0o600); err != nil {
		return err
	}
	link, err := s.SignInLink(ctx, world.Ben)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, welcome, link, s.Forge.URL(), world.Organisation, s.Porter.URL(), prod.Port, token, s.Porter.Binary)
	if !o.noOpen {
		openBrowser(ctx, link)
	}
	go hear(ctx, s.World, stdin, stdout)
	<-ctx.Done()
	fmt.Fprintln(stdout, "\nTaking everything down")
	return nil
}

// welcome takes the link, the forge, the organisation, the porter, the port of the
// ledger in prod, the file of the root token and the binary.
const welcome = `
Sign in as Ben, who approves (one use, one minute; Enter makes another link):

  %[1]s

What to try:
  · merge a pull request   %[2]s/%[3]s/ledger
    "Say hello more warmly" is labelled minor: it becomes a version and reaches dev and preprod.
  · approve it for prod    %[4]s
  · ask prod itself        curl http://127.0.0.1:%[5]d/healthz
  · type commands          export NIGHTPORTER_ADDR=%[4]s NIGHTPORTER_TOKEN=$(cat %[6]s)
                           %[7]s release board
  · let time pass          +4h and Enter: whoever must approve is reminded
                           +8h more, and it is night in London: dev ends, prod stays. At seven dev is built again

Ctrl-C ends everything and leaves nothing behind.
`

// openBrowser opens a link on a desktop. Where there is none, or it does not work,
// the link on the screen is enough.
func openBrowser(ctx context.Context, link string) {
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return
	}
	opener, err := exec.LookPath("xdg-open")
	if err != nil {
		return
	}
	go func() { _ = exec.CommandContext(ctx, opener, link).Run() }()
}

// hear reads what is typed: Enter for another link, +4h to move the clock.
func hear(ctx context.Context, w *world.World, stdin io.Reader, stdout io.Writer) {
	for lines := bufio.NewScanner(stdin); lines.Scan() && ctx.Err() == nil; {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			link, err := w.SignInLink(ctx, world.Ben)
			if err != nil {
				fmt.Fprintln(stdout, "error:", err)
				continue
			}
			fmt.Fprintf(stdout, "  %s\n", link)
			continue
		}
		by, err := time.ParseDuration(strings.TrimPrefix(text, "+"))
		if err == nil {
			err = w.Clock.Jump(by)
		}
		if err != nil {
			fmt.Fprintln(stdout, "  Enter makes another link; +4h lets four hours pass.")
			continue
		}
		fmt.Fprintf(stdout, "  The clock shows %s.\n", w.Clock.Now().Format("Mon 15:04"))
	}
}
