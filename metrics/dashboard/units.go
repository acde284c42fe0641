package dashboard

import (
	"math"
	"strings"
)

// UnitOf returns how Grafana writes numbers of the unit with this id, and whether
// the id is known. An unknown id is a suffix of its own, as in Grafana.
func UnitOf(id string) (Unit, bool) {
	if u, ok := unitTable[id]; ok {
		return u, true
	}
	kind, rest, found := strings.Cut(id, ":")
	if !found {
		if id == "" {
			return unitTable["none"], true
		}
		return fixedUnit(id), false
	}
	switch kind {
	case "prefix":
		return Unit{Prefix: rest, Steps: []UnitStep{{Divide: 1}}}, true
	case "suffix":
		return fixedUnit(rest), true
	case "time":
		return Unit{Special: id}, true
	case "count":
		return countUnit(rest), true
	case "bool":
		return unitTable["bool"], true
	case "si":
		for i, p := range siPrefixes {
			if p != "" && strings.HasPrefix(rest, p) && len(rest) > len(p) {
				return siUnit(rest[len(p):], i-siBase), true
			}
		}
		return siUnit(rest, 0), true
	case "currency":
		if code, ok := strings.CutPrefix(rest, "financial:"); ok {
			return currency(strings.TrimSuffix(code, ":suffix")), true
		}
		return currency(rest), true
	}
	return fixedUnit(id), false
}

var siPrefixes = []string{"f", "p", "n", "µ", "m", "", "k", "M", "G", "T", "P", "E", "Z", "Y"}

const siBase = 5 // of no prefix in siPrefixes

// siUnit counts in thousands; the number is given in 1000^power of the unit.
func siUnit(symbol string, power int) Unit {
	var u Unit
	for i, p := range siPrefixes {
		exp := 3 * (i - siBase - power)
		u.Steps = append(u.Steps, UnitStep{Below: math.Pow10(exp + 3), Divide: math.Pow10(exp), Suffix: " " + p + symbol})
	}
	return ends(u)
}

// binaryUnit counts in powers of 1024.
func binaryUnit(symbol string, power int) Unit {
	u := Unit{Binary: true}
	for i, p := range []string{"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"} {
		size := math.Pow(1024, float64(i-power))
		u.Steps = append(u.Steps, UnitStep{Below: size * 1024, Divide: size, Suffix: " " + p + symbol})
	}
	return ends(u)
}

// scaledUnit counts in thousands with the names given.
func scaledUnit(names ...string) Unit {
	var u Unit
	for i, name := range names {
		u.Steps = append(u.Steps, UnitStep{Below: math.Pow10(3*i + 3), Divide: math.Pow10(3 * i), Suffix: name})
	}
	return ends(u)
}

// ends lets the last step hold for all that is larger. Zero is written in the
// unit as it is given, not in its smallest part.
func ends(u Unit) Unit {
	u.Steps[len(u.Steps)-1].Below = 0
	return u
}

func countUnit(symbol string) Unit {
	return scaledUnit(" "+symbol, "K "+symbol, "M "+symbol, "B "+symbol, "T "+symbol)
}

func fixedUnit(symbol string) Unit {
	if symbol != "" {
		symbol = " " + symbol
	}
	return Unit{Steps: []UnitStep{{Divide: 1, Suffix: symbol}}}
}

func currency(symbol string) Unit {
	u := scaledUnit("", "K", "M", "B", "T")
	u.Prefix = symbol
	return u
}

// timeUnit writes what is given in units of so many seconds.
func timeUnit(seconds float64, smallest string) Unit {
	var u Unit
	for _, s := range []struct {
		name    string
		seconds float64
		below   float64
	}{
		{" ns", 1e-9, 1e-6},
		{" µs", 1e-6, 1e-3},
		{" ms", 1e-3, 1},
		{" s", 1, 60},
		{" min", 60, 3600},
		{" hours", 3600, 86400},
		{" days", 86400, 604800},
		{" weeks", 604800, 31536000},
		{" years", 31536000, 0},
	} {
		if s.seconds < seconds && u.Steps == nil && " "+smallest != s.name {
			continue
		}
		u.Steps = append(u.Steps, UnitStep{Below: s.below / seconds, Divide: s.seconds / seconds, Suffix: s.name})
	}
	return ends(u)
}

