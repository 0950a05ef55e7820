package search

import "strings"

// phonetic reports whether a parameter compares sounds: R4 has one on names, and tells it from
// others by its code alone.
func (e *entry) phonetic() bool { return e.code == "phonetic" && e.param.Kind == String }

// indexPhonetic gives the sound of each word of a name, so that Smith finds Smyth. R4 leaves the
// way to compare sounds to the server; this is American Soundex, on the folded Latin letters.
func indexPhonetic(x *extraction, v value) error {
	sounds := *x.entry
	names := extraction{root: x.root, entry: &sounds}
	if err := indexString(&names, v); err != nil {
		return err
	}
	for _, row := range names.rows {
		for word := range strings.FieldsSeq(row.Value) {
			if s := soundex(word); s != "" {
				if err := x.add(Row{Value: s}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// parsePhonetic reads one word.
func parsePhonetic(_ *asked, raw string) (Value, error) {
	s, err := unescape(raw)
	if err != nil {
		return Value{}, err
	}
	words := strings.Fields(Fold(s))
	if len(words) != 1 || soundex(words[0]) == "" {
		return Value{}, problem("write one word with Latin letters")
	}
	return Value{Value: soundex(words[0])}, nil
}

// soundex is the first letter and three digits for the consonants that follow; "" where there is
// no Latin letter. Letters with one digit count once where they are neighbours, or h or w is
// between them.
func soundex(word string) string {
	const digits = "01230120022455012623010202" // a to z
	out := make([]byte, 0, 4)
	last := byte('0')
	for i := 0; i < len(word) && len(out) < 4; i++ {
		c := word[i]
		if c < 'a' || c > 'z' {
			continue
		}
		d := digits[c-'a']
		switch {
		case len(out) == 0:
			out = append(out, c)
		case c == 'h' || c == 'w':
			continue
		case d != '0' && d != last:
			out = append(out, d)
		}
		last = d
	}
	if len(out) == 0 {
		return ""
	}
	return (string(out) + "000")[:4]
}
