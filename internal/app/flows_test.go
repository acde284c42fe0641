package app

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"nightporter.dev/nightporter/internal/outbox"
)

// Every event of event.go has somebody who hears it. An event that nobody needs
// is a promise that nobody keeps.
func TestEveryEventIsHeard(t *testing.T) {
	t.Parallel()
	a := &App{bus: outbox.NewBus()}
	a.flows()
	for _, name := range events(t) {
		if len(a.bus.Listeners(name)) == 0 && !slices.Contains(shown, name) {
			t.Errorf("nobody listens to %s and no page shows it: add its line to flows.go, or remove the event", name)
		}
	}
}

// events reads the types of event.go that have an EventName.
func events(t *testing.T) []string {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), "../../event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range tree.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != "EventName" {
			continue
		}
		if id, ok := f.Recv.List[0].Type.(*ast.Ident); ok {
			names = append(names, strings.TrimSpace(id.Name))
		}
	}
	if len(names) < 5 {
		t.Fatalf("event.go has only %d events", len(names))
	}
	return names
}
