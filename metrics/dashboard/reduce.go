package dashboard

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// calcs are the calculations by id with the words that tables show.
var calcs = map[string]string{
	"lastNotNull": "Last *", "last": "Last", "firstNotNull": "First *", "first": "First", "min": "Min", "max": "Max", "mean": "Mean", "sum": "Total",
	"count": "Count", "range": "Range", "delta": "Delta", "step": "Step", "diff": "Difference", "logmin": "Min (above zero)", "changeCount": "Change count",
	"distinctCount": "Distinct count", "diffperc": "Difference percent", "variance": "Variance", "stdDev": "StdDev", "median": "Median",
	"allIsZero": "All Zeros", "allIsNull": "All Nulls", "total": "Total", "avg": "Mean", "current": "Last *", "allValues": "All values", "uniqueValues": "All unique values",
}

func calcName(id string) string {
	if name, ok := calcs[id]; ok {
		return name
	}
	return id
}

// reduce makes one number of many. Unknown values do not count, except in last and
// first. NaN means there is none.
func reduce(values []float64, calc string) float64 {
	switch calc {
	case "last":
		if len(values) == 0 {
			return math.NaN()
		}
		return values[len(values)-1]
	case "first":
		if len(values) == 0 {
			return math.NaN()
		}
		return values[0]
	}
	known := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) {
			known = append(known, v)
		}
	}
	switch calc {
	case "count":
		return float64(len(known))
	case "allIsNull":
		return truth(len(known) == 0)
	}
	if len(known) == 0 {
		return math.NaN()
	}
	low, high, sum := known[0], known[0], 0.0
	for _, v := range known {
		low, high, sum = min(low, v), max(high, v), sum+v
	}
	n := float64(len(known))
	first, last := known[0], known[len(known)-1]
	switch calc {
	case "lastNotNull", "current":
		return last
	case "firstNotNull":
		return first
	case "min":
		return low
	case "max":
		return high
	case "mean", "avg":
		return sum / n
	case "sum", "total":
		return sum
	case "range":
		return high - low
	case "diff":
		return last - first
	case "diffperc":
		return (last - first) / first
	case "delta":
		// The growth of a counter that may begin anew.
		grown := 0.0
		for i := 1; i < len(known); i++ {
			if known[i] >= known[i-1] {
				grown += known[i] - known[i-1]
			} else {
				grown += known[i]
			}
		}
		return grown
	case "step":
		least := math.Inf(1)
		for i := 1; i < len(known); i++ {
			least = min(least, known[i]-known[i-1])
		}
		return least
	case "logmin":
		least := math.NaN()
		for _, v := range known {
			if v > 0 && !(v >= least) {
				least = v
			}
		}
		return least
	case "changeCount":
		changes := 0
		for i := 1; i < len(known); i++ {
			if known[i] != known[i-1] {
				changes++
			}
		}
		return float64(changes)
	case "distinctCount":
		seen := map[float64]bool{}
		for _, v := range known {
			seen[v] = true
		}
		return float64(len(seen))
	case "allIsZero":
		return truth(low == 0 && high == 0)
	case "variance", "stdDev":
		mean, squares := sum/n, 0.0
		for _, v := range known {
			squares += (v - mean) * (v - mean)
		}
		if calc == "variance" {
			return squares / n
		}
		return math.Sqrt(squares / n)
	case "median":
		return quantile(known, 50)
	}
	if digits, ok := strings.CutPrefix(calc, "p"); ok {
		if p, err := strconv.ParseFloat(digits, 64); err == nil && p >= 0 && p <= 100 {
			return quantile(known, p)
		}
	}
	return last
}

func quantile(known []float64, p float64) float64 {
	sorted := slices.Sorted(slices.Values(known))
	at := p / 100 * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (sorted[i+1]-sorted[i])*(at-float64(i))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
