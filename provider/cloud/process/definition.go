package process

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/goccy/go-yaml"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
)

// FileName is the file, in the environment's folder, that says what to build.
const FileName = "environment.yaml"

const (
	maxFile       = 1 << 20
	maxComponents = 500
)

// Definition is what environment.yaml says of one component. In commands and
// values of env, {data} is the component's folder, {code} the folder of the
// commit, {environment} its name, {port} the component's port, {port:db} another
// one's, and {capture} the folder of a capture.
type Definition struct {
	// Name is unique in the environment.
	Name string `yaml:"name" json:"name"`
	// Kind is process, job (a command that ends: it loads data) or folder.
	Kind string `yaml:"kind" json:"kind"`
	// Prepare runs once in a new folder, before the first start.
	Prepare []string `yaml:"prepare" json:"prepare,omitempty"`
	// Command is the program and its arguments; no shell reads them.
	Command []string          `yaml:"command" json:"command,omitempty"`
	Env     map[string]string `yaml:"env" json:"env,omitempty"`
	// Port is where it answers, on 127.0.0.1.
	Port  int      `yaml:"port" json:"port,omitempty"`
	Needs []string `yaml:"needs" json:"needs,omitempty"`
	// Ready says when it is good. Without it: while it lives.
	Ready Ready `yaml:"ready" json:"ready,omitzero"`
	// Within is how long it may take to become good: "90s". Default: 1 min,
	// 10 min for a job.
	Within string `yaml:"within" json:"within,omitempty"`
	// Stop is the signal that asks it to end: TERM (the default), INT, QUIT.
	Stop string `yaml:"stop" json:"stop,omitempty"`
	// Grace is how long it may take to end before it is killed. Default: 10s.
	Grace string `yaml:"grace" json:"grace,omitempty"`
	// Keep says what outlives the night: data (the folder, copied once the
	// process has ended), dump (made by Dump, read by Load), or nothing.
	Keep string   `yaml:"keep" json:"keep,omitempty"`
	Dump []string `yaml:"dump" json:"dump,omitempty"`
	Load []string `yaml:"load" json:"load,omitempty"`
	// Outputs are files in the folder that the build makes for others, such
	// as the first login of a database.
	Outputs map[string]string `yaml:"outputs" json:"outputs,omitempty"`
	// Protected keeps it from ever being destroyed.
	Protected bool `yaml:"protected" json:"protected,omitempty"`
}

// Ready is a question to a component; exactly one of its fields is set.
type Ready struct {
	HTTP    string   `yaml:"http" json:"http,omitempty"` // a path; any 2xx is good
	TCP     bool     `yaml:"tcp" json:"tcp,omitempty"`   // accepts a connection at its port
	Command []string `yaml:"command" json:"command,omitempty"`
}

