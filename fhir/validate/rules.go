package validate

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

// invariants are the rules of R4 that can be said as "one of these must hold". A line
// has four fields with tabs between them: the key in the specification, the structure,
// the literals with " | " between them, and a sentence. An invariant that is a
// conjunction has several lines.
//
// A literal is one of these, or its opposite with a leading "!". A path is names with
// dots, from the structure, or from its resource after "%"; "[1]" picks the second of a
// list, "[x]" any type of a choice. A path that yields several values counts if one of
// them does.
//
//	path            something is there
//	path=a,b        a value equals a or b; for a Coding these are system#code
//	path~text       a value contains the text
//	path<=path      the first value is not greater: dates, numbers, quantities; a
//	                comparison that cannot be decided holds, as in FHIRPath
//	path<path       the first value is less, in the same way
//	distinct(list: path path)   no two items of the list agree in these values
//	disjoint(path, path)        no value of the first equals one of the second
//
//go:embed rules.txt
var invariants string

// rule is one line.
type rule struct {
	key, text string
	any       []literal
}

type literal struct {
	negative bool
	op       string // "", "=", "~", "<=", "<", "distinct", "disjoint"
	path     path
	other    []path
	values   []string
	// ordinal is that of the element for a path of one name without an operator; -1
	// otherwise.
	ordinal int
}

type path struct {
	resource bool // from %resource
	names    []string
	index    []int // beside names; -1 is all
}

// addRules reads the table and gives each structure its own rules and those of its base.
func addRules(types map[string]*structure, table string) error {
	own := map[string][]rule{}
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		field := strings.Split(line, "\t")
		if len(field) != 4 || types[field[1]] == nil {
			return fmt.Errorf("malformed rule %s", field[0])
		}
		t := types[field[1]]
		r := rule{key: field[0], text: field[3]}
		for text := range strings.SplitSeq(field[2], " | ") {
			l, err := parseLiteral(text, t)
			if err != nil {
				return fmt.Errorf("rule %s: %w", field[0], err)
			}
			r.any = append(r.any, l)
		}
		own[t.name] = append(own[t.name], r)
	}
	for _, t := range types {
		for at := t; at != nil; at = types[at.base] {
			for _, r := range own[at.name] {
				if at != t { // ordinals are those of the structure
					r.any = append([]literal(nil), r.any...)
					for i := range r.any {
						r.any[i].locate(t)
					}
				}
				t.rules = append(t.rules, r)
			}
		}
	}
	return nil
}

func parseLiteral(text string, t *structure) (literal, error) {
	l := literal{ordinal: -1}
	text, l.negative = strings.CutPrefix(text, "!")
	if inner, ok := strings.CutPrefix(text, "distinct("); ok {
		list, keys, _ := strings.Cut(strings.TrimSuffix(inner, ")"), ": ")
		l.op, l.path = "distinct", parsePath(list)
		for key := range strings.SplitSeq(keys, " ") {
			l.other = append(l.other, parsePath(key))
		}
		return l, nil
	}
	if inner, ok := strings.CutPrefix(text, "disjoint("); ok {
		one, two, _ := strings.Cut(strings.TrimSuffix(inner, ")"), ", ")
		l.op, l.path, l.other = "disjoint", parsePath(one), []path{parsePath(two)}
		return l, nil
	}
	for _, op := range []string{"<=", "<", "=", "~"} {
		left, right, ok := strings.Cut(text, op)
		if !ok {
			continue
		}
		l.op, l.path = op, parsePath(left)
		if op[0] == '<' {
			l.other = []path{parsePath(right)}
		} else {
			l.values = strings.Split(right, ",")
		}
		return l, nil
	}
	l.path = parsePath(text)
	l.locate(t)
	if !l.path.resource && l.ordinal < 0 && t.members[l.path.names[0]] == nil {
		return l, fmt.Errorf("%s has no element %s", t.name, l.path.names[0])
	}
	return l, nil
}

func parsePath(text string) path {
	var p path
	text, p.resource = strings.CutPrefix(text, "%")
	for name := range strings.SplitSeq(text, ".") {
		index := -1
		if i := strings.IndexByte(name, '['); i > 0 && !strings.HasSuffix(name, "[x]") {
			index, _ = strconv.Atoi(name[i+1 : len(name)-1])
			name = name[:i]
		}
		p.names = append(p.names, name)
		p.index = append(p.index, index)
	}
	return p
}

// locate finds the ordinal for a literal that only asks whether one element is there.
func (l *literal) locate(t *structure) {
	l.ordinal = -1
	if l.op != "" || l.path.resource || len(l.path.names) != 1 || l.path.index[0] >= 0 {
		return
	}
	for _, e := range t.elements {
		if e.name == l.path.names[0] {
			l.ordinal = e.ordinal
		}
	}
}
