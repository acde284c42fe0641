package scan

// words finds which of a list of words stand in a text, in one pass over it
// (Aho and Corasick, 1975). ASCII letters count as their small ones.
type words struct {
	class  [256]uint8 // of a byte; 0 is every byte that no word has
	width  int
	next   []uint16 // by state*width + class
	ends   [][]int  // the words that end in a state
	number int
}

func newWords(list []string) *words {
	w := &words{number: len(list), width: 1}
	for _, word := range list {
		for _, b := range []byte(word) {
			if w.class[small(b)] == 0 {
				w.class[small(b)] = uint8(w.width)
				w.width++
			}
		}
	}
	for b := byte('A'); b <= 'Z'; b++ {
		w.class[b] = w.class[small(b)]
	}
	w.add()
	for n, word := range list {
		state := 0
		for _, b := range []byte(word) {
			at := state*w.width + int(w.class[b])
			if w.next[at] == 0 {
				next := w.add()
				w.next[at] = next // after add, which may move the table
			}
			state = int(w.next[at])
		}
		w.ends[state] = append(w.ends[state], n)
	}
	// Breadth first: what a state lacks, it has from its longest proper suffix.
	suffix := make([]uint16, len(w.ends))
	var queue []uint16
	for c := range w.width {
		if s := w.next[c]; s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		w.ends[s] = append(w.ends[s], w.ends[suffix[s]]...)
		for c := range w.width {
			at, back := int(s)*w.width+c, w.next[int(suffix[s])*w.width+c]
			if t := w.next[at]; t != 0 {
				suffix[t] = back
				queue = append(queue, t)
			} else {
				w.next[at] = back
			}
		}
	}
	return w
}

func (w *words) add() uint16 {
	w.next = append(w.next, make([]uint16, w.width)...)
	w.ends = append(w.ends, nil)
	return uint16(len(w.ends) - 1)
}

// find calls seen once for every word of the list that is in text.
func (w *words) find(text string, seen func(word int)) {
	done := make([]bool, w.number)
	state := 0
	for i := range len(text) {
		state = int(w.next[state*w.width+int(w.class[text[i]])])
		for _, n := range w.ends[state] {
			if !done[n] {
				done[n] = true
				seen(n)
			}
		}
	}
}

func small(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}
