package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"aftercare/fhir"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// indexString gives a row for a string, and one for each part of a HumanName or an Address
// (https://hl7.org/fhir/R4/search.html#string), folded.
func indexString(x *extraction, v value) error {
	if v.Kind == fhir.Object {
		for _, part := range stringParts {
			for _, n := range v.Each(part) {
				if err := x.text(n); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return x.text(v.Node)
}

// stringParts are the searched parts of HumanName and Address.
var stringParts = []string{
	"text", "family", "given", "prefix", "suffix",
	"line", "city", "district", "state", "postalCode", "country",
}

func (x *extraction) text(n *fhir.Node) error {
	if n.Kind == fhir.Null {
		return nil
	}
	s, err := text(n)
	if err != nil {
		return err
	}
	row := Row{Value: Fold(s)}
	if row.Value == "" {
		return nil
	}
	if row.Value != s {
		row.Exact = s
	}
	if err := x.add(row); err != nil || len(row.Value) < LongText || x.entry.contains == nil {
		return err
	}
	return x.pieces(row.Value)
}

// pieces adds those of a folded text that is too long to be looked into as a whole.
func (x *extraction) pieces(s string) error {
	for start := 0; ; {
		end := boundary(s, start+PieceText)
		if err := x.add(Row{Param: x.entry.contains, Value: s[start:end]}); err != nil {
			return err
		}
		if end == len(s) {
			break
		}
		start = boundary(s, end-SoughtText)
	}
	return x.add(Row{Param: x.entry.ends, Value: s[boundary(s, len(s)-SoughtText):]})
}

// boundary is the end of the last whole character before the place, or that of the text.
func boundary(s string, at int) int {
	if at >= len(s) {
		return len(s)
	}
	for at > 0 && !utf8.RuneStart(s[at]) {
		at--
	}
	return at
}

// lookedInto adds to a clause with the modifier contains or ends what it asks of long texts.
func (e *entry) lookedInto(c Clause) Clause {
	facet := map[string]*Parameter{"contains": e.contains, "ends": e.ends}[c.Modifier]
	if facet == nil || c.Param != e.param {
		return c
	}
	return Clause{Any: []Clause{c, {Param: facet, Modifier: c.Modifier, Values: c.Values}}}
}

// parseString reads a text, which matches the beginning of a value; with the modifier exact, all
// of it as it is written; with contains, any part.
func parseString(a *asked, raw string) (Value, error) {
	s, err := unescape(raw)
	if err != nil {
		return Value{}, err
	}
	if a.modifier == "exact" {
		return Value{Value: s}, nil
	}
	if s = Fold(s); s == "" {
		return Value{}, problem("the text has no letter or digit to look for")
	}
	return Value{Value: s}, nil
}

// Fold is the form in which texts are compared: without case, without accents, with
// compatibility forms (full width, ligatures) made plain, typographic quotes and dashes as
// on a keyboard, white space as single spaces and none at the ends. Fold(Fold(s)) is
// Fold(s).
func Fold(s string) string {
	if ascii(s) {
		return foldASCII(s)
	}
	s = cases.Fold().String(norm.NFKD.String(s))
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, r := range norm.NFKD.String(s) { // folding can compose: İ, ΐ
		switch {
		case unicode.IsSpace(r):
			space = b.Len() > 0
			continue
		case accent(r):
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		if as, ok := letters[r]; ok {
			b.WriteString(as)
		} else if unicode.Is(unicode.Cherokee, r) {
			b.WriteRune(unicode.ToLower(r)) // the only script whose folding swaps the cases
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func foldASCII(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ', '\t' <= c && c <= '\r':
			if n := len(b); n > 0 && b[n-1] != ' ' {
				b = append(b, ' ')
			}
		case 'A' <= c && c <= 'Z':
			b = append(b, c+'a'-'A')
		default:
			b = append(b, c)
		}
	}
	return strings.TrimSuffix(string(b), " ")
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// accent reports whether r only marks the letter before it, in Latin, Greek, Cyrillic,
// Hebrew and Arabic. The vowel signs of other scripts are letters and stay.
func accent(r rune) bool {
	switch {
	case r < 0x300:
		return false
	case r <= 0x36f, r >= 0x1ab0 && r <= 0x1aff, r >= 0x1dc0 && r <= 0x1dff, r >= 0x20d0 && r <= 0x20ff,
		r >= 0xfe20 && r <= 0xfe2f, r >= 0x591 && r <= 0x5c7, r >= 0x64b && r <= 0x65f, r == 0x670:
		return unicode.Is(unicode.Mn, r)
	}
	return false
}

// letters are those that Unicode does not take apart but people leave their marks out.
var letters = map[rune]string{
	'ø': "o", 'ł': "l", 'đ': "d", 'ħ': "h", 'ŧ': "t", 'ı': "i", 'æ': "ae", 'œ': "oe", 'þ': "th", 'ð': "d",
	'‘': "'", '’': "'", 'ʼ': "'", '“': `"`, '”': `"`,
	'‐': "-", '‑': "-", '‒': "-", '–': "-", '—': "-", '−': "-",
}
