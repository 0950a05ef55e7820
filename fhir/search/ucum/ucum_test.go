package ucum

import (
	"math/big"
	"testing"
)

func rat(t testing.TB, s string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatal(s)
	}
	return r
}

func TestSameQuantities(t *testing.T) {
	for _, c := range [][4]string{
		{"5", "g", "5000", "mg"},
		{"1", "mg/dL", "0.01", "g/L"},
		{"1", "kg/m2", "1000", "g.m-2"},
		{"120", "mm[Hg]", "15.998640", "kPa"},
		{"1", "cm[H2O]", "98.0665", "Pa"},
		{"37", "Cel", "310.15", "K"},
		{"98.6", "[degF]", "37", "Cel"},
		{"-40", "[degF]", "-40", "Cel"},
		{"32", "[degF]", "0", "Cel"},
		{"1", "h", "3600", "s"},
		{"60", "/min", "1", "Hz"},
		{"72", "{beats}/min", "72", "/min"},
		{"1", "a", "12", "mo"},
		{"1", "wk", "7", "d"},
		{"1", "[lb_av]", "0.45359237", "kg"},
		{"1", "[stone_av]", "14", "[lb_av]"},
		{"1", "[in_i]", "25.4", "mm"},
		{"4.5", "10*9/L", "4500", "10*6/L"},
		{"4.5", "10*3/uL", "4.5", "10*9/L"},
		{"50", "%", "0.5", "1"},
		{"1", "mmol/L", "1000", "umol/L"},
		{"1", "U/L", "1/60", "umol/(s.L)"},
		{"1", "m/s2", "100", "cm.s-2"},
		{"1", "k[iU]/mL", "1000", "[IU]/mL"},
		{"1", "mg{creat}/L", "1", "mg/L"},
		{"1", "kcal", "4184", "J"},
		{"1", "ug/kg/min", "60", "ug/(kg.h)"},
		{"1", "mL/min/{1.73_m2}", "1", "mL/min"},
		{"1", "2.54.cm", "54", "2.cm"},
	} {
		a, ok1 := Parse(c[1])
		b, ok2 := Parse(c[3])
		if !ok1 || !ok2 || a.Base != b.Base {
			t.Errorf("%v: %v %q, %v %q", c, ok1, a.Base, ok2, b.Base)
			continue
		}
		if x, y := a.ToBase(rat(t, c[0])), b.ToBase(rat(t, c[2])); x.Cmp(y) != 0 {
			t.Errorf("%v: %s and %s %s", c, x.RatString(), y.RatString(), a.Base)
		}
	}
}

func TestDifferentDimensions(t *testing.T) {
	for _, c := range [][2]string{{"g", "m"}, {"mmol/L", "mg/dL"}, {"meq", "mmol"}, {"osm", "mol"}, {"[iU]", "U"}, {"%", "g"}, {"rad", "deg"}, {"[arb'U]", "[iU]"}, {"cd", "d"}} {
		a, ok1 := Parse(c[0])
		b, ok2 := Parse(c[1])
		if !ok1 || !ok2 || a.Base == b.Base {
			t.Errorf("%v: %v %v %q %q", c, ok1, ok2, a.Base, b.Base)
		}
	}
}

func TestNotConverted(t *testing.T) {
	for _, code := range []string{
		"", "{score}", "{a}/{b}", "/{HPF}", "[pH]", "dB", "B[V]", "Np", "mCel", "Cel/s", "k[degF]", "MG", "mgs", "µg", "mg/", "/", ".", "mg..g",
		"(mg", "mg)", "mg}", "{mg", "mg{a{b}}", "0", "m0", "m99", "m-", "99999999999999999999999", "mg dL", " mg", "kmin", "xg", "kkg", "[nonsense]", "[in_i",
		"((((((((((((((((((((m))))))))))))))))))))2", "9999999999999.9999999999999.99999999999999m3000",
	} {
		if u, ok := Parse(code); ok {
			t.Errorf("%q is %s", code, u.Base)
		}
	}
}

func TestEveryUnitIsRead(t *testing.T) {
	for code := range symbols() {
		u, ok := Parse(code)
		if !ok || u.factor.Sign() <= 0 {
			t.Errorf("%s: %v %+v", code, ok, u)
		}
	}
	if n := len(symbols()); n < 1000 {
		t.Errorf("%d units", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"mg/dL", "{score}", "10*3/uL", "kg.m-2", "(m/s)2", "[in_i'H2O]", "((m))", "m30.m30"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, code string) {
		u, ok := Parse(code)
		again, ok2 := Parse(code)
		if ok != ok2 || ok && (u.Base != again.Base || u.Base == "" || u.factor.Sign() <= 0) {
			t.Fatalf("%q: %+v %v, then %+v %v", code, u, ok, again, ok2)
		}
	})
}
