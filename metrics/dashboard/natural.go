package dashboard

import "strings"

// natural compares text as people sort it: "disk2" before "disk10", capitals as
// small letters.
func natural(a, b string) int {
	x, y := strings.ToLower(a), strings.ToLower(b)
	for x != "" && y != "" {
		if digit(x[0]) && digit(y[0]) {
			var p, q string
			p, x = digits(x)
			q, y = digits(y)
			if len(p) != len(q) {
				return sign(len(p) - len(q))
			}
			if c := strings.Compare(p, q); c != 0 {
				return c
			}
			continue
		}
		if x[0] != y[0] {
			return sign(int(x[0]) - int(y[0]))
		}
		x, y = x[1:], y[1:]
	}
	if c := sign(len(x) - len(y)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// digits splits the leading number off, without its zeros in front.
func digits(s string) (number, rest string) {
	i := 0
	for i < len(s) && digit(s[i]) {
		i++
	}
	return strings.TrimLeft(s[:i], "0"), s[i:]
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
