package profile

import (
	"math/big"

	"example.org/affordability/money"
)

// Loan returns the largest loan that a monthly payment pays back in so many months, cut to the penny:
// payment × (1 − (1+i)^−n) / i with i the yearly rate over twelve. The arithmetic is exact.
func Loan(payment money.Amount, rateBP int64, months int) money.Amount {
	if payment <= 0 || months <= 0 {
		return 0
	}
	if rateBP <= 0 {
		return payment * money.Amount(months)
	}
	num, den := annuity(rateBP, months)
	num.Mul(num, big.NewInt(int64(payment)))
	return money.Amount(num.Quo(num, den).Int64())
}

// Repayment returns the monthly payment of a loan, rounded to the penny.
func Repayment(loan money.Amount, rateBP int64, months int) money.Amount {
	if loan <= 0 || months <= 0 {
		return 0
	}
	if rateBP <= 0 {
		return loan.Divide(int64(months))
	}
	num, den := annuity(rateBP, months)
	den.Mul(den, big.NewInt(2*int64(loan)))
	den.Add(den, num) // + 1/2
	return money.Amount(den.Quo(den, num.Mul(num, big.NewInt(2))).Int64())
}

// annuity returns the factor (1 − (1+i)^−n) / i as a fraction of whole numbers. With i = r/120000 and q = 120000 it
// is q·((q+r)^n − q^n) / (r·(q+r)^n).
func annuity(rateBP int64, months int) (num, den *big.Int) {
	const q = 120000
	n := big.NewInt(int64(months))
	grown := new(big.Int).Exp(big.NewInt(q+rateBP), n, nil)
	flat := new(big.Int).Exp(big.NewInt(q), n, nil)
	num = new(big.Int).Sub(grown, flat)
	num.Mul(num, big.NewInt(q))
	den = grown.Mul(grown, big.NewInt(rateBP))
	return num, den
}