// unitTable holds Grafana's units by id.
var unitTable = makeUnits()

func makeUnits() map[string]Unit {
	units := map[string]Unit{
		"none":        {Steps: []UnitStep{{Divide: 1}}},
		"short":       scaledUnit("", " K", " Mil", " Bil", " Tri", " Quadr", " Quint", " Sext", " Sept"),
		"percent":     {Steps: []UnitStep{{Divide: 1, Suffix: "%"}}},
		"percentunit": {Steps: []UnitStep{{Divide: 0.01, Suffix: "%"}}},
		"pressurepsi": scaledUnit(" psi", " ksi", " Mpsi"),
		"sishort":     siUnit("", 0),
		"ns":          timeUnit(1e-9, "ns"),
		"µs":          timeUnit(1e-6, "µs"),
		"ms":          timeUnit(1e-3, "ms"),
		"s":           timeUnit(1, "ns"),
		"m":           timeUnit(60, "min"),
		"h":           timeUnit(3600, "hours"),
		"d":           timeUnit(86400, "days"),
	}
	for _, name := range strings.Fields("hex hex0x sci locale string bool bool_yes_no bool_on_off dtdurationms dtdurations dthms dtdhms timeticks clockms clocks " +
		"dateTimeAsIso dateTimeAsIsoNoDateIfToday dateTimeAsUS dateTimeAsUSNoDateIfToday dateTimeAsLocal dateTimeAsLocalNoDateIfToday " +
		"dateTimeAsSystem dateTimeFromNow") {
		units[name] = Unit{Special: name}
	}
	// Each line is a rule and its units, id=symbol; a number after the symbol is the
	// power of the base that the id stands for.
	for rule, list := range map[string]string{
		"fixed": `humidity=%H dB=dB pixel=px accMS2=m/sec² accFS2=f/sec² accG=g degree=° radian=rad grad=grad arcmin=arcmin arcsec=arcsec
			areaM2=m² areaF2=ft² areaMI2=mi² acres=ac hectares=ha ppm=ppm conppb=ppb conngm3=ng/m³ conngNm3=ng/Nm³ conμgm3=μg/m³
			conμgNm3=μg/Nm³ conmgm3=mg/m³ conmgNm3=mg/Nm³ congm3=g/m³ congNm3=g/Nm³ conmgdL=mg/dL conmmolL=mmol/L Wm2=W/m²
			flowgpm=gpm flowcms=cms flowcfs=cfs flowcfm=cfm litreh=L/h flowlpm=L/min flowmlpm=mL/min lux=lx masst=t lengthft=ft
			lengthmi=mi lengthin=in pressurehpa=hPa pressurekpa=kPa pressurehg="Hg rotrpm=rpm rotrads=rad/s rotdegs=°/s celsius=°C
			fahrenheit=°F kelvin=K velocityms=m/s velocitykmh=km/h velocitymph=mph velocityknot=kn m3=m³ Nm3=Nm³ dm3=dm³ gallons=gal
			short_ton=tn massoz=oz masslb=lb`,
		"si": `flops=FLOPS mflops=FLOPS:2 gflops=FLOPS:3 tflops=FLOPS:4 pflops=FLOPS:5 eflops=FLOPS:6 zflops=FLOPS:7 yflops=FLOPS:8
			decbits=b decbytes=B deckbytes=B:1 decmbytes=B:2 decgbytes=B:3 dectbytes=B:4 decpbytes=B:5
			pps=p/s bps=b/s Bps=B/s KBs=B/s:1 Kbits=b/s:1 MBs=B/s:2 Mbits=b/s:2 GBs=B/s:3 Gbits=b/s:3 TBs=B/s:4 Tbits=b/s:4 PBs=B/s:5 Pbits=b/s:5
			watt=W kwatt=W:1 megwatt=W:2 gwatt=W:3 mwatt=W:-1 voltamp=VA kvoltamp=VA:1 voltampreact=VAr kvoltampreact=VAr:1 watth=Wh
			watthperkg=Wh/kg kwatth=Wh:1 kwattm=W-Min:1 amph=Ah kamph=Ah:1 mamph=Ah:-1 joule=J ev=eV amp=A kamp=A:1 mamp=A:-1 volt=V
			kvolt=V:1 mvolt=V:-1 dBm=dBm mohm=Ω:-1 ohm=Ω kohm=Ω:1 Mohm=Ω:2 farad=F µfarad=F:-2 nfarad=F:-3 pfarad=F:-4 ffarad=F:-5
			henry=H mhenry=H:-1 µhenry=H:-2 lumens=Lm forceNm=Nm forcekNm=Nm:1 forceN=N forcekN=N:1 Hs=H/s KHs=H/s:1 MHs=H/s:2
			GHs=H/s:3 THs=H/s:4 PHs=H/s:5 EHs=H/s:6 massmg=g:-1 massg=g masskg=g:1 lengthmm=m:-1 lengthm=m lengthkm=m:1
			pressurembar=bar:-1 pressurebar=bar pressurekbar=bar:1 pressurepa=Pa radbq=Bq radci=Ci radgy=Gy radrad=rad radsv=Sv
			radmsv=Sv:-1 radusv=Sv:-2 radrem=rem radexpckg=C/kg radr=R radsvh=Sv/h radmsvh=Sv/h:-1 radusvh=Sv/h:-2 rothz=Hz rotkhz=Hz:1
			rotmhz=Hz:2 rotghz=Hz:3 hertz=Hz mlitre=L:-1 litre=L`,
		"binary": `bits=b bytes=B kbytes=B:1 mbytes=B:2 gbytes=B:3 tbytes=B:4 pbytes=B:5 binbps=b/s binBps=B/s KiBs=B/s:1 Kibits=b/s:1
			MiBs=B/s:2 Mibits=b/s:2 GiBs=B/s:3 Gibits=b/s:3 TiBs=B/s:4 Tibits=b/s:4 PiBs=B/s:5 Pibits=b/s:5`,
		"count": `cps=c/s ops=ops/s reqps=req/s rps=rd/s wps=wr/s iops=io/s eps=evt/s mps=msg/s recps=rec/s rowsps=rows/s cpm=c/m opm=ops/m
			reqpm=req/m rpm=rd/m wpm=wr/m epm=evts/m mpm=msgs/m recpm=rec/m rowspm=rows/m`,
		"currency": `currencyUSD=$ currencyGBP=£ currencyEUR=€ currencyJPY=¥ currencyRUB=₽ currencyUAH=₴ currencyBRL=R$ currencyDKK=kr
			currencyISK=kr currencyNOK=kr currencySEK=kr currencyCZK=czk currencyCHF=CHF currencyPLN=PLN currencyBTC=฿ currencymBTC=mBTC
			currencyμBTC=μBTC currencyZAR=R currencyINR=₹ currencyKRW=₩ currencyIDR=Rp currencyPHP=PHP currencyVND=đ currencyTRY=₺
			currencyMYR=RM currencyXPF=XPF currencyBGN=BGN currencyPYG=₲ currencyUYU=UYU`,
	} {
		for _, entry := range strings.Fields(list) {
			id, symbol, _ := strings.Cut(entry, "=")
			power := 0
			if base, digits, ok := strings.Cut(symbol, ":"); ok {
				symbol = base
				if f, ok := (node{digits}).num(); ok {
					power = int(f)
				}
			}
			switch rule {
			case "fixed":
				units[id] = fixedUnit(symbol)
			case "si":
				units[id] = siUnit(symbol, power)
			case "binary":
				units[id] = binaryUnit(symbol, power)
			case "count":
				units[id] = countUnit(symbol)
			case "currency":
				units[id] = currency(symbol)
			}
		}
	}
	for id, symbol := range map[string]string{"currencyDKK": "kr", "currencyISK": "kr", "currencyNOK": "kr", "currencySEK": "kr"} {
		units[id] = countUnit(symbol)
	}
	return units
}
