package dashboard

import (
	"math"
	"slices"
)

// calculate compiles calculateField: a new field from the others of a row.
func (c *compiler) calculate(p *Panel, o node) transform {
	alias, replace := o.at("alias").str(), o.at("replaceFields").is()
	var value func(frame *Frame) (string, Numbers)
	switch mode := o.at("mode").or("reduceRow"); mode {
	case "reduceRow":
		wanted, calc := o.at("reduce", "include").strs(), o.at("reduce", "reducer").or("sum")
		value = func(frame *Frame) (string, Numbers) {
			var from []*Field
			for i := range frame.Fields {
				f := &frame.Fields[i]
				if f.Type == NumberField && (len(wanted) == 0 || slices.Contains(wanted, f.label()) || slices.Contains(wanted, f.Name)) {
					from = append(from, f)
				}
			}
			made, row := make(Numbers, frame.rows()), make([]float64, len(from))
			for i := range made {
				for j, f := range from {
					row[j] = f.Numbers[i]
				}
				made[i] = reduce(row, calc)
			}
			return calcName(calc), made
		}
	case "binary":
		left, op, right := operand(o.at("binary", "left")), o.at("binary", "operator").or("+"), operand(o.at("binary", "right"))
		value = func(frame *Frame) (string, Numbers) {
			made := make(Numbers, frame.rows())
			for i := range made {
				made[i] = apply(left.at(frame, i), op, right.at(frame, i))
			}
			return left.name + " " + op + " " + right.name, made
		}
	case "unary":
		name, op := o.at("unary", "fieldName").str(), o.at("unary", "operator").or("abs")
		value = func(frame *Frame) (string, Numbers) {
			from := operandOf{name: name}
			made := make(Numbers, frame.rows())
			for i := range made {
				made[i] = unary(op, from.at(frame, i))
			}
			return op + "(" + name + ")", made
		}
	case "index":
		value = func(frame *Frame) (string, Numbers) {
			made := make(Numbers, frame.rows())
			for i := range made {
				made[i] = float64(i)
				if o.at("index", "asPercentile").is() && len(made) > 1 {
					made[i] /= float64(len(made) - 1)
				}
			}
			return "Row", made
		}
	default:
		c.issue(p, Changed, "transformation calculateField "+cut(mode, 40), "The calculation %q is left out.", cut(mode, 40))
		return nil
	}
	return func(frames []Frame, s scope) []Frame {
		// Series with one time each are rows of one table first, as in Grafana.
		if len(frames) > 1 && !slices.ContainsFunc(frames, func(f Frame) bool { return f.timeField() == nil }) {
			frames = joinBy("", "outer")(frames, s)
		}
		for i := range frames {
			name, numbers := value(&frames[i])
			if alias != "" {
				name = s.text(alias)
			}
			made := Field{Name: name, Type: NumberField, Numbers: numbers}
			if replace {
				kept := []Field{}
				if t := frames[i].timeField(); t != nil {
					kept = append(kept, *t)
				}
				frames[i].Fields = append(kept, made)
				continue
			}
			frames[i].Fields = append(slices.Clone(frames[i].Fields), made)
		}
		return frames
	}
}

// operandOf is a field by name, or a number.
type operandOf struct {
	name   string
	number *float64
}

func operand(n node) operandOf {
	name := n.str()
	if n.isObject() {
		name = n.at("matcher", "options").str()
		if fixed := n.at("fixed"); fixed.exists() {
			name = fixed.str()
		}
	}
	return operandOf{name: name, number: node{name}.maybe()}
}

func (o operandOf) at(frame *Frame, row int) float64 {
	if f := frame.field(o.name); f != nil && f.Type != StringField {
		return f.Numbers[row]
	}
	if o.number != nil {
		return *o.number
	}
	return math.NaN()
}

func apply(a float64, op string, b float64) float64 {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		return a / b
	case "**":
		return math.Pow(a, b)
	case "%":
		return math.Mod(a, b)
	}
	return math.NaN()
}

func unary(op string, v float64) float64 {
	switch op {
	case "abs":
		return math.Abs(v)
	case "exp":
		return math.Exp(v)
	case "ln":
		return math.Log(v)
	case "floor":
		return math.Floor(v)
	case "ceil":
		return math.Ceil(v)
	case "round":
		return math.Floor(v + 0.5)
	}
	return math.NaN()
}
