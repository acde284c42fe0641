package dashboard

import (
	"cmp"
	"context"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// window is the time of one panel, and the step of one target.
type window struct {
	from, to time.Time
	points   int
}

// window moves the dashboard's time by what the panel says.
func (v *View) window(p *Panel, points int) window {
	w := window{from: v.From, to: v.To, points: points}
	if p.MaxPoints > 0 {
		w.points = min(p.MaxPoints, maxPoints)
	}
	if back, ok := parseDuration(strings.TrimPrefix(p.TimeFrom, "now-")); ok && back > 0 {
		w.to = v.Now
		w.from = v.Now.Add(-back)
	}
	if shift, ok := parseDuration(p.TimeShift); ok {
		w.from, w.to = w.from.Add(-shift), w.to.Add(-shift)
	}
	return w
}

// query is a target as it is asked.
type query struct {
	target *Target
	expr   string
	step   time.Duration
}

// queries fill in the variables and intervals of a panel's targets.
func (v *View) queries(p *Panel, with map[string]string, w window) []query {
	var all []query
	for i := range p.Targets {
		t := &p.Targets[i]
		if t.Hidden {
			continue
		}
		s := maps.Clone(v.within(with))
		least := v.scrape
		if own, ok := parseDuration(s.text(p.Interval)); ok {
			least = own
		}
		if own, ok := parseDuration(s.text(t.Interval)); ok {
			least = own
		}
		step := stepOf(w.to.Sub(w.from), w.points, least)
		step = max(time.Duration(t.Factor)*step, time.Millisecond)
		s.builtins(v, w.from, w.to, step, least)
		all = append(all, query{target: t, expr: s.expr(t.Expr), step: step})
	}
	return all
}

// frames asks the targets of a panel and makes frames of the answers.
func (v *View) frames(ctx context.Context, q Querier, asked []query, w window) (frames []Frame, warnings []string, err error) {
	tables := map[string]bool{}
	for _, a := range asked {
		if a.target.Format == "table" {
			tables[a.target.RefID] = true
		}
	}
	for _, a := range asked {
		var results []Result
		if a.target.Range {
			start := w.from.Truncate(a.step)
			end := w.to.Truncate(a.step)
			result, err := q.Range(ctx, RangeQuery{Expr: a.expr, Start: start, End: end, Step: a.step})
			if err != nil {
				return nil, nil, err
			}
			results = append(results, result)
		}
		if a.target.Instant {
			result, err := q.Instant(ctx, InstantQuery{Expr: a.expr, At: w.to})
			if err != nil {
				return nil, nil, err
			}
			results = append(results, result)
		}
		for _, r := range results {
			warnings = append(warnings, r.Warnings...)
			slices.SortStableFunc(r.Series, func(a, b Series) int { return compareLabels(a.Labels, b.Labels) })
			switch a.target.Format {
			case "table":
				frames = append(frames, tableFrame(a.target.RefID, r.Series, len(tables) > 1))
			case "heatmap":
				frames = append(frames, heatFrame(a.target, r.Series))
			default:
				frames = append(frames, seriesFrames(a.target, r.Series, a.expr)...)
			}
		}
	}
	return frames, warnings, nil
}

func compareLabels(a, b map[string]string) int { return natural(seriesText(a), seriesText(b)) }

// seriesFrames makes a frame of time and value of each series.
func seriesFrames(t *Target, all []Series, expr string) []Frame {
	varying := varyingLabels(all)
	frames := make([]Frame, 0, len(all))
	for _, s := range all {
		name := legend(t.Legend, s.Labels, varying, expr)
		times, values := make(Numbers, len(s.Points)), make(Numbers, len(s.Points))
		for i, p := range s.Points {
			times[i], values[i] = float64(p.T), p.V
		}
		frames = append(frames, Frame{Name: name, RefID: t.RefID, Fields: []Field{
			{Name: "Time", Type: TimeField, Numbers: times},
			{Name: "Value", Type: NumberField, Labels: withoutName(s.Labels), Numbers: values, display: name},
		}})
	}
	return frames
}

// varyingLabels are the labels in which series differ.
func varyingLabels(all []Series) []string {
	values := map[string]map[string]bool{}
	for _, s := range all {
		for l, v := range s.Labels {
			if values[l] == nil {
				values[l] = map[string]bool{}
			}
			values[l][v] = true
		}
	}
	var varying []string
	for _, l := range sortedKeys(values) {
		if len(values[l]) > 1 {
			varying = append(varying, l)
		}
	}
	return varying
}

var legendField = regexp.MustCompile(`\{\{\s*(.+?)\s*\}\}`)

// legend names a series: by its format, or by the labels in which it differs.
func legend(format string, labels map[string]string, varying []string, expr string) string {
	switch {
	case format == "__auto" && len(varying) == 1 && labels[varying[0]] != "":
		return labels[varying[0]]
	case format == "__auto" || format == "":
		if text := seriesText(labels); text != "{}" && text != "" {
			return text
		}
		return expr
	}
	return legendField.ReplaceAllStringFunc(format, func(m string) string {
		return labels[strings.TrimSpace(strings.Trim(m, "{}"))]
	})
}

// seriesText writes a series as PromQL does.
func seriesText(labels map[string]string) string {
	var b strings.Builder
	b.WriteString(labels["__name__"])
	open := false
	for _, l := range sortedKeys(labels) {
		if l == "__name__" {
			continue
		}
		if open {
			b.WriteString(", ")
		} else {
			b.WriteByte('{')
			open = true
		}
		b.WriteString(l + "=" + strconv.Quote(labels[l]))
	}
	if open {
		b.WriteByte('}')
	} else if b.Len() == 0 {
		return "{}"
	}
	return b.String()
}

func withoutName(labels map[string]string) map[string]string {
	rest := maps.Clone(labels)
	delete(rest, "__name__")
	return rest
}

// tableFrame makes one frame of all series: time, each label, the value.
func tableFrame(ref string, all []Series, several bool) Frame {
	labels := map[string]bool{}
	n := 0
	for _, s := range all {
		for l := range s.Labels {
			labels[l] = true
		}
		n += len(s.Points)
	}
	f := Frame{RefID: ref}
	times, values := make(Numbers, 0, n), make(Numbers, 0, n)
	sorted := sortedKeys(labels)
	columns := make([][]string, len(sorted))
	for _, s := range all {
		for _, p := range s.Points {
			times, values = append(times, float64(p.T)), append(values, p.V)
			for i, l := range sorted {
				columns[i] = append(columns[i], s.Labels[l])
			}
		}
	}
	name := "Value"
	if several {
		name += " #" + ref
	}
	f.Fields = append(f.Fields, Field{Name: "Time", Type: TimeField, Numbers: times})
	for i, l := range sorted {
		f.Fields = append(f.Fields, Field{Name: l, Type: StringField, Strings: columns[i]})
	}
	f.Fields = append(f.Fields, Field{Name: name, Type: NumberField, Numbers: values})
	return f
}

// heatFrame makes one frame of the buckets of a histogram: a field for each bound,
// each with what falls into that bucket alone.
func heatFrame(t *Target, all []Series) Frame {
	times := timesOf(all)
	f := Frame{RefID: t.RefID, heat: true, Fields: []Field{{Name: "Time", Type: TimeField, Numbers: times}}}
	if slices.ContainsFunc(all, func(s Series) bool { return len(s.Points) > 0 && s.Points[0].Buckets != nil }) {
		return nativeFrame(f, all, times)
	}
	bounded := slices.Clone(all)
	cumulative := len(bounded) > 0
	for _, s := range bounded {
		cumulative = cumulative && s.Labels["le"] != ""
	}
	bound := func(s Series) float64 {
		v, err := strconv.ParseFloat(s.Labels["le"], 64)
		if err != nil {
			return math.Inf(1)
		}
		return v
	}
	slices.SortStableFunc(bounded, func(a, b Series) int {
		return cmp.Or(cmp.Compare(bound(a), bound(b)), compareLabels(a.Labels, b.Labels))
	})
	below := make(Numbers, len(times))
	for _, s := range bounded {
		values := onTimes(s.Points, times)
		field := Field{Name: legend(t.Legend, s.Labels, []string{"le"}, "value"), Type: NumberField, Labels: withoutName(s.Labels), Numbers: values}
		if t.Legend == "" || t.Legend == "__auto" {
			field.Name = cmp.Or(s.Labels["le"], field.Name)
		}
		if cumulative {
			own := make(Numbers, len(values))
			for i, v := range values {
				own[i] = max(0, v-below[i])
				if !math.IsNaN(v) {
					below[i] = v
				}
			}
			field.Numbers = own
		}
		f.Fields = append(f.Fields, field)
	}
	return f
}

// nativeFrame spreads native histograms over the bounds that they have together.
func nativeFrame(f Frame, all []Series, times Numbers) Frame {
	type span struct{ low, high float64 }
	at := map[float64]int{}
	for i, t := range times {
		at[t] = i
	}
	counts := map[span]Numbers{}
	for _, s := range all {
		for _, p := range s.Points {
			for _, b := range p.Buckets {
				k := span{b.Lower, b.Upper}
				if counts[k] == nil {
					counts[k] = make(Numbers, len(times))
				}
				counts[k][at[float64(p.T)]] += b.Count
			}
		}
	}
	spans := slices.SortedFunc(maps.Keys(counts), func(a, b span) int { return cmp.Or(cmp.Compare(a.high, b.high), cmp.Compare(a.low, b.low)) })
	for _, k := range spans {
		f.Fields = append(f.Fields, Field{Name: strconv.FormatFloat(k.high, 'g', 4, 64), Type: NumberField, Numbers: counts[k], Labels: map[string]string{"le": decimalText(k.high)}})
	}
	return f
}

// timesOf are all times of series in order.
func timesOf(all []Series) Numbers {
	seen := map[int64]bool{}
	var times Numbers
	for _, s := range all {
		for _, p := range s.Points {
			if !seen[p.T] {
				seen[p.T] = true
				times = append(times, float64(p.T))
			}
		}
	}
	slices.Sort(times)
	return times
}

// onTimes puts points on a common list of times; gaps are NaN.
func onTimes(points []Point, times Numbers) Numbers {
	values := make(Numbers, len(times))
	i := 0
	for k, t := range times {
		values[k] = math.NaN()
		for i < len(points) && float64(points[i].T) < t {
			i++
		}
		if i < len(points) && float64(points[i].T) == t {
			values[k] = points[i].V
		}
	}
	return values
}
