package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The generator and the detector must not share what makes the test easy: names of people, firms and shops, thresholds,
// or code. What both may say is listed here, with the reason.
var common = map[string]string{
	"RENT": "ISO 20022 purpose code", "SALA": "ISO 20022 purpose code", "SSBE": "ISO 20022 purpose code", "SALARY": "an English word on payslips",
	"PAYROLL": "an English word on payslips", "WAGES": "an English word on payslips", "BOARD": "an English word for a child's contribution", "KEEP": "an English word for a child's contribution",
	"FLAT": "an English word", "FEES": "an English word", "SAVINGS": "an English word", "DEPOSIT": "an English word", "RENTAL": "an English word",
	"PIZZA": "an English word", "TICKETS": "an English word", "TAXI": "an English word", "TV LICENCE": "the name of a tax",
	"rent": "the word both use for it", "salary": "the word both use for it", "mortgage": "the word both use for it", "groceries": "an English word", "childcare": "an English word", "gambling": "an English word",
	"benefit": "an English word", "clothes": "an English word", "household": "an English word", "personal": "an English word", "shopping": "an English word", "eating": "an English word",
	"loan": "an English word", "couple": "an English word", "income": "an English word", "direct debit": "the name of a payment scheme", "refund": "an English word", "deposit": "an English word", "cash": "an English word",
	"6011": "ISO 18245: cash machines", "6012": "ISO 18245: lenders", "CARD": "an English word", "moved": "an English word", "TENANCY DEPOSIT": "an English phrase",
}

// Numbers that are facts of the world and not of either program.
var facts = map[string]bool{
	"7": true, "10": true, "12": true, "13": true, "14": true, "24": true, "26": true, "28": true, "30": true, "31": true, "52": true, "60": true, "100": true, "1000": true, "10000": true,
	"20000": true, // the most tenants of a town; the least monthly pay of a job, in pence
}

// Identifiers that any Go program may have.
var ordinary = map[string]bool{"String": true, "New": true, "main": true, "run": true, "_": true, "init": true}

type code struct {
	names    map[string]bool // package-level identifiers
	texts    map[string]bool // string literals of four letters and more
	numbers  map[string]bool // numbers of two digits and more that something is compared with, or that have a name
	imported map[string]bool
}

func read(t *testing.T, dirs ...string) code {
	t.Helper()
	c := code{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no Go files in %s", dir)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			c.file(f)
		}
	}
	return c
}

func (c code) file(f *ast.File) {
	for _, i := range f.Imports {
		c.imported[strings.Trim(i.Path.Value, `"`)] = true
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				c.names[d.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					c.names[s.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range s.Names {
						c.names[n.Name] = true
					}
					for _, v := range s.Values {
						if l, ok := v.(*ast.BasicLit); ok && d.Tok == token.CONST && l.Kind == token.INT && len(l.Value) > 1 {
							c.numbers[strings.ReplaceAll(l.Value, "_", "")] = true // a threshold with a name
						}
					}
				}
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.BasicLit:
			if n.Kind == token.STRING && len(n.Value) >= 6 {
				c.texts[strings.Trim(n.Value, "\"`")] = true
			}
		case *ast.BinaryExpr: // a threshold is a number that something is compared with
			switch n.Op {
			case token.LSS, token.GTR, token.LEQ, token.GEQ:
				for _, side := range []ast.Expr{n.X, n.Y} {
					if l, ok := side.(*ast.BasicLit); ok && len(l.Value) > 1 {
						c.numbers[strings.ReplaceAll(l.Value, "_", "")] = true
					}
				}
			}
		}
		return true
	})
}

func both(a, b map[string]bool) []string {
	var list []string
	for k := range a {
		if b[k] {
			list = append(list, k)
		}
	}
	slices.Sort(list)
	return list
}

func TestTheGeneratorAndTheDetectorAreApart(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("../../sandboxbank/town"); err != nil {
		t.Skip("LOUD: the sandbox bank is not beside this example, so nothing is compared here")
	}
	town := read(t, "../../sandboxbank/town")
	detector := read(t, "../detect", "../spend")
	for _, name := range both(town.names, detector.names) {
		if !ordinary[name] {
			t.Errorf("both declare %s", name)
		}
	}
	for _, text := range both(town.texts, detector.texts) {
		if common[text] == "" {
			t.Errorf("both say %q", text)
		}
	}
	for _, n := range both(town.numbers, detector.numbers) {
		if !facts[n] {
			t.Errorf("both compare with %s", n)
		}
	}
	for path := range maps.Keys(read(t, ".", "../detect", "../spend", "../profile", "../obie").imported) {
		if strings.Contains(path, "sandboxbank") {
			t.Errorf("the detector's side imports %s", path)
		}
	}
}

// The detector must not know the firms of the town: none of their names may hide in its word lists.
func TestNoWordOfTheDetectorIsAFirmOfTheTown(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("../../sandboxbank/town"); err != nil {
		t.Skip("LOUD: the sandbox bank is not beside this example, so nothing is compared here")
	}
	firms := read(t, "../../sandboxbank/town")
	for text := range read(t, "../detect", "../spend").texts {
		words := strings.Fields(text)
		if len(words) < 2 {
			continue
		}
		for firm := range firms.texts {
			if strings.EqualFold(firm, text) && common[strings.ToUpper(text)] == "" {
				t.Errorf("the detector knows %q", firm)
			}
		}
	}
}
