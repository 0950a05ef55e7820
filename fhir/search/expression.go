package search

import (
	"errors"
	"fmt"
	"strings"
)

// Branches splits a search expression at its unions and returns the branches that start at
// the given resource type, joined by " | " again; "" where there is none.
func Branches(expression, typ string) string {
	var kept []string
	depth, quoted, start := 0, false, 0
	cut := func(end int) {
		branch := strings.TrimSpace(expression[start:end])
		name := strings.TrimLeft(branch, "( ")
		if rest, ok := strings.CutPrefix(name, typ); ok && (rest == "" || !wordByte(rest[0])) {
			kept = append(kept, branch)
		}
		start = end + 1
	}
	for i := 0; i < len(expression); i++ {
		switch c := expression[i]; {
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '|' && depth == 0:
			cut(i)
		}
	}
	cut(len(expression))
	return strings.Join(kept, " | ")
}

// compile understands the part of FHIRPath that search expressions are written in: paths
// that start at the resource type, unions, brackets, "as T", as(T), ofType(T),
// where(resolve() is T), where(name='text') and extension('url'); besides, a whole expression may
// be "P.exists() and P != false". Anything else is an error.
func compile(expression, typ string) ([]path, error) {
	if element, _, ok := strings.Cut(expression, ".exists() and "); ok && expression == element+".exists() and "+element+" != false" {
		paths, err := compile(element, typ)
		if err != nil || len(paths) != 1 {
			return nil, fmt.Errorf("expression %q: is not about one element", expression)
		}
		return []path{{{op: opHolds, of: paths[0]}}}, nil
	}
	return compileFrom(compiler{text: expression, typ: typ})
}

// compileRelative compiles an expression that starts at an element, such as a component of a
// composite.
func compileRelative(expression string) ([]path, error) {
	return compileFrom(compiler{text: expression, relative: true})
}

// compileContexts compiles an expression that may be the resource itself.
func compileContexts(expression, typ string) ([]path, error) {
	return compileFrom(compiler{text: expression, typ: typ, whole: true})
}

func compileFrom(c compiler) ([]path, error) {
	expression := c.text
	c.next()
	paths, err := c.union()
	if err == nil && c.token != "" {
		err = c.unexpected()
	}
	if err != nil {
		return nil, fmt.Errorf("expression %q: %w", expression, err)
	}
	for i, p := range paths {
		if len(p) == 0 {
			if c.whole {
				continue
			}
			return nil, fmt.Errorf("expression %q: names no element", expression)
		}
		if p[len(p)-1].op == opExtension {
			paths[i] = append(p, step{op: opMember, name: "value"})
		}
	}
	return paths, nil
}

type compiler struct {
	text, typ string
	relative  bool // paths start at any element
	whole     bool // a path may be the resource itself
	at        int
	token     string // a word, a quoted text with its quotes, or one sign; "" at the end
}

func wordByte(b byte) bool {
	return b == '_' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
}

func (c *compiler) next() {
	for c.at < len(c.text) && c.text[c.at] == ' ' {
		c.at++
	}
	start := c.at
	switch {
	case c.at == len(c.text):
	case wordByte(c.text[c.at]):
		for c.at < len(c.text) && wordByte(c.text[c.at]) {
			c.at++
		}
	case c.text[c.at] == '\'':
		end := strings.IndexByte(c.text[c.at+1:], '\'')
		if end < 0 {
			c.at = len(c.text)
		} else {
			c.at += end + 2
		}
	default:
		c.at++
	}
	c.token = c.text[start:c.at]
}

func (c *compiler) unexpected() error {
	if c.token == "" {
		return errors.New("ends too early")
	}
	return fmt.Errorf("%q at byte %d is not understood", c.token, c.at-len(c.token))
}

func (c *compiler) take(token string) error {
	if c.token != token {
		return c.unexpected()
	}
	c.next()
	return nil
}

func (c *compiler) word() (string, error) {
	if c.token == "" || !wordByte(c.token[0]) {
		return "", c.unexpected()
	}
	w := c.token
	c.next()
	return w, nil
}

func (c *compiler) literal() (string, error) {
	n := len(c.token)
	if n < 2 || c.token[0] != '\'' || c.token[n-1] != '\'' || strings.Contains(c.token, `\`) {
		return "", c.unexpected()
	}
	s := c.token[1 : n-1]
	c.next()
	return s, nil
}

func (c *compiler) union() ([]path, error) {
	var all []path
	for {
		paths, err := c.branch()
		if err != nil {
			return nil, err
		}
		all = append(all, paths...)
		if c.token != "|" {
			return all, nil
		}
		c.next()
	}
}

func (c *compiler) branch() ([]path, error) {
	paths, err := c.start()
	for err == nil && c.token == "." {
		c.next()
		paths, err = c.step(paths)
	}
	if err != nil || c.token != "as" {
		return paths, err
	}
	c.next()
	typ, err := c.word()
	if err != nil {
		return nil, err
	}
	return extend(paths, step{op: opAs, name: typ})
}

func (c *compiler) start() ([]path, error) {
	if c.token == "(" {
		c.next()
		paths, err := c.union()
		if err != nil {
			return nil, err
		}
		return paths, c.take(")")
	}
	if c.relative {
		return c.step([]path{nil})
	}
	if c.token != c.typ && c.token != "Resource" && c.token != "DomainResource" {
		return nil, c.unexpected()
	}
	c.next()
	return []path{nil}, nil
}

func (c *compiler) step(paths []path) ([]path, error) {
	name, err := c.word()
	if err != nil {
		return nil, err
	}
	if c.token != "(" {
		return extend(paths, step{op: opMember, name: name})
	}
	c.next()
	var s step
	switch name {
	case "as", "ofType":
		s.op = opAs
		s.name, err = c.word()
	case "extension":
		s.op = opExtension
		s.name, err = c.literal()
	case "where":
		s, err = c.condition()
	default:
		return nil, fmt.Errorf("the function %s() is not understood", name)
	}
	if err == nil {
		err = c.take(")")
	}
	if err != nil {
		return nil, err
	}
	return extend(paths, s)
}

func (c *compiler) condition() (step, error) {
	name, err := c.word()
	if err != nil {
		return step{}, err
	}
	if name == "resolve" {
		for _, token := range []string{"(", ")", "is"} {
			if err := c.take(token); err != nil {
				return step{}, err
			}
		}
		typ, err := c.word()
		return step{op: opWhereIs, name: typ}, err
	}
	if err := c.take("="); err != nil {
		return step{}, err
	}
	value, err := c.literal()
	return step{op: opWhereEq, name: name, value: value}, err
}

func extend(paths []path, s step) ([]path, error) {
	for i, p := range paths {
		if s.op == opAs && (len(p) == 0 || p[len(p)-1].op != opMember) {
			return nil, fmt.Errorf("as %s does not follow an element", s.name)
		}
		paths[i] = append(p[:len(p):len(p)], s)
	}
	return paths, nil
}
