package seal

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
)

func TestFieldHasThePublishedProducts(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]byte{
		{0x57, 0x83, 0xc1}, {0x57, 0x13, 0xfe}, // FIPS 197 §4.2
		{0x57, 0x02, 0xae}, {0x57, 0x04, 0x47}, {0x57, 0x08, 0x8e}, {0x57, 0x10, 0x07}, // FIPS 197 §4.2.1
		{0x53, 0xca, 0x01},               // the inverses of the S-box's usual example
		{7, 7, 21}, {3, 0, 0}, {0, 3, 0}, // Vault's own tests of its field
	} {
		if got := multiply(c[0], c[1]); got != c[2] {
			t.Errorf("%#x · %#x = %#x, want %#x", c[0], c[1], got, c[2])
		}
	}
	for a := 1; a < 256; a++ {
		if got := multiply(byte(a), inverse(byte(a))); got != 1 {
			t.Errorf("%#x times its inverse is %#x", a, got)
		}
	}
}

// Every product against the definition: polynomials multiplied without carry and
// reduced by x^8+x^4+x^3+x+1.
func TestFieldAgreesWithItsDefinition(t *testing.T) {
	t.Parallel()
	for a := range 256 {
		for b := range 256 {
			product := 0
			for i := range 8 {
				if b>>i&1 == 1 {
					product ^= a << i
				}
			}
			for i := 14; i >= 8; i-- {
				if product>>i&1 == 1 {
					product ^= 0x11b << (i - 8)
				}
			}
			if got := multiply(byte(a), byte(b)); got != byte(product) {
				t.Fatalf("%#x · %#x = %#x, want %#x", a, b, got, product)
			}
		}
	}
}

// Shares of 0x2a by the polynomial 0x2a + 0x57·x, written down with the products
// of FIPS 197: 57·83 = c1, 57·13 = fe.
func TestCombineOpensSharesThatWereMadeByHand(t *testing.T) {
	t.Parallel()
	shares := [][]byte{{0x2a ^ 0x57, 0x01}, {0x2a ^ 0xc1, 0x83}, {0x2a ^ 0xfe, 0x13}}
	for i := range shares {
		for j := range shares {
			if i == j {
				continue
			}
			got, err := combine([][]byte{shares[i], shares[j]})
			if diff := cmp.Diff([]byte{0x2a}, got); diff != "" || err != nil {
				t.Errorf("shares %d and %d: %v (-want +got)\n%s", i, j, err, diff)
			}
		}
	}
	if got := evaluate([]byte{0x2a, 0x57}, 0x83); got != 0x2a^0xc1 {
		t.Errorf("evaluate = %#x, want %#x", got, 0x2a^0xc1)
	}
}

func TestAnyThresholdOfSharesOpensAndFewerDoNot(t *testing.T) {
	t.Parallel()
	secret := newKey()
	for _, c := range []struct{ shares, threshold int }{{2, 2}, {3, 2}, {5, 3}, {7, 7}} {
		parts, err := split(secret, c.shares, c.threshold)
		if err != nil {
			t.Fatal(err)
		}
		for subset := range 1 << c.shares {
			var some [][]byte
			for i, p := range parts {
				if subset>>i&1 == 1 {
					some = append(some, p)
				}
			}
			if len(some) < 2 {
				continue
			}
			got, err := combine(some)
			if err != nil {
				t.Fatal(err)
			}
			if opened, want := bytes.Equal(got, secret), len(some) >= c.threshold; opened != want {
				t.Errorf("%d of %d/%d shares: opened %v, want %v", len(some), c.threshold, c.shares, opened, want)
			}
		}
	}
	if parts, err := split(secret, 255, 255); err != nil || len(parts) != 255 {
		t.Errorf("255 of 255: %v", err)
	}
}

func TestSplitAndCombineRefuseNonsense(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]int{{0, 0}, {1, 0}, {2, 1}, {2, 3}, {256, 2}, {-1, -1}, {3, -1}} {
		if _, err := split(newKey(), c[0], c[1]); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%d of %d: %v, want invalid", c[1], c[0], err)
		}
	}
	for name, shares := range map[string][][]byte{
		"none": nil, "lengths": {{1, 1}, {1, 2, 2}}, "twice": {{1, 1}, {2, 1}}, "x is 0": {{1, 1}, {2, 0}}, "empty": {{}, {}},
	} {
		if _, err := combine(shares); err == nil {
			t.Errorf("%s: combined", name)
		}
	}
}

