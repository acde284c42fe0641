package audit

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"nightporter.dev/nightporter"
)

func entryOf(seq, at int64, s []string) *Entry {
	return &Entry{
		Seq: seq, At: time.UnixMicro(at).UTC(),
		Actor:  nightporter.Actor{Kind: nightporter.ActorKind(s[0]), Name: s[1], Method: s[2], Accessor: s[3], OnBehalfOf: s[4], Remote: s[5]},
		Action: s[6], Resource: nightporter.Resource{Kind: s[7], ID: s[8]}, Decision: s[9], Policy: s[10], RequestID: s[11],
		Detail: json.RawMessage(s[12]),
	}
}

// cut makes thirteen columns of text, cut at the places that the second text says.
func cut(text, places []byte) []string {
	out := make([]string, 13)
	for i := range out {
		n := len(text)
		if i < len(out)-1 {
			n = 0
			if i < len(places) {
				n = min(int(places[i]), len(text))
			}
		}
		out[i], text = string(text[:n]), text[n:]
	}
	return out
}

// FuzzLeaf looks for two different entries with one leaf: whoever found them
// could swap one for the other under the tree. Cutting the same bytes at other
// places is the classic way.
func FuzzLeaf(f *testing.F) {
	f.Add(int64(0), int64(1), []byte("personanaticket"), []byte{6, 3, 0}, int64(0), int64(1), []byte("personanaticket"), []byte{6, 2, 1})
	f.Add(int64(1), int64(0), []byte("a\x00\x00\x00\x01b"), []byte{1, 5}, int64(0), int64(1), []byte("a\x00\x00\x00\x01b"), []byte{6})
	f.Add(int64(-1), int64(1<<62), []byte{}, []byte{}, int64(1), int64(0), []byte("x"), []byte{0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, seq1, at1 int64, text1, places1 []byte, seq2, at2 int64, text2, places2 []byte) {
		one, two := entryOf(seq1, at1, cut(text1, places1)), entryOf(seq2, at2, cut(text2, places2))
		same := slices.Equal(one.values(), two.values())
		if got := bytes.Equal(one.leaf(), two.leaf()); got != same {
			t.Errorf("entries equal: %v, leaves equal: %v\n%+v\n%+v", same, got, one, two)
		}
	})
}
