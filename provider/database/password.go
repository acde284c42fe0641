package database

import (
	"crypto/rand"
	"fmt"
	"io"
	"strings"
)

const (
	lowerLetters = "abcdefghijklmnopqrstuvwxyz"
	upperLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits       = "0123456789"

	passwordLength = 20
)

// Password makes a password the way Vault does when no policy says otherwise: 20
// characters with at least one lower-case letter, one upper-case letter, one
// digit and one hyphen. It never starts with the hyphen, which programs would
// take for a flag.
func Password() (string, error) {
	for {
		p, err := pick(rand.Reader, lowerLetters+upperLetters+digits+"-", passwordLength)
		if err != nil {
			return "", fmt.Errorf("making a password: %w", err)
		}
		if p[0] != '-' && strings.Contains(p, "-") && strings.ContainsAny(p, lowerLetters) &&
			strings.ContainsAny(p, upperLetters) && strings.ContainsAny(p, digits) {
			return p, nil
		}
	}
}

// pick draws n characters of an alphabet, each one as likely as the others.
func pick(random io.Reader, alphabet string, n int) (string, error) {
	// Bytes from limit on would make the first letters likelier: they are dropped.
	limit := 256 - 256%len(alphabet)
	picked := make([]byte, 0, n)
	buffer := make([]byte, n+n/2+1)
	for len(picked) < n {
		if _, err := io.ReadFull(random, buffer); err != nil {
			return "", err
		}
		for _, b := range buffer {
			if int(b) < limit && len(picked) < n {
				picked = append(picked, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(picked), nil
}
