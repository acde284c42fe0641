package script_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

// forge acts at the fake GitHub, as people do:
//
//	forge start                         begins it, and writes github-token and github-webhook
//	forge repo NAME FOLDER              a repository with one commit
//	forge open NAME TITLE [LABEL…]      a pull request by ana-gh
//	forge label NAME NUMBER LABEL
//	forge review NAME NUMBER LOGIN
//	forge merge NAME NUMBER
//	forge tag NAME TAG                  somebody pushes a tag on the head of main
//	forge push NAME MESSAGE             somebody pushes a commit without a pull request
func forge(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	number := func() int {
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		return n
	}
	switch args[0] {
	case "start":
		startForge(ts, w)
	case "repo":
		files, err := filesOf(ts.MkAbs(args[2]))
		ts.Check(err)
		_, err = w.forge.AddRepo(args[1], files)
		ts.Check(err)
	case "open":
		_, err := w.forge.OpenPull(args[1], githubtest.NewPull{Title: args[2], Labels: args[3:]})
		ts.Check(err)
	case "label":
		ts.Check(w.forge.Label(args[1], number(), args[3], "ana-gh"))
	case "review":
		ts.Check(w.forge.Approve(args[1], number(), args[3]))
	case "merge":
		_, err := w.forge.Merge(args[1], number(), githubtest.Squash, "ana-gh")
		ts.Check(err)
	case "tag":
		head, err := w.forge.Head(args[1])
		ts.Check(err)
		ts.Check(w.forge.PushTag(args[1], args[2], head, "ana-gh", githubtest.Lightweight))
	case "push":
		_, err := w.forge.PushDirect(args[1], args[2], "ana-gh", map[string]string{"notes.md": args[2] + "\n"})
		ts.Check(err)
	default:
		ts.Fatalf("forge cannot %s", args[0])
	}
}

func startForge(ts *testscript.TestScript, w *world) {
	secrets := map[string]string{"github-token": "gh-token", "github-webhook": "gh-webhook"}
	for name, text := range secrets {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text+"\n"), 0o600))
	}
	made, err := githubtest.Start(githubtest.Config{
		Dir: filepath.Join(ts.Getenv("WORK"), "forge"), Token: secrets["github-token"], Secret: []byte(secrets["github-webhook"]),
	})
	ts.Check(err)
	w.forge = made
	w.stop(func() { _ = made.Close() })
	ts.Setenv("FORGE", made.URL())
	if w.server != nil {
		made.AddHook(ts.Getenv("NIGHTPORTER_ADDR") + "/hooks/github")
	}
}

// filesOf reads a folder as the files of a repository.
func filesOf(dir string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files[strings.TrimSuffix(name, ".txt")] = string(b)
		return err
	})
	return files, err
}
