// Package ucum brings quantities into base units, so that 5 g and 5000 mg compare as equal
// (https://ucum.org/ucum, which FHIR takes its units from: https://hl7.org/fhir/R4/ucum.html).
//
// It knows the units of units.txt, their prefixes, products, quotients and powers, and the
// temperatures Cel and [degF]. What it does not know, it does not convert: logarithms such as
// [pH], and units that are only an annotation, such as {score}. All arithmetic is exact.
package ucum

import (
	_ "embed"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// System is the URL that FHIR names UCUM by.
const System = "http://unitsofmeasure.org"

// Unit is a unit that can be converted.
type Unit struct {
	// Base are the base units, such as "g.m-3"; "1" where there is none. Two units compare if
	// they have the same.
	Base string
	// A quantity x in this unit is (x + offset) * factor in base units.
	factor, offset *big.Rat
}

// ToBase is a number of this unit in base units.
func (u Unit) ToBase(x *big.Rat) *big.Rat {
	out := new(big.Rat).Set(x)
	if u.offset != nil {
		out.Add(out, u.offset)
	}
	return out.Mul(out, u.factor)
}

// Parse reads a code; false where it is not a unit that can be converted.
func Parse(code string) (Unit, bool) {
	cached.RLock()
	u, ok := cached.units[code]
	cached.RUnlock()
	if ok {
		return u, u.factor != nil
	}
	u = parse(code)
	cached.Lock()
	if len(cached.units) >= maxCached {
		clear(cached.units)
	}
	cached.units[code] = u
	cached.Unlock()
	return u, u.factor != nil
}

// Codes repeat: those that were read are kept, at most maxCached of them. A code that cannot be
// converted is kept as the zero Unit.
const maxCached = 1024

var cached = struct {
	sync.RWMutex
	units map[string]Unit
}{units: make(map[string]Unit)}

// The temperatures: the only units here whose zero is not that of their base unit.
var temperatures = map[string]Unit{
	"Cel":    {"K", big.NewRat(1, 1), big.NewRat(27315, 100)},
	"[degF]": {"K", big.NewRat(5, 9), big.NewRat(45967, 100)},
}

const (
	maxLength   = 100
	maxExponent = 30
)

func parse(code string) Unit {
	if u, ok := temperatures[code]; ok {
		return u
	}
	if len(code) > maxLength {
		return Unit{}
	}
	r := reader{text: code}
	m, ok := r.term()
	if !ok || r.at < len(code) || !r.unit {
		return Unit{}
	}
	return Unit{Base: m.base(), factor: m.factor}
}

// measure is a number of base units, each with its power.
type measure struct {
	factor *big.Rat
	powers map[string]int
}

func one() measure { return measure{big.NewRat(1, 1), map[string]int{}} }

// times is m times o to the power n; false where a power grows too large.
func (m measure) times(o measure, n int) (measure, bool) {
	out := measure{new(big.Rat).Set(m.factor), maps.Clone(m.powers)}
	factor := o.factor
	if n < 0 {
		factor = new(big.Rat).Inv(factor)
	}
	for range max(n, -n) {
		out.factor.Mul(out.factor, factor)
	}
	if out.factor.Num().BitLen()+out.factor.Denom().BitLen() > 10_000 {
		return out, false
	}
	for unit, power := range o.powers {
		out.powers[unit] += n * power
		if p := out.powers[unit]; p == 0 {
			delete(out.powers, unit)
		} else if p > maxExponent || p < -maxExponent {
			return out, false
		}
	}
	return out, true
}

func (m measure) base() string {
	var parts []string
	for _, unit := range slices.Sorted(maps.Keys(m.powers)) {
		if m.powers[unit] != 1 {
			unit += strconv.Itoa(m.powers[unit])
		}
		parts = append(parts, unit)
	}
	if parts == nil {
		return "1"
	}
	return strings.Join(parts, ".")
}

// reader reads a term: components with . and / between them, which bind from left to right.
type reader struct {
	text string
	at   int
	unit bool // whether there was anything but annotations
}

func (r *reader) take(c byte) bool {
	if r.at < len(r.text) && r.text[r.at] == c {
		r.at++
		return true
	}
	return false
}

func (r *reader) term() (measure, bool) {
	out, sign := one(), 1
	if r.take('/') {
		sign = -1
	}
	for {
		m, ok := r.component()
		if !ok {
			return out, false
		}
		if out, ok = out.times(m, sign); !ok {
			return out, false
		}
		switch {
		case r.take('.'):
			sign = 1
		case r.take('/'):
			sign = -1
		default:
			return out, true
		}
	}
}

// component is a term in brackets, or a unit with a power, or a whole number, each with an
// annotation or without, or an annotation alone.
func (r *reader) component() (measure, bool) {
	if r.take('(') {
		m, ok := r.term()
		return m, ok && r.take(')') && r.annotation()
	}
	word := r.word()
	if word == "" {
		return one(), r.at < len(r.text) && r.text[r.at] == '{' && r.annotation()
	}
	r.unit = true
	symbol := strings.TrimRight(word, "0123456789")
	digits := word[len(symbol):]
	if symbol == "" { // a number
		n, err := strconv.ParseInt(digits, 10, 64)
		return measure{big.NewRat(n, 1), map[string]int{}}, err == nil && n > 0 && r.annotation()
	}
	power := 1
	if digits != "" {
		sign := 1
		if last := symbol[len(symbol)-1]; last == '-' || last == '+' {
			symbol = symbol[:len(symbol)-1]
			if last == '-' {
				sign = -1
			}
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n == 0 || n > maxExponent {
			return measure{}, false
		}
		power = sign * n
	}
	m, ok := symbols()[symbol]
	if !ok {
		return measure{}, false
	}
	if m, ok = one().times(m, power); !ok {
		return measure{}, false
	}
	return m, r.annotation()
}

// word is what stands up to a sign of the grammar. Signs in square brackets belong to a unit.
func (r *reader) word() string {
	start, inside := r.at, false
	for ; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case c == '[':
			inside = true
		case c == ']':
			inside = false
		case !inside && strings.IndexByte("./(){}", c) >= 0:
			return r.text[start:r.at]
		}
	}
	return r.text[start:]
}

