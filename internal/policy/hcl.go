package policy

import (
	"errors"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/scanner"
	hclstrconv "github.com/hashicorp/hcl/hcl/strconv"
	"github.com/hashicorp/hcl/hcl/token"
)

// readHCL reads HCL version 1, which is what policies are written in.
func readHCL(text string) (node, *ParseError) {
	// The parser does the same. Doing it first keeps both passes on one text.
	src := []byte(strings.ReplaceAll(text, "\r\n", "\n"))
	if err := boundHCL(src); err != nil {
		return node{}, err
	}
	// The parser's own check for duplicates compares spellings, so that foo and
	// "foo" pass. The decoder compares keys.
	file, err := parser.ParseDontErrorOnDuplicateKeys(src)
	if err != nil {
		return node{}, hclError(err)
	}
	list, ok := file.Node.(*ast.ObjectList)
	if !ok {
		return node{}, position{1, 1}.errorf("a policy is a list of path blocks")
	}
	return objectFromHCL(list, position{1, 1})
}

// boundHCL refuses deep nesting before the parser recurses into it. It uses the
// parser's own scanner, so that the two cannot disagree about what is a brace
// and what is part of a string.
func boundHCL(src []byte) *ParseError {
	var bad *ParseError
	s := scanner.New(src)
	s.Error = func(pos token.Pos, msg string) {
		if bad == nil {
			p := at(pos)
			bad = p.errorf("%s", msg).vault("At %s: %s", pos, msg)
		}
	}
	for depth := 0; bad == nil; {
		tok := s.Scan()
		switch tok.Type {
		case token.EOF, token.ILLEGAL:
			// The parser says it better.
			return bad
		case token.LBRACE, token.LBRACK:
			if depth++; depth > maxDepth {
				return at(tok.Pos).errorf("blocks and lists nest more than %d deep", maxDepth)
			}
		case token.RBRACE, token.RBRACK:
			depth--
		case token.HEREDOC:
			return at(tok.Pos).errorf("a policy cannot hold a heredoc; write a quoted string")
		}
	}
	return bad
}

func at(pos token.Pos) position { return position{pos.Line, pos.Column} }

// hclError keeps the position of the parser's errors, and their text for Vault's
// clients ("At 1:12: …").
func hclError(err error) *ParseError {
	var pe *parser.PosError
	if errors.As(err, &pe) {
		return at(pe.Pos).errorf("%s", pe.Err).vault("%s", err)
	}
	return position{1, 1}.errorf("%s", err)
}

func objectFromHCL(list *ast.ObjectList, pos position) (node, *ParseError) {
	object := node{position: pos, kind: objectNode}
	for _, item := range list.Items {
		f := field{assigned: item.Assign.Line}
		for i, k := range item.Keys {
			text, err := hclText(k.Token)
			if err != nil {
				return node{}, err
			}
			if i == 0 {
				f.position, f.key = at(k.Token.Pos), text
			} else {
				f.labels = append(f.labels, label{at(k.Token.Pos), text})
			}
		}
		value, err := nodeFromHCL(item.Val)
		if err != nil {
			return node{}, err
		}
		f.value = value
		object.fields = append(object.fields, f)
	}
	return object, nil
}

func nodeFromHCL(n ast.Node) (node, *ParseError) {
	switch n := n.(type) {
	case *ast.ObjectType:
		return objectFromHCL(n.List, at(n.Lbrace))
	case *ast.ListType:
		list := node{position: at(n.Lbrack), kind: listNode}
		for _, item := range n.List {
			value, err := nodeFromHCL(item)
			if err != nil {
				return node{}, err
			}
			list.items = append(list.items, value)
		}
		return list, nil
	case *ast.LiteralType:
		return literalFromHCL(n.Token)
	}
	return node{}, at(n.Pos()).errorf("this is not a value")
}

// literalFromHCL does what token.Value does, without its panics on numbers that
// do not fit.
func literalFromHCL(tok token.Token) (node, *ParseError) {
	lit := node{position: at(tok.Pos)}
	var err error
	switch tok.Type {
	case token.STRING:
		text, bad := hclText(tok)
		if bad != nil {
			return node{}, bad
		}
		lit.kind, lit.value = stringNode, text
	case token.NUMBER:
		lit.kind = numberNode
		lit.value, err = strconv.ParseInt(tok.Text, 0, 64)
	case token.FLOAT:
		lit.kind = numberNode
		lit.value, err = strconv.ParseFloat(tok.Text, 64)
	case token.BOOL:
		lit.kind, lit.value = boolNode, tok.Text == "true"
	default:
		return node{}, lit.errorf("this is not a value")
	}
	if err != nil {
		return node{}, lit.errorf("%s is not a number that fits", tok.Text)
	}
	return lit, nil
}

// hclText is the text of an identifier or a quoted string.
func hclText(tok token.Token) (string, *ParseError) {
	if tok.Type != token.STRING {
		return tok.Text, nil
	}
	text, err := hclstrconv.Unquote(tok.Text)
	if err != nil {
		return "", at(tok.Pos).errorf("this string is not quoted correctly")
	}
	return text, nil
}
