package dashboard

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"nightporter.dev/nightporter"
)

// Palette is the order of colours of Grafana's classic palette: so a dashboard
// keeps the colours that its readers know.
var Palette = []string{
	"#7EB26D", "#EAB839", "#6ED0E0", "#EF843C", "#E24D42", "#1F78C1", "#BA43A9", "#705DA0", "#508642", "#CCA300", "#447EBC", "#C15C17", "#890F02",
	"#0A437C", "#6D1F62", "#584477", "#B7DBAB", "#F4D598", "#70DBED", "#F9BA8F", "#F29191", "#82B5D8", "#E5A8E2", "#AEA2E0", "#629E51", "#E5AC0E",
	"#64B0C8", "#E0752D", "#BF1B00", "#0A50A1", "#962D82", "#614D93", "#9AC48A", "#F2C96D", "#65C5DB", "#F9934E", "#EA6460", "#5195CE", "#D683CE",
	"#806EB7",
}

// named are Grafana's colours by name, the five shades of each hue.
var named = shades(map[string][5]string{
	// dark, semi-dark, plain, light, super-light
	"red": {"#C4162A", "#E02F44", "#F2495C", "#FF7383", "#FFA6B0"}, "orange": {"#FA6400", "#FF780A", "#FF9830", "#FFB357", "#FFCB7D"},
	"yellow": {"#E0B400", "#F2CC0C", "#FADE2A", "#FFEE52", "#FFF899"}, "green": {"#37872D", "#56A64B", "#73BF69", "#96D98D", "#C8F2C2"},
	"blue": {"#1F60C4", "#3274D9", "#5794F2", "#8AB8FF", "#C0D8FF"}, "purple": {"#8F3BB8", "#A352CC", "#B877D9", "#CA95E5", "#DEB6F2"},
})

func shades(hues map[string][5]string) map[string]string {
	all := map[string]string{
		"white": "#FFFFFF", "black": "#000000", "gray": "#8E8E8E", "grey": "#8E8E8E", "text": "text", "transparent": "", "background": "",
		"panel-bg": "", "pink": "#E5A8E2", "cyan": "#6ED0E0", "magenta": "#BA43A9", "brown": "#8B572A", "navy": "#0A437C",
	}
	for hue, five := range hues {
		for i, prefix := range []string{"dark-", "semi-dark-", "", "light-", "super-light-"} {
			all[prefix+hue] = five[i]
		}
	}
	return all
}

var (
	hexColor = regexp.MustCompile(`^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})$`)
	rgbColor = regexp.MustCompile(`^rgba?\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*(?:,\s*([\d.]+)\s*)?\)$`)
)

// hex returns a colour as #RRGGBB, "text" for that of the page, or "" for none and
// for what is no colour: nothing else reaches a page.
func hex(color string) string {
	color = strings.TrimSpace(color)
	if c, ok := named[color]; ok {
		return c
	}
	if m := hexColor.FindStringSubmatch(color); m != nil {
		digits := m[1]
		if len(digits) == 3 {
			digits = string([]byte{digits[0], digits[0], digits[1], digits[1], digits[2], digits[2]})
		}
		return "#" + strings.ToUpper(digits[:6])
	}
	if m := rgbColor.FindStringSubmatch(color); m != nil {
		if alpha, err := strconv.ParseFloat(m[4], 64); err == nil && alpha == 0 {
			return ""
		}
		var rgb [3]int
		for i := range rgb {
			rgb[i], _ = strconv.Atoi(m[i+1])
			rgb[i] = clamp(rgb[i], 0, 255)
		}
		return fmt.Sprintf("#%02X%02X%02X", rgb[0], rgb[1], rgb[2])
	}
	return ""
}

// colorRule says where a field's colour comes from.
type colorRule struct {
	Mode  string
	Fixed string
	By    string
}

// continuous are Grafana's gradients, lowest value first.
var continuous = map[string][]string{
	"continuous-GrYlRd": {"green", "yellow", "red"}, "continuous-RdYlGr": {"red", "yellow", "green"}, "continuous-BlYlRd": {"dark-blue", "super-light-yellow", "dark-red"},
	"continuous-YlRd": {"super-light-yellow", "dark-red"}, "continuous-BlPu": {"dark-blue", "dark-purple"}, "continuous-YlBl": {"super-light-yellow", "dark-blue"},
	"continuous-blues": {"#C0D8FF", "dark-blue"}, "continuous-reds": {"#FFA6B0", "dark-red"}, "continuous-greens": {"#C8F2C2", "dark-green"},
	"continuous-purples": {"#DEB6F2", "dark-purple"}, "continuous-viridis": {"#440154", "#31688E", "#35B779", "#FDE725"},
	"continuous-magma": {"#000004", "#721F81", "#F1605D", "#FCFDBF"}, "continuous-plasma": {"#0D0887", "#9C179E", "#ED7953", "#F0F921"},
	"continuous-inferno": {"#000004", "#781C6D", "#ED6925", "#FCFFA4"}, "continuous-cividis": {"#00224E", "#7C7B78", "#FEE838"},
}

// of returns the colour of the value v of the series with this number.
func (f *fieldConfig) colorOf(index int, v float64, low, high float64) string {
	switch {
	case f.Color.Mode == "fixed":
		return hex(f.Color.Fixed)
	case f.Color.Mode == "shades":
		return hex(f.Color.Fixed)
	case f.Color.Mode == "thresholds":
		return hex(f.Thresholds.color(v, low, high))
	case strings.HasPrefix(f.Color.Mode, "continuous-"):
		stops, ok := continuous[f.Color.Mode]
		if !ok {
			stops = continuous["continuous-GrYlRd"]
		}
		at := 0.0
		if high > low && !math.IsNaN(v) {
			at = min(1, max(0, (v-low)/(high-low)))
		}
		return blend(stops, at)
	}
	return Palette[index%len(Palette)]
}

