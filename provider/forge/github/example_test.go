package github_test

import (
	"context"
	"fmt"
	"os"

	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/github"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

func ExampleForge_Sweep() {
	dir, _ := os.MkdirTemp("", "github")
	defer os.RemoveAll(dir)
	fake, err := githubtest.Start(githubtest.Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer fake.Close()
	known, _ := fake.AddRepo("ledger", map[string]string{"README.md": "# ledger\n"})
	number, _ := fake.OpenPull("ledger", githubtest.NewPull{Title: "Round to pence", Author: "ana-gh", Labels: []string{"minor"}})
	_ = fake.Approve("ledger", number, "ben-gh")
	_, _ = fake.Merge("ledger", number, githubtest.Squash, "ana-gh")

	f, err := github.New(github.Config{BaseURL: fake.URL(), Organisation: "acme"})
	if err != nil {
		fmt.Println(err)
		return
	}
	states, err := f.Sweep(context.Background(), forge.Known{"ledger": known})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range states {
		for _, m := range s.Merges {
			pr := m.PullRequest
			fmt.Printf("%s: #%d %s, by %s, approved by %s, labelled %s\n", s.Name, pr.Number, pr.Title, pr.Authors[0], pr.Reviewers[0], pr.Labels[0])
		}
	}
	// Output: ledger: #1 Round to pence, by ana-gh, approved by ben-gh, labelled minor
}