// annotation passes over {text}, if there is one; false where it has no end.
func (r *reader) annotation() bool {
	if !r.take('{') {
		return true
	}
	end := strings.IndexAny(r.text[r.at:], "{}")
	if end < 0 || r.text[r.at+end] == '{' {
		return false
	}
	r.at += end + 1
	return true
}

//go:embed units.txt
var unitsText string

// prefixes are powers of ten.
var prefixes = map[string]int{
	"Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1,
	"d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24,
}

// symbols are the units of units.txt with all prefixes that they take. A unit of its own, such
// as min or cd, goes before a prefix with a unit.
var symbols = sync.OnceValue(func() map[string]measure {
	type line struct {
		metric bool
		what   string
	}
	lines := make(map[string]line)
	var codes []string
	for text := range strings.Lines(unitsText) {
		if text = strings.TrimSuffix(text, "\n"); strings.HasPrefix(text, "#") {
			continue
		}
		f := strings.Split(text, "\t")
		lines[f[0]] = line{f[1] == "m", f[2]}
		codes = append(codes, f[0])
	}
	all := make(map[string]measure)
	var define func(code string) measure
	define = func(code string) measure {
		if m, ok := all[code]; ok {
			return m
		}
		l, ok := lines[code]
		if !ok {
			for prefix, power := range prefixes {
				if rest, found := strings.CutPrefix(code, prefix); found && lines[rest].metric {
					return scaled(define(rest), power)
				}
			}
			panic("units.txt: no unit " + code)
		}
		m := measure{big.NewRat(1, 1), map[string]int{code: 1}}
		if l.what != "=" {
			number, unit, _ := strings.Cut(l.what, " ")
			m = defined(number, unit, define)
		}
		all[code] = m
		return m
	}
	for _, code := range codes {
		define(code)
	}
	for _, code := range codes {
		if !lines[code].metric {
			continue
		}
		for prefix, power := range prefixes {
			if _, taken := all[prefix+code]; !taken {
				all[prefix+code] = scaled(all[code], power)
			}
		}
	}
	return all
})

func scaled(m measure, power int) measure {
	out, _ := m.times(measure{big.NewRat(10, 1), nil}, power)
	return out
}

// defined reads a definition of units.txt: units with powers, all but the first after . or /.
func defined(number, unit string, define func(string) measure) measure {
	out := one()
	if _, ok := out.factor.SetString(number); !ok {
		panic("units.txt: no number " + number)
	}
	sign := 1
	for i, r := 0, (&reader{text: unit}); r.at < len(unit) || i == 0; i++ {
		if r.take('/') {
			sign = -1
		} else if r.take('.') {
			sign = 1
		}
		word, power := r.word(), 1
		symbol := strings.TrimRight(word, "0123456789")
		if digits := word[len(symbol):]; digits != "" && symbol != "" {
			power, _ = strconv.Atoi(digits)
			if rest, negative := strings.CutSuffix(symbol, "-"); negative {
				symbol, power = rest, -power
			}
		}
		if word == "1" {
			continue
		}
		var ok bool
		if out, ok = out.times(define(symbol), sign*power); !ok {
			panic(fmt.Sprintf("units.txt: %s is too large", unit))
		}
	}
	return out
}
