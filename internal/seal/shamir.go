package seal

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"

	"nightporter.dev/nightporter"
)

// Shamir's secret sharing over GF(2^8) with the polynomial of AES (FIPS 197
// §4.2), byte by byte. A share is the values of the bytes' polynomials at x,
// followed by x: the form that Vault's unseal keys have.

// maxShares is how many values x has, 0 being the secret's.
const maxShares = 255

func validShares(shares, threshold int) error {
	switch {
	case shares < 1 || shares > maxShares:
		return nightporter.E(nightporter.Invalid, "there can be 1 to %d key shares, not %d", maxShares, shares)
	case threshold < 1 || threshold > shares:
		return nightporter.E(nightporter.Invalid, "the threshold must be between 1 and the number of shares, not %d", threshold)
	case threshold == 1 && shares > 1:
		return nightporter.E(nightporter.Invalid, "a threshold of 1 needs exactly one share: each of more would be the whole key")
	}
	return nil
}

// split makes shares of which any threshold give the secret back and fewer say
// nothing about it. One of one is the secret itself.
func split(secret []byte, shares, threshold int) ([][]byte, error) {
	if err := validShares(shares, threshold); err != nil {
		return nil, err
	}
	if shares == 1 {
		return [][]byte{bytes.Clone(secret)}, nil
	}
	out := make([][]byte, shares)
	for i := range out {
		out[i] = make([]byte, len(secret)+1)
		out[i][len(secret)] = byte(i + 1)
	}
	coefficients := make([]byte, threshold)
	defer clear(coefficients)
	for at, b := range secret {
		coefficients[0] = b
		rand.Read(coefficients[1:])
		for _, share := range out {
			share[at] = evaluate(coefficients, share[len(secret)])
		}
	}
	return out, nil
}

// combine gives the secret back. It cannot tell right shares from wrong ones:
// whoever uses the secret finds out.
func combine(shares [][]byte) ([]byte, error) {
	if len(shares) == 1 {
		return bytes.Clone(shares[0]), nil
	}
	if len(shares) == 0 || len(shares[0]) < 2 {
		return nil, errors.New("combining key shares: they are too short")
	}
	n := len(shares[0]) - 1
	for i, s := range shares {
		if len(s) != n+1 {
			return nil, errors.New("combining key shares: their lengths differ")
		}
		if s[n] == 0 {
			return nil, fmt.Errorf("combining key shares: share %d is not one", i+1)
		}
		for _, t := range shares[:i] {
			if s[n] == t[n] {
				return nil, errors.New("combining key shares: one was given twice")
			}
		}
	}
	secret := make([]byte, n)
	for i, s := range shares {
		// Lagrange's basis polynomial of x_i at 0. Subtraction is xor.
		basis := byte(1)
		for j, t := range shares {
			if i != j {
				basis = multiply(basis, multiply(t[n], inverse(t[n]^s[n])))
			}
		}
		for at := range secret {
			secret[at] ^= multiply(s[at], basis)
		}
	}
	return secret, nil
}

// evaluate is Horner's rule.
func evaluate(coefficients []byte, x byte) byte {
	y := byte(0)
	for i := len(coefficients) - 1; i >= 0; i-- {
		y = multiply(y, x) ^ coefficients[i]
	}
	return y
}

// multiply works without tables and branches: the time that it takes says
// nothing about secret bytes.
func multiply(a, b byte) byte {
	var product byte
	for range 8 {
		product ^= -(b & 1) & a
		a = a<<1 ^ -(a>>7)&0x1b
		b >>= 1
	}
	return product
}

// inverse is a^254: a^255 is 1 for every a but 0.
func inverse(a byte) byte {
	power, result := a, byte(1)
	for range 7 { // 254 = 2+4+8+16+32+64+128
		power = multiply(power, power)
		result = multiply(result, power)
	}
	return result
}
