package search

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode"
)

// filter reads _filter (https://hl7.org/fhir/R4/search_filter.html). A test is about the set of
// values that its path leads to; but for pr and ni it holds if it does for one of them. "and" and
// "or" bind from left to right, "not" what follows it.
//
// Different from the page, codes, identifiers and URIs are compared as in other parameters: their
// case counts.
func (p *parser) filter(typ, raw string) (Clause, error) {
	r := filterReader{text: raw, parser: p}
	n, err := r.filter()
	if err != nil {
		return Clause{}, err
	}
	if r.space(); r.at < len(raw) {
		return Clause{}, problem("the filter goes on where it should end, or a bracket is closed that was not opened")
	}
	c, err := p.filterClause(typ, n, 0)
	if errors.As(err, new(unknown)) { // lenient handling must not leave out a whole filter
		err = problem(err.Error())
	}
	return c, err
}

// filterNode is a filter as it is written.
type filterNode struct {
	// op is "and", "or", "not", or that of a test.
	op   string
	args []*filterNode
	path []filterStep
	// value is that of a test, without its quotes.
	value string
}

// filterStep is a name in a path, with the filter in square brackets after it, or nil.
type filterStep struct {
	name   string
	filter *filterNode
}

// filterReader reads the grammar of the page, from left to right.
type filterReader struct {
	*parser
	text  string
	at    int
	depth int
}

func (r *filterReader) space() {
	r.at = len(r.text) - len(strings.TrimLeftFunc(r.text[r.at:], unicode.IsSpace))
}

// word is a name, an operator or a keyword; "" where there is none.
func (r *filterReader) word() string {
	start := r.at
	for r.at < len(r.text) && (wordByte(r.text[r.at]) || r.text[r.at] == '-' && r.at > start) {
		r.at++
	}
	return r.text[start:r.at]
}

func (r *filterReader) take(c byte) bool {
	if r.at < len(r.text) && r.text[r.at] == c {
		r.at++
		return true
	}
	return false
}

func (r *filterReader) filter() (*filterNode, error) {
	left, err := r.term()
	for err == nil {
		r.space()
		start := r.at
		op := r.word()
		if op != "and" && op != "or" {
			r.at = start
			return left, nil
		}
		var right *filterNode
		right, err = r.term()
		if left.op == op {
			left.args = append(left.args, right)
		} else {
			left = &filterNode{op: op, args: []*filterNode{left, right}}
		}
	}
	return nil, err
}

func (r *filterReader) term() (*filterNode, error) {
	if r.depth++; r.depth > maxNesting {
		return nil, costly{problem("brackets lie too deep in each other")}
	}
	defer func() { r.depth-- }()
	r.space()
	if r.take('(') {
		n, err := r.filter()
		if err != nil {
			return nil, err
		}
		if r.space(); !r.take(')') {
			return nil, problem("a bracket is not closed")
		}
		// In brackets, it is one term: what follows does not add to its arguments.
		return &filterNode{op: "and", args: []*filterNode{n}}, nil
	}
	start := r.at
	if r.word() == "not" {
		n, err := r.term()
		return &filterNode{op: "not", args: []*filterNode{n}}, err
	}
	r.at = start
	return r.test()
}

const filterForm = "write parameter operator value, as in birthdate ge 2014-10-10"

func (r *filterReader) test() (*filterNode, error) {
	if r.clauses++; r.clauses > MaxClauses {
		return nil, tooCostly
	}
	n := &filterNode{}
	for {
		step := filterStep{name: r.word()}
		if step.name == "" {
			return nil, problem("a parameter's name is missing; " + filterForm)
		}
		if r.take('[') {
			var err error
			if step.filter, err = r.filter(); err != nil {
				return nil, err
			}
			if r.space(); !r.take(']') || r.at == len(r.text) || r.text[r.at] != '.' {
				return nil, problem("after a filter in square brackets comes a dot and a name")
			}
		}
		n.path = append(n.path, step)
		if !r.take('.') {
			break
		}
	}
	r.space()
	if n.op = r.word(); !filterOps[n.op] {
		return nil, problem("there is no such operator; known are eq, ne, co, sw, ew, gt, lt, ge, le, ap, sa, eb, pr, po, ss, sb, in, ni and re")
	}
	start := r.at
	if r.space(); r.at == start && (r.at == len(r.text) || r.text[r.at] != '"') {
		return nil, problem("a value is missing; " + filterForm)
	}
	return n, r.valueOf(n)
}

var filterOps = map[string]bool{
	"eq": true, "ne": true, "co": true, "sw": true, "ew": true, "gt": true, "lt": true, "ge": true, "le": true, "ap": true,
	"sa": true, "eb": true, "pr": true, "po": true, "ss": true, "sb": true, "in": true, "ni": true, "re": true,
}

// valueOf reads a JSON string, or all up to white space or a closing bracket.
func (r *filterReader) valueOf(n *filterNode) error {
	rest := r.text[r.at:]
	if !strings.HasPrefix(rest, `"`) {
		end := strings.IndexFunc(rest, func(c rune) bool { return c == ')' || c == ']' || unicode.IsSpace(c) })
		if end < 0 {
			end = len(rest)
		}
		if n.value = rest[:end]; n.value == "" {
			return problem("a value is missing; " + filterForm)
		}
		r.at += end
		return nil
	}
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case '"':
			r.at += i + 1
			if json.Unmarshal([]byte(rest[:i+1]), &n.value) != nil || n.value == "" || !storable(n.value) {
				return problem("a text in quotes is empty or not a JSON string")
			}
			return nil
		}
	}
	return problem("a text in quotes is not closed")
}
