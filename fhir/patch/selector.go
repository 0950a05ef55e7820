package patch

import (
	"slices"
	"strconv"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/path"
)

// stepKind is what a step of a path does with the elements that it is given.
type stepKind byte

const (
	toMember    stepKind = iota // all children of a name
	toIndex                     // the one at an index
	toLast                      // the last one
	toType                      // those of a type
	toExtension                 // their extensions with a url
	toWhere                     // those for which criteria are true
)

// maxPath is how long a path may be, in bytes.
const maxPath = 4096

type step struct {
	kind     stepKind
	name     string // of a member or type, or the url
	index    int
	criteria *path.Expression
}

// parseSelector reads the part of FHIRPath that selects places in a resource:
//
//	Patient.name[0].given, name.first(), Patient.text.`div`
//	Patient.telecom.where(system = 'phone' and use = 'home').value
//	Patient.extension('http://example.org/x').value.ofType(string), (x as T).y
//
// Anything else is refused by its name. No steps select the resource itself.
func parseSelector(text, resourceType string) ([]step, error) {
	if len(text) > maxPath {
		return nil, fhir.Errorf(fhir.BadRequest, "too-long", "", "A path may be %d bytes at most.", maxPath)
	}
	s := scanner{text: text, resourceType: resourceType}
	steps, err := s.expression()
	if err == nil && s.peek() != 0 {
		err = s.unexpected()
	}
	return steps, err
}

type scanner struct {
	text, resourceType string
	at                 int
	depth              int
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.at]) >= 0 {
		s.at++
	}
	if s.at == len(s.text) {
		return 0
	}
	return s.text[s.at]
}

func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) malformed() error {
	return fhir.Errorf(fhir.BadRequest, "value", "", "The path is not FHIRPath from byte %d on.", s.at+1)
}

// unexpected is the error for the next byte: malformed, or FHIRPath that does not select
// a place.
func (s *scanner) unexpected() error {
	c := s.peek()
	switch {
	case c == '%':
		return unsupported("variables such as %resource")
	case c != 0 && strings.IndexByte("|+-*/&=<>!~", c) >= 0:
		return unsupported("the operator " + string(c))
	case letter(c):
		at := s.at
		if word := s.word(); slices.Contains([]string{"is", "and", "or", "xor", "implies", "in", "contains", "div", "mod"}, word) {
			return unsupported("the operator " + word)
		}
		s.at = at
	}
	return s.malformed()
}

func unsupported(what string) error {
	return fhir.Errorf(fhir.Unprocessable, "not-supported", "",
		"In the path of a patch, %s cannot be used. Use names of elements, an index, first(), last(), where(), extension(), ofType() and as.", what)
}

func letter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

func (s *scanner) word() string {
	start := s.at
	for s.at < len(s.text) && (letter(s.text[s.at]) || s.text[s.at] >= '0' && s.text[s.at] <= '9') {
		s.at++
	}
	return s.text[start:s.at]
}

// name reads an identifier, which may stand in backticks.
func (s *scanner) name() (string, error) {
	if s.take('`') {
		end := strings.IndexByte(s.text[s.at:], '`')
		if end <= 0 || strings.IndexByte(s.text[s.at:s.at+end], '\\') >= 0 {
			return "", s.malformed()
		}
		name := s.text[s.at : s.at+end]
		s.at += end + 1
		return name, nil
	}
	if !letter(s.peek()) {
		return "", s.unexpected()
	}
	return s.word(), nil
}

func (s *scanner) expression() ([]step, error) {
	steps, err := s.term()
	for err == nil {
		switch c := s.peek(); {
		case c == '.':
			s.at++
			steps, err = s.invocation(steps)
		case c == '[':
			s.at++
			steps, err = s.index(steps)
		case letter(c):
			at := s.at
			if s.word() != "as" {
				s.at = at
				return steps, nil
			}
			steps, err = s.typed(steps)
		default:
			return steps, nil
		}
	}
	return nil, err
}

