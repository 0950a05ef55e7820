package subset

import (
	"bytes"
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/validate"

	"github.com/go-json-experiment/json/jsontext"
)

// The tag of a resource that is not whole
// (https://terminology.hl7.org/CodeSystem-v3-ObservationValue.html).
const (
	tagSystem = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
	tagCode   = "SUBSETTED"
	tag       = `{"system":"` + tagSystem + `","code":"` + tagCode + `","display":"subsetted"}`
)

// Of cuts a valid resource down to the subset. Members keep their order. The whole is
// returned as it is.
func (s Subset) Of(body []byte) ([]byte, error) {
	if s.Whole() {
		return body, nil
	}
	n, err := fhir.Parse(body)
	if err != nil {
		return nil, err
	}
	typ := n.Str("resourceType")
	c := cut{types: s.types, out: make([]byte, 0, len(body)+len(tag)+32)}
	c.out = append(c.out, '{')
	var contained *fhir.Node // what is left out of it for now
	hasMeta := false
	for _, m := range n.Members {
		name := strings.TrimPrefix(m.Name, "_")
		p, ok := s.types.Part(typ, name)
		switch {
		case m.Name == "meta":
			hasMeta = true
			c.name(m.Name)
			c.meta(m.Value)
		case ok && !s.asks(typ, name, p):
			if name == "contained" {
				contained = m.Value
			}
		case s.summary == "true" && p.Summary:
			c.name(m.Name)
			c.value(m.Value, p.Structure)
		default:
			c.name(m.Name)
			c.out = append(c.out, m.Value.Raw...)
		}
	}
	if !hasMeta {
		c.name("meta")
		c.out = append(c.out, `{"tag":[`+tag+`]}`...)
	}
	if err := c.contained(contained); err != nil {
		return nil, err
	}
	return append(c.out, '}'), nil
}

// cut writes what is kept.
type cut struct {
	types *validate.Validator
	out   []byte
}

// name writes a member's name after what stands before it.
func (c *cut) name(name string) {
	if c.out[len(c.out)-1] != '{' {
		c.out = append(c.out, ',')
	}
	quoted, err := jsontext.AppendQuote(c.out, name)
	if err != nil { // a decoded JSON string: cannot happen
		panic(err)
	}
	c.out = append(quoted, ':')
}

// value writes a value of a structure without what is not part of the summary. Ids and
// extensions stay: they are part of what the value says.
func (c *cut) value(n *fhir.Node, structure string) {
	switch {
	case structure == "" || structure == "Resource":
		c.out = append(c.out, n.Raw...)
	case n.Kind == fhir.Array:
		c.out = append(c.out, '[')
		for i, item := range n.Items {
			if i > 0 {
				c.out = append(c.out, ',')
			}
			c.value(item, structure)
		}
		c.out = append(c.out, ']')
	case n.Kind == fhir.Object:
		c.object(n, structure)
	default:
		c.out = append(c.out, n.Raw...)
	}
}

func (c *cut) object(n *fhir.Node, structure string) {
	start := len(c.out)
	c.out = append(c.out, '{')
	for _, m := range n.Members {
		p, ok := c.types.Part(structure, strings.TrimPrefix(m.Name, "_"))
		if ok && !p.Summary && !p.Required && !p.Modifier && p.Element != "id" && p.Element != "extension" {
			continue
		}
		c.name(m.Name)
		if p.Summary && p.Structure != "Extension" {
			c.value(m.Value, p.Structure)
		} else {
			c.out = append(c.out, m.Value.Raw...)
		}
	}
	if len(c.out) == start+1 { // an empty object is not valid
		c.out = append(c.out[:start], n.Raw...)
		return
	}
	c.out = append(c.out, '}')
}

// Tagged reports whether a resource says of itself that it is a subset.
func Tagged(resource *fhir.Node) bool { return tagged(resource.Get("meta")) }

func tagged(meta *fhir.Node) bool {
	return slices.ContainsFunc(meta.Each("tag"), func(t *fhir.Node) bool {
		return t.Str("system") == tagSystem && t.Str("code") == tagCode
	})
}

// meta writes meta with the tag, which it may have already.
func (c *cut) meta(meta *fhir.Node) {
	if tagged(meta) || meta.Kind != fhir.Object {
		c.out = append(c.out, meta.Raw...)
		return
	}
	c.out = append(c.out, '{')
	added := false
	for _, m := range meta.Members {
		c.name(m.Name)
		if m.Name == "tag" && m.Value.Kind == fhir.Array && len(m.Value.Items) > 0 {
			c.out = append(append(c.out, m.Value.Raw[:len(m.Value.Raw)-1]...), `,`+tag+`]`...)
			added = true
			continue
		}
		c.out = append(c.out, m.Value.Raw...)
	}
	if !added {
		c.name("tag")
		c.out = append(c.out, `[`+tag+`]`...)
	}
	c.out = append(c.out, '}')
}

// contained writes those contained resources, whole, that what was written refers to:
// without them it would not be valid (https://hl7.org/fhir/R4/references.html#contained).
func (c *cut) contained(all *fhir.Node) error {
	if all == nil {
		return nil
	}
	kept, err := fhir.Parse(append(bytes.Clone(c.out), '}'))
	if err != nil {
		return err
	}
	local := map[string]bool{}
	addLocal(local, kept)
	needed := map[*fhir.Node]bool{}
	for found := true; found; {
		found = false
		for _, r := range all.Items {
			if !needed[r] && local["#"+r.Str("id")] {
				needed[r], found = true, true
				addLocal(local, r)
			}
		}
	}
	separator := byte('[')
	for _, r := range all.Items {
		if needed[r] {
			if separator == '[' {
				c.name("contained")
			}
			c.out = append(append(c.out, separator), r.Raw...)
			separator = ','
		}
	}
	if len(needed) > 0 {
		c.out = append(c.out, ']')
	}
	return nil
}

// addLocal adds the texts in n that can be references to contained resources.
func addLocal(to map[string]bool, n *fhir.Node) {
	if n.Kind == fhir.String && strings.HasPrefix(n.Text, "#") {
		to[n.Text] = true
	}
	for _, item := range n.Items {
		addLocal(to, item)
	}
	for _, m := range n.Members {
		addLocal(to, m.Value)
	}
}
