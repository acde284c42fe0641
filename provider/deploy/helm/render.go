package helm

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"nightporter.dev/nightporter"
)

// marker labels the pods of what a chart rendered, and refuses what we could not
// observe. It is Helm's post-renderer.
type marker struct {
	site    *site
	entry   *entry
	refused error // what Helm's own error wraps beyond recognition
}

// Run implements Helm's PostRenderer.
func (m *marker) Run(in *bytes.Buffer) (*bytes.Buffer, error) {
	objects, err := parse(in)
	if err != nil {
		return nil, err
	}
	out := &bytes.Buffer{}
	runs := false
	for _, o := range objects {
		if hook := hookOf(o); hook != "" && !strings.HasPrefix(hook, "test") {
			m.refused = nightporter.E(nightporter.Invalid, "the chart has a hook (%s of %s): helm would wait for it, and a process that dies meanwhile leaves it half done", hook, name(o)).
				WithHint("do it in an init container, or in a Job that the service waits for")
			return nil, m.refused
		}
		if template := podTemplate(o); template != nil {
			labels := dig(template, "metadata", "labels")
			labels[labelInstance], labels[labelRelease], labels[labelEnvironment] = m.entry.Label, m.site.Release, m.site.environment
			runs = runs || m.runsImage(template)
		}
		text, err := yaml.Marshal(o)
		if err != nil {
			return nil, err
		}
		out.WriteString("---\n")
		out.Write(text)
	}
	if !runs {
		m.refused = nightporter.E(nightporter.Invalid, "nothing in the chart runs %s", m.entry.Artifact).
			WithHint("the chart must take the image from image.repository and image.tag (or image.digest), in a Deployment, StatefulSet or DaemonSet")
		return nil, m.refused
	}
	return out, nil
}

// runsImage says whether a container has the image that is deployed. It may be
// named by its tag, its digest or both.
func (m *marker) runsImage(template map[string]any) bool {
	repository, tag, digest := m.entry.Artifact.Image()
	containers, _ := dig(template, "spec")["containers"].([]any)
	for _, c := range containers {
		container, _ := c.(map[string]any)
		image, _ := container["image"].(string)
		switch image {
		case "":
		case string(m.entry.Artifact), repository + "@" + digest:
			return true
		case repository + ":" + tag:
			if tag != "" && digest == "" {
				return true
			}
		}
	}
	return false
}

// parse reads the objects of a manifest.
func parse(in io.Reader) ([]map[string]any, error) {
	var out []map[string]any
	for r := utilyaml.NewYAMLReader(bufio.NewReader(in)); ; {
		text, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		var o map[string]any
		if err := yaml.Unmarshal(text, &o); err != nil {
			return nil, err
		}
		if len(o) > 0 {
			out = append(out, o)
		}
	}
}

// podTemplate is the template of what keeps pods running; nil for everything else.
// A Job's cannot be changed once it is there.
func podTemplate(o map[string]any) map[string]any {
	switch o["kind"] {
	case "Deployment", "StatefulSet", "DaemonSet":
		return dig(o, "spec", "template")
	}
	return nil
}

func hookOf(o map[string]any) string {
	hook, _ := dig(o, "metadata", "annotations")["helm.sh/hook"].(string)
	return hook
}

func name(o map[string]any) string {
	kind, _ := o["kind"].(string)
	n, _ := dig(o, "metadata")["name"].(string)
	return kind + "/" + n
}

// dig finds a map in a map, and makes it where it is missing.
func dig(o map[string]any, path ...string) map[string]any {
	for _, key := range path {
		inner, ok := o[key].(map[string]any)
		if !ok {
			inner = map[string]any{}
			o[key] = inner
		}
		o = inner
	}
	return o
}
