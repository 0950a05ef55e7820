package service

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/search"
)

// argument is one in-parameter of an operation. GET with a query string and POST with a
// Parameters resource give the same arguments
// (https://hl7.org/fhir/R4/operations.html#request).
type argument struct {
	name string
	// text is the value of a primitive: as the URL or the JSON string has it.
	text string
	// node is the value of a data type that is not primitive, such as a Coding, or a resource; nil
	// for a primitive. typ is the name of the data type, or resourceType.
	node *fhir.Node
	typ  string
	// place is "http.name", or "Parameters.parameter[2]".
	place string
}

// resourceType stands for the types of all resources.
const resourceType = "Resource"

type arguments []argument

// arguments reads the parameters of the URL, then those of the body. What the HTTP side
// acts on, _format and _pretty, is left out. resources are the parameters that are resources; where
// there is one, a body which is no Parameters resource stands for it.
func (s *Service) arguments(pairs []search.Pair, body []byte, resources []string) (arguments, error) {
	var out arguments
	for i, p := range pairs {
		if p.Name != "_format" && p.Name != "_pretty" {
			out = append(out, argument{name: p.Name, text: p.Value, place: placeOf(p.Name, i)})
		}
	}
	if len(body) == 0 {
		return out, nil
	}
	n, err := fhir.Parse(body)
	if err != nil {
		return nil, err
	}
	alone := n.Kind == fhir.Object && len(resources) == 1 && n.Str("resourceType") != "Parameters"
	if !alone && (n.Kind != fhir.Object || n.Str("resourceType") != "Parameters") {
		return nil, fhir.Errorf(fhir.BadRequest, "structure", "", "An operation takes its parameters in the URL or in a Parameters resource.")
	}
	if issues := s.validator.Resource(n, ""); len(issues) > 0 {
		return nil, &fhir.Error{Kind: fhir.BadRequest, Issues: issues}
	}
	if alone {
		return append(out, argument{name: resources[0], node: n, typ: resourceType, place: n.Str("resourceType")}), nil
	}
	for i, item := range n.Each("parameter") {
		a, err := readArgument(item, fmt.Sprintf("Parameters.parameter[%d]", i), resources)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

func readArgument(item *fhir.Node, place string, resources []string) (argument, error) {
	a := argument{name: item.Str("name"), place: place}
	for _, m := range item.Members {
		typ, isValue := strings.CutPrefix(m.Name, "value")
		switch {
		case isValue && m.Value.Kind == fhir.Object:
			a.node, a.typ = m.Value, typ
			return a, nil
		case isValue:
			a.text = m.Value.Text
			return a, nil
		case m.Name == "resource" && slices.Contains(resources, a.name):
			a.node, a.typ, a.place = m.Value, resourceType, place+".resource"
			return a, nil
		case m.Name == "resource" || m.Name == "part":
			return a, fhir.Errorf(fhir.BadRequest, "not-supported", place+"."+m.Name, "This operation takes no resource or parts as this parameter.")
		}
	}
	return a, fhir.Errorf(fhir.BadRequest, "required", place, "The parameter has no value.")
}

var argumentName = regexp.MustCompile(`^_?[A-Za-z][A-Za-z0-9:._-]{0,63}$`)

// placeOf is the place of a URL parameter; a name that is no plain word is not repeated.
func placeOf(name string, position int) string {
	if argumentName.MatchString(name) {
		return "http." + name
	}
	return "http.parameter[" + strconv.Itoa(position) + "]"
}

func (a *argument) refuse(code, format string, args ...any) error {
	return fhir.Errorf(fhir.BadRequest, code, a.place, format, args...)
}

// only refuses every parameter that is not named.
func (as arguments) only(names ...string) error {
	for i := range as {
		if !slices.Contains(names, as[i].name) {
			return as[i].refuse("not-supported", "This operation does not take this parameter; it takes %s.", listed(names))
		}
	}
	return nil
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// all are the values of a parameter that may repeat.
func (as arguments) all(name string) []*argument {
	var out []*argument
	for i := range as {
		if as[i].name == name {
			out = append(out, &as[i])
		}
	}
	return out
}

// one is the value of a parameter that may not repeat, nil if it is absent.
func (as arguments) one(name string) (*argument, error) {
	found := as.all(name)
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	return nil, found[1].refuse("invalid", "The parameter %s is given more than once.", name)
}

// text is the primitive value of a parameter that may not repeat, "" if it is absent; the
// argument is nil then.
func (as arguments) text(name string) (string, *argument, error) {
	a, err := as.one(name)
	if a == nil || err != nil {
		return "", nil, err
	}
	text, err := a.primitive()
	return text, a, err
}

// primitive is the text of the value; empty and complex values are refused.
func (a *argument) primitive() (string, error) {
	switch {
	case a.node != nil:
		return "", a.refuse("value", "A plain value is needed, not a %s.", a.typ)
	case a.text == "":
		return "", a.refuse("value", "The parameter has no value.")
	}
	return a.text, nil
}

// whole is a whole number from 1 up; absent gives the value for that.
func (as arguments) whole(name string, absent int) (int, error) {
	text, a, err := as.text(name)
	if a == nil || err != nil {
		return absent, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || text[0] == '+' {
		return 0, a.refuse("value", "%s is a whole number, 1 or more.", name)
	}
	return n, nil
}

// flag is a boolean, false if it is absent.
func (as arguments) flag(name string) (bool, *argument, error) {
	text, a, err := as.text(name)
	if a == nil || err != nil {
		return false, nil, err
	}
	if text != "true" && text != "false" {
		return false, nil, a.refuse("value", "%s is true or false.", name)
	}
	return text == "true", a, nil
}

// object is a value of a data type that is not primitive.
func (a *argument) object(typ string) (*fhir.Node, error) {
	if a.typ != typ {
		return nil, a.refuse("value", "The parameter is a %s: send it by POST in a Parameters resource, as value%s.", typ, typ)
	}
	return a.node, nil
}

// parameters writes a Parameters resource around stored bytes.
type parameters struct{ buf []byte }

func newParameters() *parameters {
	return &parameters{[]byte(`{"resourceType":"Parameters","parameter":[`)}
}

func (p *parameters) add(name, member string, value []byte) {
	if p.buf[len(p.buf)-1] != '[' {
		p.buf = append(p.buf, ',')
	}
	p.buf = append(p.buf, `{"name":"`+name+`","`+member+`":`...)
	p.buf = append(append(p.buf, value...), '}')
}

func (p *parameters) bytes() []byte { return append(p.buf, "]}"...) }
