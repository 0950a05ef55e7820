package store

import (
	"math"
	"strings"

	"aftercare/fhir/search"
)

// prefix is the condition that column begins with text, as a range that an index can serve.
func prefix(s *statement, column, text string) string {
	cond := column + " >= " + s.arg([]byte(text))
	end := []byte(text)
	for len(end) > 0 && end[len(end)-1] == math.MaxUint8 {
		end = end[:len(end)-1]
	}
	if len(end) == 0 {
		return cond
	}
	end[len(end)-1]++
	return "(" + cond + " AND " + column + " < " + s.arg(end) + ")"
}

// begins is prefix for a check of a row that is known already, for which no index is to be looked
// into by the range.
func begins(s *statement, column, text string) string {
	return "substr(" + column + ", 1, " + s.arg(len(text)) + ") = " + s.arg([]byte(text))
}

// contains is the condition that column has text in it.
func contains(s *statement, column, text string) string {
	return "instr(" + column + ", " + s.arg([]byte(text)) + ") > 0"
}

// whole limits a condition to texts that an index holds as they are. Of longer ones there are Pieces.
func whole(s *statement, column, condition string) string {
	return "(length(" + column + ") < " + s.arg(keyLimit) + " AND " + condition + ")"
}

// ends is the condition that column ends with text.
func ends(s *statement, column, text string) string {
	n := s.arg(len(text))
	return "(length(" + column + ") >= " + n + " AND substr(" + column + ", length(" + column + ") - " + n + " + 1) = " + s.arg([]byte(text)) + ")"
}

// exactly is the condition that the row t of index_string was written like text.
func exactly(s *statement, t, text string) string {
	folded, exact := search.Fold(text), []byte{}
	if folded != text {
		exact = key(text)
	}
	return "(" + t + ".value = " + s.arg(key(folded)) + " AND " + t + ".exact = " + s.arg(exact) + ")"
}

// inList is the condition that the column is one of the texts, for an index to look each up.
func inList(s *statement, column string, texts []string) string {
	var b strings.Builder
	b.WriteString(column + " IN (")
	for i, text := range texts {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s.arg(key(text)))
	}
	b.WriteString(")")
	return b.String()
}

// among keeps to ids and the like, of plain characters: JSON has no others as they are.
func (*sqliteEngine) among(s *statement, column string, texts []string, known bool) string {
	list := []byte{'['}
	for i, text := range texts {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(append(append(list, '"'), text...), '"')
	}
	if known {
		column = "+" + column
	}
	return column + " IN (SELECT CAST(value AS BLOB) FROM json_each(" + s.arg(string(append(list, ']'))) + "))"
}

func (*postgresEngine) among(s *statement, column string, texts []string, _ bool) string {
	list := make([][]byte, len(texts))
	for i, text := range texts {
		list[i] = []byte(text)
	}
	return column + " = ANY(" + s.arg(list) + ")"
}

// bounds are the characters that end a step of a URL's path.
const bounds = "/?#"

// below is the condition that the column is base, or begins with it and goes on at the bounds of
// its path (https://hl7.org/fhir/R4/search.html#uri).
//
// prefix says that it begins with a text: it is the function prefix or begins.
func below(s *statement, prefix func(s *statement, column, text string) string, column, base string) string {
	all := prefix(s, column, base)
	if base != "" && strings.IndexByte(bounds, base[len(base)-1]) >= 0 {
		return all
	}
	any := []string{column + " = " + s.arg(key(base))}
	for _, bound := range bounds {
		any = append(any, prefix(s, column, base+string(bound)))
	}
	return "(" + all + " AND " + anyOf(any) + ")"
}

// above are the URLs that uri is below of, itself among them.
func above(uri string) []string {
	var all []string
	for i := 1; i < len(uri); i++ {
		if strings.IndexByte(bounds, uri[i]) >= 0 || strings.IndexByte(bounds, uri[i-1]) >= 0 {
			all = append(all, uri[:i])
		}
	}
	return append(all, uri)
}

// compare is the condition that the half-open range [low, high) of a row compares to the
// value's as R4 says (https://hl7.org/fhir/R4/search.html#prefix).
func compare(s *statement, v *search.Value, low, high string) string {
	switch v.Prefix {
	case search.Ne:
		return "(" + low + " < " + s.arg(v.Low) + " OR " + high + " > " + s.arg(v.High) + ")"
	case search.Gt:
		return high + " > " + s.arg(v.High)
	case search.Lt:
		return low + " < " + s.arg(v.Low)
	case search.Ge:
		return "(" + high + " > " + s.arg(v.High) + " OR " + within(s, v, low, high) + ")"
	case search.Le:
		return "(" + low + " < " + s.arg(v.Low) + " OR " + within(s, v, low, high) + ")"
	case search.Sa:
		return low + " >= " + s.arg(v.High)
	case search.Eb:
		return high + " <= " + s.arg(v.Low)
	case search.Ap, search.Po:
		return "(" + low + " < " + s.arg(v.High) + " AND " + high + " > " + s.arg(v.Low) + ")"
	}
	return within(s, v, low, high)
}

// within says that a row lies in the value's range. That low is below the end follows from it,
// and bounds what an index by low has to look at.
func within(s *statement, v *search.Value, low, high string) string {
	end := s.arg(v.High)
	return "(" + low + " >= " + s.arg(v.Low) + " AND " + low + " < " + end + " AND " + high + " <= " + end + ")"
}

// widen is the range of an ap value: a tenth of its distance to now wider at each side, as R4
// recommends.
func widen(v search.Value, now int64) search.Value {
	middle := v.Low/2 + v.High/2
	tenth := max(now-middle, middle-now) / 10
	v.Low, v.High = v.Low-tenth, v.High+tenth
	return v
}

// compareNumber is the condition that the closed range [low, high] of the row t of index_number
// compares to the value (https://hl7.org/fhir/R4/search.html#number), and that the unit is as asked for.
// What digits leave open counts for eq, ne and ap alone: gt100 is all above 100 itself.
func compareNumber(s *statement, v *search.Value, t, low, high string, system int64) string {
	cond := ""
	switch v.Prefix {
	case search.Ne:
		cond = "(" + low + " < " + s.arg(v.NumberLow) + " OR " + high + " >= " + s.arg(v.NumberHigh) + ")"
	case search.Gt:
		cond = high + " > " + s.arg(v.Number)
	case search.Lt:
		cond = low + " < " + s.arg(v.Number)
	case search.Ge:
		cond = high + " >= " + s.arg(v.Number)
	case search.Le:
		cond = low + " <= " + s.arg(v.Number)
	case search.Sa:
		cond = low + " > " + s.arg(v.Number)
	case search.Eb:
		cond = high + " < " + s.arg(v.Number)
	case search.Ap:
		cond = "(" + low + " <= " + s.arg(v.NumberHigh) + " AND " + high + " >= " + s.arg(v.NumberLow) + ")"
	default:
		end := s.arg(v.NumberHigh)
		cond = "(" + low + " >= " + s.arg(v.NumberLow) + " AND " + low + " < " + end + " AND " + high + " < " + end + ")"
	}
	if v.AnyUnit {
		return cond
	}
	cond += " AND " + t + ".unit = " + s.arg(key(v.Value))
	if !v.AnySystem {
		cond += " AND +" + t + ".system = " + s.arg(system)
	}
	return "(" + cond + ")"
}