// blend is the colour at a place from 0 to 1 along stops.
func blend(stops []string, at float64) string {
	span := float64(len(stops) - 1)
	i := clamp(int(at*span), 0, len(stops)-2)
	part := at*span - float64(i)
	a, b := channels(hex(stops[i])), channels(hex(stops[i+1]))
	var c [3]int
	for k := range c {
		c[k] = int(math.Round(float64(a[k]) + (float64(b[k])-float64(a[k]))*part))
	}
	return fmt.Sprintf("#%02X%02X%02X", c[0], c[1], c[2])
}

func channels(color string) [3]int {
	var c [3]int
	if len(color) == 7 {
		n, _ := strconv.ParseUint(color[1:], 16, 32)
		c = [3]int{int(n >> 16), int(n >> 8 & 255), int(n & 255)}
	}
	return c
}

// threshold is the colour from a value on; the first has no value.
type threshold struct {
	Value *float64
	Color string
}

type thresholds struct {
	Percent bool
	Steps   []threshold
}

func readThresholds(n node) thresholds {
	t := thresholds{Percent: n.at("mode").str() == "percentage"}
	for _, s := range n.at("steps").list() {
		t.Steps = append(t.Steps, threshold{Value: s.at("value").maybe(), Color: s.at("color").str()})
	}
	slices.SortStableFunc(t.Steps, func(a, b threshold) int {
		switch {
		case a.Value == nil && b.Value == nil:
			return 0
		case a.Value == nil:
			return -1
		case b.Value == nil:
			return 1
		case *a.Value < *b.Value:
			return -1
		case *a.Value > *b.Value:
			return 1
		}
		return 0
	})
	return t
}

// at is the value where a step begins, of a range for percentages.
func (t thresholds) at(s threshold, low, high float64) float64 {
	if s.Value == nil {
		return math.Inf(-1)
	}
	if t.Percent {
		return low + (high-low)**s.Value/100
	}
	return *s.Value
}

func (t thresholds) color(v, low, high float64) string {
	if len(t.Steps) == 0 {
		return "green"
	}
	color := t.Steps[0].Color
	for _, s := range t.Steps {
		if v >= t.at(s, low, high) {
			color = s.Color
		}
	}
	return color
}

// mapping replaces a value by words and a colour.
type mapping struct {
	matches func(text string, v float64, number bool) (string, bool)
	Color   string
}

// mappings reads value mappings of all ages.
func (c *compiler) mappings(p *Panel, list []node) []mapping {
	var all []mapping
	for _, n := range list {
		if len(all) >= 1000 {
			break
		}
		switch kind := n.at("type").str(); kind {
		case "value":
			object := n.at("options").object()
			for _, key := range sortedKeys(object) {
				result := node{object[key]}
				all = append(all, mapping{equal(key, result.at("text").str()), result.at("color").str()})
			}
		case "1": // Grafana 7: a value
			all = append(all, mapping{equal(n.at("value").str(), n.at("text").str()), n.at("color").str()})
		case "range", "2":
			o := n.at("options")
			if kind == "2" {
				o = n
			}
			text := o.at("result", "text").or(n.at("text").str())
			low, high := o.at("from").maybe(), o.at("to").maybe()
			all = append(all, mapping{func(_ string, v float64, number bool) (string, bool) {
				return text, number && !math.IsNaN(v) && (low == nil || v >= *low) && (high == nil || v <= *high)
			}, o.at("result", "color").str()})
		case "regex":
			pattern, text := n.at("options", "pattern").str(), n.at("options", "result", "text").str()
			re, err := grafanaRegex(pattern)
			if err != nil {
				if c != nil && p != nil {
					c.issue(p, Changed, "mapping regex", "The regular expression %s of a value mapping is not one that Go can run.", cut(pattern, 80))
				}
				continue
			}
			all = append(all, mapping{func(value string, _ float64, _ bool) (string, bool) {
				if !re.MatchString(value) {
					return "", false
				}
				return re.ReplaceAllString(value, groups.ReplaceAllString(text, "$${$1}")), true
			}, n.at("options", "result", "color").str()})
		case "special":
			match, text := n.at("options", "match").str(), n.at("options", "result", "text").str()
			all = append(all, mapping{func(value string, v float64, number bool) (string, bool) {
				unknown := number && math.IsNaN(v)
				switch match {
				case "null", "nan", "null+nan", "null+NaN", "empty":
					return text, unknown || match == "empty" && value == "" && !number
				case "true", "false":
					return text, value == match
				}
				return "", false
			}, n.at("options", "result", "color").str()})
		default:
			if c != nil && p != nil {
				c.issue(p, Changed, "mapping "+cut(kind, 20), "A value mapping of the type %q is left out.", cut(kind, 20))
			}
		}
	}
	return all
}

var groups = regexp.MustCompile(`\$(\d+)`)

// equal matches a value written as text: "1" is 1.
func equal(key, text string) func(string, float64, bool) (string, bool) {
	want, isNumber := node{key}.num()
	return func(value string, v float64, number bool) (string, bool) {
		switch {
		case key == "null":
			return text, number && math.IsNaN(v)
		case number && isNumber:
			return text, v == want
		}
		return text, value == key
	}
}

// shown is a value as people see it.
type shown struct {
	Text  string
	Color string
}

func messageOf(err error) string { return nightporter.MessageOf(err) }

func decimalText(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