// ParseFile reads an environment.yaml. Unknown keys, names that refer to nothing,
// circles and placeholders that mean nothing are Invalid.
func ParseFile(text []byte) ([]Definition, error) {
	var file struct {
		Components []Definition `yaml:"components"`
	}
	if len(text) > maxFile {
		return nil, nightporter.E(nightporter.Invalid, "%s is larger than %d KiB", FileName, maxFile>>10)
	}
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil && !errors.Is(err, io.EOF) {
		// The message has line, column and an excerpt of a committed file.
		return nil, nightporter.E(nightporter.Invalid, "%s: %s", FileName, strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	if len(file.Components) > maxComponents {
		return nil, nightporter.E(nightporter.Invalid, "%s has more than %d components", FileName, maxComponents)
	}
	if _, err := cloud.Order(components(file.Components)); err != nil {
		return nil, err
	}
	ports := map[int]string{}
	for _, d := range file.Components {
		if err := d.check(file.Components); err != nil {
			return nil, nightporter.E(nightporter.Invalid, "component %s: %s", d.Name, nightporter.MessageOf(err)).WithHint("%s", nightporter.HintOf(err))
		}
		if other := ports[d.Port]; d.Port != 0 && other != "" {
			return nil, nightporter.E(nightporter.Invalid, "%s and %s have the same port %d", other, d.Name, d.Port)
		}
		ports[d.Port] = d.Name
	}
	return file.Components, nil
}

func (d Definition) check(all []Definition) error {
	invalid := func(hint, format string, args ...any) error {
		return nightporter.E(nightporter.Invalid, format, args...).WithHint("%s", hint)
	}
	switch d.Kind {
	case "process", "job":
		if len(d.Command) == 0 || d.Command[0] == "" || d.Command[0][0] == '-' {
			return invalid("write command: [program, argument]", "has no command")
		}
	case "folder":
		if len(d.Command) > 0 {
			return invalid("choose process or job", "is a folder and has a command")
		}
	default:
		return invalid("choose process, job or folder", "%q is no kind", d.Kind)
	}
	asks := 0
	for _, set := range []bool{d.Ready.HTTP != "", d.Ready.TCP, len(d.Ready.Command) > 0} {
		if set {
			asks++
		}
	}
	switch {
	case asks > 1:
		return invalid("keep one of http, tcp and command", "has more than one way to be ready")
	case d.Kind != "process" && asks > 0:
		return invalid("remove ready", "only a process can be asked whether it is ready")
	case (d.Ready.HTTP != "" || d.Ready.TCP) && d.Port == 0:
		return invalid("add port: 28080", "is asked at its port and has none")
	case d.Ready.HTTP != "" && !strings.HasPrefix(d.Ready.HTTP, "/"):
		return invalid("write /healthz", "%q is not a path", d.Ready.HTTP)
	case d.Port < 0 || d.Port > 65535:
		return invalid("", "%d is not a port", d.Port)
	case d.Keep != "" && d.Keep != "data" && d.Keep != "dump":
		return invalid("choose data or dump, or leave it out", "%q cannot be kept", d.Keep)
	case d.Keep == "dump" && (len(d.Dump) == 0 || len(d.Load) == 0):
		return invalid(`write dump: [pg_dump, -f, "{capture}/all.sql"] and load: […]`, "keeps a dump and does not say how")
	case signals[d.Stop] == 0:
		return invalid("choose TERM, INT or QUIT", "%q is no signal to stop with", d.Stop)
	}
	for _, text := range []string{d.Within, d.Grace} {
		if v, err := time.ParseDuration(text); text != "" && (err != nil || v <= 0) {
			return invalid("write 90s or 2m", "%q is not a duration", text)
		}
	}
	for name, file := range d.Outputs {
		if !filepath.IsLocal(file) {
			return invalid("name a file in its folder", "the output %s leads out of its folder", name)
		}
	}
	for name := range d.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.HasPrefix(name, "NIGHTPORTER_") {
			return invalid("choose another name", "cannot set the variable %q", name)
		}
	}
	ports := map[string]int{}
	for _, o := range all {
		ports[o.Name] = o.Port
	}
	for _, text := range d.texts() {
		if _, err := expand(text, values{Port: d.Port, Ports: ports}); err != nil {
			return err
		}
	}
	return nil
}

// texts are the values that may hold placeholders.
func (d Definition) texts() []string {
	return slices.Concat(d.Prepare, d.Command, d.Ready.Command, d.Dump, d.Load, slices.Sorted(maps.Values(d.Env)))
}

var signals = map[string]syscall.Signal{"": syscall.SIGTERM, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT}

func (d Definition) within() time.Duration {
	if v, err := time.ParseDuration(d.Within); err == nil {
		return v
	}
	if d.Kind == "job" {
		return 10 * time.Minute
	}
	return time.Minute
}

func (d Definition) grace() time.Duration {
	if v, err := time.ParseDuration(d.Grace); err == nil {
		return v
	}
	return 10 * time.Second
}

func (d Definition) component() cloud.Component {
	c := cloud.Component{Name: d.Name, Kind: d.Kind, Needs: d.Needs, Within: d.within()}
	switch d.Keep {
	case "data":
		c.Keep = cloud.BeforeItIs
	case "dump":
		c.Keep = cloud.OnceItIs
	}
	return c
}

func components(all []Definition) []cloud.Component {
	out := make([]cloud.Component, len(all))
	for i, d := range all {
		out[i] = d.component()
	}
	return out
}

// values are what placeholders stand for.
type values struct {
	Data, Code, Environment, Capture string
	Port                             int
	Ports                            map[string]int
}

// expand replaces placeholders. A brace that is none is refused, so that a typing
// mistake does not reach a program.
func expand(text string, v values) (string, error) {
	var b strings.Builder
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "{")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return "", nightporter.E(nightporter.Invalid, "%q has a brace that is not closed", text)
		}
		rest = tail
		other, isPort := strings.CutPrefix(name, "port:")
		switch port, known := v.Ports[other]; {
		case name == "data":
			b.WriteString(v.Data)
		case name == "code":
			b.WriteString(v.Code)
		case name == "environment":
			b.WriteString(v.Environment)
		case name == "capture":
			b.WriteString(v.Capture)
		case name == "port" && v.Port != 0:
			b.WriteString(strconv.Itoa(v.Port))
		case isPort && known && port != 0:
			b.WriteString(strconv.Itoa(port))
		case name == "port" || isPort:
			return "", nightporter.E(nightporter.Invalid, "{%s} means nothing: there is no such port", name)
		default:
			return "", nightporter.E(nightporter.Invalid, "{%s} means nothing", name).
				WithHint("use {data}, {code}, {environment}, {port}, {port:NAME} or {capture}")
		}
	}
}

// fingerprint is different when the component would be. The files of the commit
// count for those that use them.
func (d Definition) fingerprint(commit string, ports map[string]int) string {
	b, err := json.Marshal(struct {
		D     Definition
		Ports map[string]int
	}{d, ports})
	if err != nil {
		return "" // texts, numbers and lists always can
	}
	if slices.ContainsFunc(d.texts(), func(s string) bool { return strings.Contains(s, "{code}") }) {
		b = append(b, commit...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// readDefinitions reads the file of a checkout.
func readDefinitions(dir string) ([]Definition, error) {
	text, err := os.ReadFile(filepath.Join(dir, FileName))
	if notExist(err) {
		return nil, nightporter.E(nightporter.Invalid, "the code has no %s", FileName).
			WithHint("commit one into the folder that cloud.dir names")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", FileName, err)
	}
	return ParseFile(text)
}