func TestUnsealShareOpensWithTheLastShare(t *testing.T) {
	t.Parallel()
	m := &memory{}
	s, err := New(t.Context(), Config{Storage: m})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.UnsealShare(t.Context(), make([]byte, 33)); nightporter.CodeOf(err) != nightporter.Conflict {
		t.Errorf("before init: %v, want conflict", err)
	}
	shares, err := s.InitShamir(t.Context(), 5, 3)
	if err != nil {
		t.Fatal(err)
	}
	give := func(share []byte) Status {
		t.Helper()
		st, err := s.UnsealShare(t.Context(), share)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	st := give(shares[4])
	nonce := st.Nonce
	if len(nonce) != 32 || !st.Sealed || st.Progress != 1 || st.Threshold != 3 || st.Shares != 5 || st.Kind != Shamir {
		t.Errorf("after the first: %+v", st)
	}
	if st = give(shares[4]); st.Progress != 1 {
		t.Errorf("the same share again counts: %+v", st)
	}
	if st = give(shares[0]); st.Progress != 2 || st.Nonce != nonce {
		t.Errorf("after the second: %+v", st)
	}
	if st = give(shares[2]); st.Sealed || st.Progress != 0 || st.Nonce != "" || st.KeyVersion != 1 {
		t.Errorf("after the third: %+v", st)
	}
	if st = give([]byte("anything")); st.Sealed {
		t.Errorf("a share for an open store: %+v", st)
	}
}

func TestUnsealShareStartsAfreshAfterAWrongShare(t *testing.T) {
	t.Parallel()
	s, err := New(t.Context(), Config{Storage: &memory{}})
	if err != nil {
		t.Fatal(err)
	}
	shares, err := s.InitShamir(t.Context(), 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.UnsealShare(t.Context(), shares[0][:32]); nightporter.CodeOf(err) != nightporter.Invalid || s.Status().Progress != 0 {
		t.Errorf("a share of the wrong length: %v, %+v", err, s.Status())
	}
	for name, wrong := range map[string][]byte{
		"a changed byte":  append([]byte{shares[1][0] ^ 1}, shares[1][1:]...),
		"the same x":      append(append([]byte{}, shares[1][:32]...), shares[0][32]),
		"x of the secret": append(append([]byte{}, shares[1][:32]...), 0),
	} {
		if _, err := s.UnsealShare(t.Context(), shares[0]); err != nil {
			t.Fatal(err)
		}
		st, err := s.UnsealShare(t.Context(), wrong)
		if nightporter.CodeOf(err) != nightporter.Invalid || !st.Sealed || st.Progress != 0 || st.Nonce != "" {
			t.Errorf("%s: %+v, %v; want invalid and no progress", name, st, err)
		}
	}
	if _, err := s.UnsealShare(t.Context(), shares[0]); err != nil {
		t.Fatal(err)
	}
	s.ResetUnseal()
	if s.Status().Progress != 0 {
		t.Errorf("after the reset: %+v", s.Status())
	}
	for _, share := range shares[1:] {
		if _, err := s.UnsealShare(t.Context(), share); err != nil {
			t.Fatal(err)
		}
	}
	if s.Sealed() {
		t.Error("the right shares do not open it any more")
	}
}

func TestOneShareOfOneIsTheKey(t *testing.T) {
	t.Parallel()
	s, err := New(t.Context(), Config{Storage: &memory{}})
	if err != nil {
		t.Fatal(err)
	}
	shares, err := s.InitShamir(t.Context(), 1, 1)
	if err != nil || len(shares) != 1 || len(shares[0]) != keySize {
		t.Fatalf("%d shares, %v", len(shares), err)
	}
	if st, err := s.UnsealShare(t.Context(), shares[0]); err != nil || st.Sealed {
		t.Errorf("%+v, %v", st, err)
	}
}
