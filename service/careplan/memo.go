package careplan

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"aftercare/fhir"
	"aftercare/fhir/path"
)

var errNotWhole = errors.New("the expression gives no whole number")

// known is how many answers of an expression are kept at most.
const known = 256

// longest is how long, in bytes, the values are at most for which an answer is kept: facts are, and
// whole records, which are different for each patient, are not.
const longest = 1024

// expression is an expression of the definitions, with answers that it has given. An answer depends
// on nothing but the variables that the expression reads, and patients are much alike.
type expression struct {
	*path.Expression
	reads  []string // names of variables
	mu     sync.Mutex
	truths map[string]path.Truth
	wholes map[string]int
}

var variableName = regexp.MustCompile(`%([A-Za-z]+)`)

func remembering(e *path.Expression) *expression {
	p := &expression{Expression: e, truths: map[string]path.Truth{}, wholes: map[string]int{}}
	for _, m := range variableName.FindAllStringSubmatch(e.String(), -1) {
		p.reads = append(p.reads, m[1])
	}
	return p
}

// variables are what expressions read. They are bound when an expression is evaluated, which most
// are not.
type variables struct {
	nodes map[string][]*fhir.Node
	bound map[string]path.Variables // by the state of the window
}

// in are the variables, with a state of the window where that is one of them.
func (v *variables) in(state string) path.Variables {
	bound, ok := v.bound[state]
	if !ok {
		if state != "" {
			v.nodes[varWindow] = []*fhir.Node{stringNode(state)}
		}
		bound = path.Bind(v.nodes)
		if v.bound == nil {
			v.bound = map[string]path.Variables{}
		}
		v.bound[state] = bound
	}
	return bound
}

// key is all that an expression reads.
func (p *expression) key(v *variables, state string) string {
	var b strings.Builder
	for _, name := range p.reads {
		b.WriteByte('%')
		if name == varWindow {
			b.WriteString(state)
			continue
		}
		for _, n := range v.nodes[name] {
			b.Write(n.Raw)
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// truth evaluates a condition. What cannot be evaluated is an error each time.
func (p *expression) truth(v *variables, state string) (path.Truth, error) {
	return remembered(p, p.truths, v, state, p.Truth)
}

// whole evaluates an expression that gives one whole number.
func (p *expression) whole(v *variables, state string) (int, error) {
	return remembered(p, p.wholes, v, state, func(_ *fhir.Node, vars path.Variables) (int, error) { return whole(p.Expression, vars) })
}

func remembered[T any](p *expression, answers map[string]T, v *variables, state string, evaluate func(*fhir.Node, path.Variables) (T, error)) (T, error) {
	key := p.key(v, state)
	if len(key) > longest {
		return evaluate(nil, v.in(state))
	}
	p.mu.Lock()
	answer, ok := answers[key]
	p.mu.Unlock()
	if ok {
		return answer, nil
	}
	answer, err := evaluate(nil, v.in(state))
	if err != nil {
		return answer, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(answers) >= known {
		clear(answers)
	}
	answers[key] = answer
	return answer, nil
}

// whole evaluates an expression that gives one whole number.
func whole(e *path.Expression, vars path.Variables) (int, error) {
	found, err := e.Nodes(nil, vars)
	if err != nil {
		return 0, err
	}
	if len(found) != 1 || found[0].Kind != fhir.Number {
		return 0, errNotWhole
	}
	return strconv.Atoi(found[0].Text)
}
