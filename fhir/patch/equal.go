package patch

import (
	"strconv"
	"strings"

	"aftercare/fhir"
)

// equal compares as the operation test does (RFC 6902, section 4.6): numbers by what they
// are worth, strings by their characters, members in any order. The work is bounded by
// the size of n.
func (v *value) equal(n *fhir.Node) bool {
	if v.kind != n.Kind {
		return false
	}
	switch n.Kind {
	case fhir.Object:
		if v.size() != len(n.Members) {
			return false
		}
		wanted := make(map[string]*fhir.Node, len(n.Members))
		for _, m := range n.Members {
			wanted[m.Name] = m.Value
		}
		for _, s := range v.open() {
			if w := wanted[s.name]; w == nil || !s.value.equal(w) {
				return false
			}
		}
		return true
	case fhir.Array:
		if v.size() != len(n.Items) {
			return false
		}
		for i, s := range v.open() {
			if !s.value.equal(n.Items[i]) {
				return false
			}
		}
		return true
	case fhir.Number:
		return sameNumber(v.node.Text, n.Text)
	default:
		return v.node.Text == n.Text
	}
}

// sameNumber compares two JSON numbers of any size without computing them.
func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	x, okX := readNumber(a)
	y, okY := readNumber(b)
	return okX && okY && x == y
}

// number is sign * 0.digits * 10^power, digits without zeros at either end. Zero has no
// digits.
type number struct {
	negative bool
	digits   string
	power    int64
}

func readNumber(s string) (n number, ok bool) {
	s, n.negative = strings.CutPrefix(s, "-")
	mantissa := s
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		mantissa = s[:at]
		power, err := strconv.ParseInt(s[at+1:], 10, 32)
		if err != nil {
			return number{}, false
		}
		n.power = power
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	n.power += int64(len(whole))
	digits := strings.TrimLeft(whole+fraction, "0")
	n.power -= int64(len(whole) + len(fraction) - len(digits))
	n.digits = strings.TrimRight(digits, "0")
	if n.digits == "" {
		return number{}, true
	}
	return n, true
}
