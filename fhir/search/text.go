package search

import (
	"strings"
	"unicode"
)

// Words are the words of a text, folded: runs of letters, digits and their marks. _text and
// _content compare texts by them.
func Words(s string) []string {
	return strings.FieldsFunc(Fold(s), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
}

// text reads a value of _text or _content: words and "quoted phrases", which must all be there,
// joined by AND, OR and NOT in capital or small letters, with brackets
// (https://hl7.org/fhir/R4/search.html#content). NOT binds most, then AND.
func (p *parser) text(e *entry, raw string) (Clause, error) {
	s, err := unescape(raw)
	if err != nil {
		return Clause{}, err
	}
	t := textQuery{parser: p, param: e.param, rest: s}
	if err := t.next(); err != nil {
		return Clause{}, err
	}
	c, err := t.or()
	if err == nil && t.token != "" {
		err = problem("a bracket is closed that was not opened")
	}
	return c, err
}

type textQuery struct {
	*parser
	param *Parameter
	rest  string
	token string // "(", ")", "and", "or", "not", or "x" for a phrase; "" at the end
	// phrase is the words of an "x".
	phrase string
	depth  int
}

func (t *textQuery) next() error {
	for {
		t.rest = strings.TrimLeftFunc(t.rest, unicode.IsSpace)
		if t.rest == "" {
			t.token = ""
			return nil
		}
		var word string
		switch t.rest[0] {
		case '(', ')':
			t.token, t.rest = t.rest[:1], t.rest[1:]
			return nil
		case '"':
			end := strings.IndexByte(t.rest[1:], '"')
			if end < 0 {
				return problem("a quotation is not closed")
			}
			word, t.rest = t.rest[1:end+1], t.rest[end+2:]
		default:
			end := strings.IndexFunc(t.rest, func(r rune) bool { return unicode.IsSpace(r) || r == '(' || r == ')' || r == '"' })
			if end < 0 {
				end = len(t.rest)
			}
			word, t.rest = t.rest[:end], t.rest[end:]
			if low := strings.ToLower(word); low == "and" || low == "or" || low == "not" {
				t.token = low
				return nil
			}
		}
		// A sign without a word, such as a dash, is nothing to look for.
		if words := Words(word); len(words) > 0 {
			t.token, t.phrase = "x", strings.Join(words, " ")
			return nil
		}
	}
}

func (t *textQuery) or() (Clause, error) {
	c, err := t.and()
	any := []Clause{c}
	for err == nil && t.token == "or" {
		if err = t.next(); err == nil {
			c, err = t.and()
			any = append(any, c)
		}
	}
	if len(any) == 1 {
		return c, err
	}
	return Clause{Any: any}, err
}

// and reads terms with AND or nothing between them. Phrases become one clause.
func (t *textQuery) and() (Clause, error) {
	var all []Clause
	var phrases []string
	for {
		isPhrase, phrase := t.token == "x", t.phrase
		c, err := t.term()
		if err != nil {
			return c, err
		}
		if isPhrase {
			phrases = append(phrases, phrase)
		} else {
			all = append(all, c)
		}
		if t.token == "and" {
			if err := t.next(); err != nil {
				return c, err
			}
		} else if t.token != "x" && t.token != "(" && t.token != "not" {
			break
		}
	}
	if len(phrases) > 0 {
		all = append(all, Clause{Param: t.param, Values: []Value{{Phrases: phrases}}})
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return Clause{All: all}, nil
}

func (t *textQuery) term() (Clause, error) {
	if err := t.spend(1); err != nil {
		return Clause{}, err
	}
	if t.depth++; t.depth > maxNesting {
		return Clause{}, tooCostly
	}
	defer func() { t.depth-- }()
	switch t.token {
	case "not":
		if err := t.next(); err != nil {
			return Clause{}, err
		}
		phrase, isPhrase := t.phrase, t.token == "x"
		c, err := t.term()
		if isPhrase {
			c = Clause{Param: t.param, Values: []Value{{Phrases: []string{phrase}}}}
		}
		return Clause{Not: &c}, err
	case "(":
		if err := t.next(); err != nil {
			return Clause{}, err
		}
		c, err := t.or()
		if err == nil && t.token != ")" {
			err = problem("a bracket is not closed")
		}
		if err != nil {
			return c, err
		}
		return c, t.next()
	case "x":
		return Clause{}, t.next() // the caller has the phrase
	}
	return Clause{}, problem("a word to look for is missing")
}
