package search

import (
	"slices"
	"strings"
	"testing"
	"time"

	"aftercare/fhir"

	"pgregory.net/rapid"
)

// What stands anywhere in a text, and not more, stands in a row that a search for it looks into.
func TestPiecesOfLongTexts(t *testing.T) {
	r := registry(t)
	e := r.entry("Observation", "value-string")
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"knee", "ß", "漢字", "🦴", "a ", " b", strings.Repeat("x", 300)}), 0, 2*PieceText/16).Draw(t, "words")
		text := Fold(strings.Join(words, ""))
		x := extraction{entry: e, zone: time.UTC}
		if err := x.text(&fhir.Node{Kind: fhir.String, Text: text}); err != nil {
			t.Fatal(err)
		}
		holds := func(sought string, facet *Parameter, is func(s, sought string) bool) bool {
			return slices.ContainsFunc(x.rows, func(row Row) bool {
				switch row.Param {
				case e.param:
					return len(row.Value) < LongText && is(row.Value, sought)
				case facet:
					return is(row.Value, sought)
				}
				return false
			})
		}
		for _, row := range x.rows {
			if len(row.Value) > PieceText && row.Param != e.param || !strings.Contains(text, row.Value) || row.Param == e.ends && !strings.HasSuffix(text, row.Value) {
				t.Fatalf("%s has a row of %d bytes that is not of the text", row.Param.Key(), len(row.Value))
			}
		}
		if text == "" {
			return
		}
		from := boundary(text, rapid.IntRange(0, len(text)-1).Draw(t, "from"))
		sought := text[from:boundary(text, from+rapid.IntRange(4, SoughtText).Draw(t, "bytes"))]
		if !holds(sought, e.contains, strings.Contains) {
			t.Errorf("%d bytes at %d of %d are not found", len(sought), from, len(text))
		}
		tail := text[boundary(text, max(0, len(text)-len(sought))):]
		if len(tail) <= SoughtText && !holds(tail, e.ends, strings.HasSuffix) {
			t.Errorf("the last %d bytes of %d are not found", len(tail), len(text))
		}
		if got, want := holds(sought, e.ends, strings.HasSuffix), strings.HasSuffix(text, sought); got != want {
			t.Errorf("that it ends with %d bytes at %d of %d is %v", len(sought), from, len(text), got)
		}
	})
}

// Texts of ASCII have a way of their own.
func TestFoldASCII(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[ -~\t\n\v\f\r\x00]*`).Draw(t, "text")
		if got, want := Fold(s), strings.Join(strings.Fields(strings.ToLower(s)), " "); got != want {
			t.Errorf("%q gives %q, want %q", s, got, want)
		}
	})
}
