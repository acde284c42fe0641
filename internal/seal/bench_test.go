package seal

import (
	"fmt"
	"testing"
)

func BenchmarkEncrypt(b *testing.B) {
	for _, size := range []int{64, 1024, 65536} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := setup(b)
			plain := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Encrypt("secret rows", "kv", "value", "42", plain); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecrypt(b *testing.B) {
	for _, size := range []int{64, 1024, 65536} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := setup(b)
			c := encrypt(b, s.Sealer, "42", string(make([]byte, size)))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Decrypt("secret rows", "kv", "value", "42", c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncryptParallel(b *testing.B) {
	s := setup(b)
	plain := make([]byte, 64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Encrypt("secret rows", "kv", "value", "42", plain); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMAC(b *testing.B) {
	s := setup(b)
	data := make([]byte, 64)
	for b.Loop() {
		if _, err := s.MAC("audit", data); err != nil {
			b.Fatal(err)
		}
	}
}
