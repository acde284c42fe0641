package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
)

// finish fills in what tags cannot say: paths that start at the file, and defaults
// that depend on other settings.
func (c *Config) finish(dir string) {
	for _, p := range []*Path{&c.DataDir, &c.Seal.Path} {
		if *p != "" && !filepath.IsAbs(string(*p)) {
			*p = Path(filepath.Join(dir, string(*p)))
		}
	}
	c.Store = absoluteStore(c.Store, dir)
	c.dir = dir
	if c.RunEnv == nil {
		c.RunEnv = []string{"PATH", "HOME", "LANG", "TZ"}
	}
	for name, f := range c.Forges {
		if f.Kind == "github" && f.URL == "" {
			f.URL = "https://api.github.com"
		}
		c.Forges[name] = f
	}
}

func absoluteStore(store, dir string) string {
	path, ok := strings.CutPrefix(store, "sqlite:")
	if !ok || path == "" || path == ":memory:" || filepath.IsAbs(path) {
		return store
	}
	return "sqlite:" + filepath.Join(dir, path)
}

// StoreURL is `store` with a variable's value in the place of env:NAME.
func (c *Config) StoreURL(lookupEnv func(string) (string, bool)) (string, error) {
	name, ok := strings.CutPrefix(c.Store, "env:")
	if !ok {
		return c.Store, nil
	}
	value, _ := lookupEnv(name)
	if value == "" {
		return "", nightporter.E(nightporter.Invalid, "store is %s, and that variable is not set", c.Store)
	}
	return absoluteStore(value, c.dir), nil
}

// Validate finds everything that is wrong with the configuration and the world
// that it declares, sorted by line. [Load] and [Parse] call it.
func (c *Config) Validate(checks ...Check) []Problem {
	v := validator{c: c}
	v.server()
	v.forges()
	v.environments()
	v.services()
	v.others()
	if c.Standby {
		v.standby()
	}
	world := c.Catalog()
	v.found = append(v.found, world.Validate()...)
	for _, check := range checks {
		// Who knows a rule better than this package says it better, too.
		more := check(world)
		v.found = slices.DeleteFunc(v.found, func(ours catalog.Problem) bool {
			return slices.ContainsFunc(more, func(p catalog.Problem) bool { return p.Path == ours.Path })
		})
		v.found = append(v.found, more...)
	}
	problems := make([]Problem, len(v.found))
	for i, p := range v.found {
		problems[i] = c.file.locate(p)
	}
	sortProblems(problems)
	return problems
}

type validator struct {
	c     *Config
	found []catalog.Problem
}

func (v *validator) fail(path, hint, format string, args ...any) {
	v.found = append(v.found, catalog.Problem{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint, Severity: catalog.Fatal})
}

func (v *validator) warn(path, hint, format string, args ...any) {
	v.found = append(v.found, catalog.Problem{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint, Severity: catalog.Warning})
}
