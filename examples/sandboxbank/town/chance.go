package town

// chance is a small deterministic source (splitmix64, Steele, Lea and Flood 2014). The standard library's
// generators are good too, but do not promise the same numbers from IntN for ever, and a golden hash needs that.
type chance struct {
	seed, state uint64
}

func newChance(seed, stream uint64) *chance {
	s := mix(seed, stream)
	return &chance{seed: s, state: s}
}

func mix(a, b uint64) uint64 {
	z := a*0x9e3779b97f4a7c15 ^ (b + 0x632be59bd9b4e019)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (c *chance) next() uint64 {
	c.state += 0x9e3779b97f4a7c15
	return mix(c.state, 1)
}

// between returns lo..hi, both possible.
func (c *chance) between(lo, hi int) int {
	if hi <= lo {
		return lo
	}
	return lo + int(c.next()%uint64(hi-lo+1))
}

// in100 says yes p times out of a hundred.
func (c *chance) in100(p int) bool { return c.between(1, 100) <= p }

// pence returns an amount lo..hi in pounds, with pennies.
func (c *chance) pence(lo, hi int) Pence { return Pence(c.between(lo*100, hi*100)) }

// wobble returns p changed by at most pct per cent either way.
func (c *chance) wobble(p Pence, pct int) Pence {
	return p * Pence(1000+c.between(-pct*10, pct*10)) / 1000
}

func pick[T any](c *chance, list []T) T { return list[c.between(0, len(list)-1)] }
