package path

import (
	"encoding/json"
	"fmt"

	"github.com/gofhir/fhirpath"
	"github.com/gofhir/fhirpath/eval"
	"github.com/gofhir/fhirpath/types"

	"aftercare/fhir"
)

// Expression is a compiled FHIRPath expression. It may be used by many goroutines.
type Expression struct {
	text     string
	compiled *fhirpath.Expression
}

// Compile reads an expression. The error says where the text is not FHIRPath. Names of
// functions and variables are only known at evaluation.
func Compile(text string) (e *Expression, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, err = nil, fmt.Errorf("not a FHIRPath expression: %v", r)
		}
	}()
	compiled, err := fhirpath.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("not a FHIRPath expression: %w", err)
	}
	return &Expression{text: text, compiled: compiled}, nil
}

// String is the expression as it was written.
func (e *Expression) String() string { return e.text }

// Variables are the values that an expression reads as %name. They cache what was read
// from them, so one Variables belongs to one goroutine.
type Variables struct {
	values map[string]types.Collection
	// empty is the context of an evaluation on nothing.
	empty *eval.Context
	err   error
}

// Bind makes Variables. A name with no nodes is bound to the empty collection, which is
// not the same as an unknown name: that is an error at evaluation, and so is a node that
// the library cannot read.
func Bind(nodes map[string][]*fhir.Node) Variables {
	v := Variables{values: make(map[string]types.Collection, len(nodes))}
	for name, list := range nodes {
		c := types.Collection{}
		for _, n := range list {
			values, err := types.JSONToCollection(n.Raw)
			if err != nil {
				v.err = fmt.Errorf("%%%s: %w", name, err)
			}
			c = append(c, values...)
		}
		v.values[name] = c
	}
	v.empty = v.context([]byte("{}"))
	return v
}

// The largest depth and number of values in an evaluation, as the library has them by itself.
const (
	maxDepth  = 100
	maxValues = 10_000
)

func (v Variables) context(focus []byte) *eval.Context {
	ctx := eval.NewContext(focus)
	for name, value := range v.values {
		ctx.SetVariable(name, value)
	}
	ctx.SetLimit("maxDepth", maxDepth)
	ctx.SetLimit("maxCollectionSize", maxValues)
	return ctx
}

func (e *Expression) evaluate(focus *fhir.Node, vars Variables) (c types.Collection, err error) {
	defer func() {
		if r := recover(); r != nil {
			c, err = nil, fmt.Errorf("%s: %w: %v", e.text, because("the evaluation broke off"), r)
		}
	}()
	if vars.err != nil {
		return nil, fmt.Errorf("%w: %w", because("a record cannot be read"), vars.err)
	}
	ctx := vars.empty
	if focus != nil {
		ctx = vars.context(focus.Raw)
	}
	c, err = e.compiled.EvaluateWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.text, err)
	}
	return c, nil
}

// Nodes evaluates on focus (nil for none) and returns the values found: objects as they
// were written, primitives as JSON literals. An error names the expression and never
// quotes the focus.
func (e *Expression) Nodes(focus *fhir.Node, vars Variables) ([]*fhir.Node, error) {
	c, err := e.evaluate(focus, vars)
	if err != nil {
		return nil, err
	}
	nodes := make([]*fhir.Node, 0, len(c))
	for _, value := range c {
		n, err := fhir.Parse(literal(value))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.text, err)
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

func literal(v types.Value) []byte {
	switch v := v.(type) {
	case *types.ObjectValue:
		return v.Data()
	case types.Boolean, types.Integer, types.Decimal:
		return []byte(v.String())
	default:
		text, err := json.Marshal(v.String())
		if err != nil { // a string: cannot happen
			panic(err)
		}
		return text
	}
}

// Truth is the answer to a condition: FHIRPath is three-valued, and an empty result
// means that the question cannot be answered.
type Truth int

// The answers.
const (
	Unknown Truth = iota
	False
	True
)

// Truth evaluates a condition on focus (nil for none). Empty gives Unknown, one Boolean
// gives its value; anything else, an error of evaluation included, gives Unknown and the
// error, so that no caller can mistake a broken condition for "no".
func (e *Expression) Truth(focus *fhir.Node, vars Variables) (Truth, error) {
	c, err := e.evaluate(focus, vars)
	switch {
	case err != nil:
		return Unknown, err
	case len(c) == 0:
		return Unknown, nil
	case len(c) > 1:
		return Unknown, fmt.Errorf("%s: %w", e.text, because("gives %d values where one Boolean is asked for", len(c)))
	}
	b, ok := c[0].(types.Boolean)
	switch {
	case !ok:
		return Unknown, fmt.Errorf("%s: %w", e.text, because("gives a %s where a Boolean is asked for", c[0].Type()))
	case b.Bool():
		return True, nil
	default:
		return False, nil
	}
}
