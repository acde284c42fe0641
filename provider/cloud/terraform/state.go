package terraform

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"nightporter.dev/nightporter/provider/cloud"
)

// state is what Terraform knows of a component: its state file, format 4.
type state struct {
	Version int `json:"version"`
	Outputs map[string]struct {
		Value json.RawMessage `json:"value"`
	} `json:"outputs"`
	Resources []struct {
		Module    string `json:"module"`
		Mode      string `json:"mode"`
		Type      string `json:"type"`
		Name      string `json:"name"`
		Instances []struct {
			Key        any            `json:"index_key"`
			Attributes map[string]any `json:"attributes"`
		} `json:"instances"`
	} `json:"resources"`
}

// marks are the names of the tag or label that says which environment something
// belongs to. Not every cloud takes a colon.
var marks = []string{"nightporter:environment", "nightporter_environment", "nightporter-environment"}

// mark reads a resource's mark; "" when it carries none.
func mark(attributes map[string]any) string { return tag(attributes, marks) }

func protected(attributes map[string]any) bool {
	return tag(attributes, []string{"nightporter:protected", "nightporter_protected", "nightporter-protected"}) == "true"
}

func tag(attributes map[string]any, names []string) string {
	for _, place := range []string{"tags_all", "tags", "labels", "effective_labels", "input"} {
		values, _ := attributes[place].(map[string]any)
		if inner, ok := values["value"].(map[string]any); ok {
			values = inner // a value whose type stands beside it
		}
		for _, name := range names {
			if v, ok := values[name].(string); ok && v != "" {
				return v
			}
		}
	}
	return ""
}

// accountOf is the account or project that a resource says it is in.
func accountOf(attributes map[string]any) string {
	for _, name := range []string{"arn", "id"} {
		text, _ := attributes[name].(string)
		if parts := strings.SplitN(text, ":", 6); len(parts) == 6 && parts[0] == "arn" && parts[4] != "" {
			return parts[4]
		}
	}
	project, _ := attributes["project"].(string)
	return project
}

// kindOf is a resource's type with its size, which is what prices are named by.
func kindOf(kind string, attributes map[string]any) string {
	for _, name := range []string{"instance_type", "instance_class", "machine_type", "vm_size", "size", "node_type"} {
		if size, ok := attributes[name].(string); ok && size != "" {
			return kind + "/" + size
		}
	}
	return kind
}

// resources lists what a state has, as resources of an environment.
func (s state) resources(environment, component string, set settings) (all []cloud.Resource, accounts []string) {
	for _, r := range s.Resources {
		if r.Mode != "managed" {
			continue
		}
		for _, i := range r.Instances {
			address := r.Type + "." + r.Name
			if r.Module != "" {
				address = r.Module + "." + address
			}
			if i.Key != nil {
				address += fmt.Sprintf("[%v]", i.Key)
			}
			one := cloud.Resource{
				ID: component + ":" + address, Kind: kindOf(r.Type, i.Attributes), Component: component,
				Environment: mark(i.Attributes), Protected: protected(i.Attributes),
			}
			if one.Environment == "" && set.unmarked(r.Type) {
				one.Environment = environment
			}
			if a := accountOf(i.Attributes); a != "" && !slices.Contains(accounts, a) {
				accounts = append(accounts, a)
			}
			all = append(all, one)
		}
	}
	return all, accounts
}

// ids are what the far end knows a state's resources by.
func (s state) ids() map[string]bool {
	all := map[string]bool{}
	for _, r := range s.Resources {
		for _, i := range r.Instances {
			for _, name := range []string{"id", "arn", "name", "self_link"} {
				if id, ok := i.Attributes[name].(string); ok {
					all[id] = true
				}
			}
		}
	}
	return all
}

// tfplan is a saved plan, as show -json writes it.
type tfplan struct {
	Changes []struct {
		Address string `json:"address"`
		Mode    string `json:"mode"`
		Type    string `json:"type"`
		Change  struct {
			Actions []string       `json:"actions"`
			Before  map[string]any `json:"before"`
			After   map[string]any `json:"after"`
		} `json:"change"`
	} `json:"resource_changes"`
}

// refuse says what a plan would touch that it must not, or "". Whatever it makes,
// changes or destroys says itself that it belongs to the environment.
func (t tfplan) refuse(environment string, s settings) string {
	destroys := 0
	for _, c := range t.Changes {
		does := func(what string) bool { return slices.Contains(c.Change.Actions, what) }
		if c.Mode != "managed" || !does("create") && !does("update") && !does("delete") {
			continue
		}
		if does("delete") {
			destroys++
		}
		for _, side := range []map[string]any{c.Change.Before, c.Change.After} {
			if side == nil || s.unmarked(c.Type) {
				continue
			}
			if m := mark(side); m != environment {
				return fmt.Sprintf("the plan touches %s, which is marked as %q and not as %q", c.Address, cmp.Or(m, "nobody's"), environment)
			}
			if does("delete") && protected(side) {
				return fmt.Sprintf("the plan destroys %s, which is protected", c.Address)
			}
		}
	}
	return ""
}

// destroys counts what a plan takes away.
func (t tfplan) destroys() int {
	n := 0
	for _, c := range t.Changes {
		if c.Mode == "managed" && slices.Contains(c.Change.Actions, "delete") {
			n++
		}
	}
	return n
}
