package form

import (
	"encoding/json"

	"aftercare/fhir"
)

// object is a JSON object whose members stay in the order in which they were set.
type object []member

type member struct {
	name  string
	value any
}

// set adds a member; an empty text, list or node is left out.
func (o *object) set(name string, value any) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return
		}
	case []any:
		if len(v) == 0 {
			return
		}
	case *fhir.Node:
		if v == nil {
			return
		}
		value = json.RawMessage(v.Raw)
	}
	*o = append(*o, member{name, value})
}

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			out = append(out, ',')
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, name...), ':'), value...)
	}
	return append(out, '}'), nil
}

// coding is a Coding as the Questionnaire has it, without its extensions.
func coding(n *fhir.Node) object {
	var o object
	o.set("system", n.Str("system"))
	o.set("version", n.Str("version"))
	o.set("code", n.Str("code"))
	o.set("display", n.Str("display"))
	return o
}

func list(nodes []*fhir.Node) []any {
	var out []any
	for _, n := range nodes {
		if n != nil {
			out = append(out, json.RawMessage(n.Raw))
		}
	}
	return out
}