// term is what a path starts with: brackets, the type of the resource, or a member.
func (s *scanner) term() ([]step, error) {
	if s.take('(') {
		if s.depth++; s.depth > fhir.MaxDepth {
			return nil, s.malformed()
		}
		steps, err := s.expression()
		if err == nil && !s.take(')') {
			err = s.unexpected()
		}
		return steps, err
	}
	start := s.peek()
	if start >= 'A' && start <= 'Z' {
		switch name := s.word(); name {
		case s.resourceType, "Resource", "DomainResource":
			return nil, nil
		}
		return nil, fhir.Errorf(fhir.Unprocessable, "not-found", "",
			"The path selects nothing: it starts with a type that is not the type of the resource.")
	}
	return s.invocation(nil)
}

func (s *scanner) invocation(steps []step) ([]step, error) {
	quoted := s.peek() == '`'
	name, err := s.name()
	if err != nil {
		return nil, err
	}
	if quoted || !s.take('(') {
		return append(steps, step{kind: toMember, name: name}), nil
	}
	next := step{}
	switch name {
	case "first":
		next.kind = toIndex
	case "last":
		next.kind = toLast
	case "ofType", "as":
		if steps, err = s.typed(steps); err != nil {
			return nil, err
		}
		if !s.take(')') {
			return nil, s.unexpected()
		}
		return steps, nil
	case "extension":
		next.kind = toExtension
		if next.name, err = s.quoted(); err != nil {
			return nil, err
		}
	case "where":
		next.kind = toWhere
		if next.criteria, err = s.criteria(); err != nil {
			return nil, err
		}
	default:
		return nil, unsupported("the function " + shown(name))
	}
	if !s.take(')') {
		return nil, s.unexpected()
	}
	return append(steps, next), nil
}

// shown is a function's name if it can be one.
func shown(name string) string {
	if len(name) > 32 {
		return "of that name"
	}
	return name + "()"
}

func (s *scanner) index(steps []step) ([]step, error) {
	s.peek()
	start := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	i, err := strconv.Atoi(s.text[start:s.at])
	if err != nil || s.at-start > 9 {
		s.at = start
		return nil, s.malformed()
	}
	if !s.take(']') {
		return nil, s.unexpected()
	}
	return append(steps, step{kind: toIndex, index: i}), nil
}

func (s *scanner) typed(steps []step) ([]step, error) {
	name, err := s.name()
	if err == nil && name == "FHIR" && s.take('.') {
		name, err = s.name()
	}
	if err != nil {
		return nil, err
	}
	return append(steps, step{kind: toType, name: name}), nil
}

// quoted reads a string literal without escapes.
func (s *scanner) quoted() (string, error) {
	if !s.take('\'') {
		return "", s.malformed()
	}
	end := strings.IndexByte(s.text[s.at:], '\'')
	if end < 0 || strings.IndexByte(s.text[s.at:s.at+end], '\\') >= 0 {
		return "", s.malformed()
	}
	text := s.text[s.at : s.at+end]
	s.at += end + 1
	return text, nil
}

// inCriteria are the words that may stand before a bracket in criteria: functions that
// look at the element and nothing else, and operators. What reads the clock, follows
// references or searches without end is not among them.
var inCriteria = map[string]bool{
	"exists": true, "empty": true, "not": true, "hasValue": true, "where": true, "all": true,
	"first": true, "last": true, "count": true, "extension": true, "ofType": true, "as": true, "is": true,
	"startsWith": true, "endsWith": true, "contains": true, "lower": true, "upper": true, "length": true,
	"and": true, "or": true, "xor": true, "implies": true, "in": true,
}

// criteria reads up to the bracket that closes where(.
func (s *scanner) criteria() (*path.Expression, error) {
	start, depth := s.at, 0
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '\'' || c == '`':
			if !s.skipQuoted(c) {
				return nil, s.malformed()
			}
			continue
		case c == '%':
			return nil, s.unexpected()
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == ')':
			e, err := path.Compile(s.text[start:s.at])
			if err != nil {
				s.at = start
				return nil, s.malformed()
			}
			return e, nil
		case letter(c):
			if word := s.word(); s.peek() == '(' && !inCriteria[word] {
				return nil, unsupported("the function " + shown(word))
			}
			continue
		}
		s.at++
	}
	return nil, s.malformed()
}

// skipQuoted moves behind a quoted text.
func (s *scanner) skipQuoted(quote byte) bool {
	for s.at++; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case '\\':
			s.at++
		case quote:
			s.at++
			return true
		}
	}
	return false
}
