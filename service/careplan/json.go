package careplan

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"aftercare/fhir"
)

// object is a JSON object whose members keep their order.
type object []fhir.Member

// set puts the JSON of v at name; an existing member keeps its place. What is empty (nil,
// "", an empty list) is left out, as FHIR demands.
func (o *object) set(name string, v any) {
	n := asNode(v)
	switch string(n.Raw) {
	case "null", `""`, "[]", "{}":
		return
	}
	o.put(name, n)
}

// asNode is the JSON of v. What the type of v tells of its form is noted; parsed fills in the
// remainder.
func asNode(v any) *fhir.Node {
	switch v := v.(type) {
	case raw:
		return v.Node
	case coding:
		return texts("system", v.System, "code", v.Code, "display", v.Display)
	case reference:
		return texts("reference", v.Reference, "display", v.Display)
	case identifier:
		return texts("system", v.System, "value", v.Value)
	case period:
		return texts("start", v.Start, "end", v.End)
	case []coding:
		return arrayOf(v)
	case []reference:
		return arrayOf(v)
	case []identifier:
		return arrayOf(v)
	case []string:
		return arrayOf(v)
	case []any:
		return arrayOf(v)
	case []object:
		return arrayOf(v)
	case concept:
		return v.node()
	case []concept:
		return arrayOf(v)
	case outcomeMark:
		return texts("url", v.URL, "valueCode", v.Code)
	case []outcomeMark:
		return arrayOf(v)
	case int:
		text := strconv.Itoa(v)
		return &fhir.Node{Kind: fhir.Number, Raw: []byte(text), Text: text}
	}
	n := &fhir.Node{Raw: encode(v)}
	switch v := v.(type) {
	case string:
		n.Kind, n.Text = fhir.String, v
	case object:
		n.Kind, n.Members = fhir.Object, slices.Clone(v)
	case []raw:
		n.Kind, n.Items = fhir.Array, make([]*fhir.Node, len(v))
		for i, item := range v {
			n.Items[i] = item.Node
		}
	}
	return n
}

// arrayOf is a JSON array.
func arrayOf[T any](values []T) *fhir.Node {
	n := &fhir.Node{Kind: fhir.Array, Items: make([]*fhir.Node, len(values))}
	size := 2
	for i, v := range values {
		n.Items[i] = asNode(v)
		size += len(n.Items[i].Raw) + 1
	}
	n.Raw = append(make([]byte, 0, size), '[')
	for i, item := range n.Items {
		if i > 0 {
			n.Raw = append(n.Raw, ',')
		}
		n.Raw = append(n.Raw, item.Raw...)
	}
	n.Raw = append(n.Raw, ']')
	return n
}

// texts is a JSON object of strings, given as names and values; what is empty is left out.
func texts(pairs ...string) *fhir.Node {
	size := 2
	for _, s := range pairs {
		size += len(s) + 4
	}
	n := &fhir.Node{Kind: fhir.Object, Members: make([]fhir.Member, 0, len(pairs)/2)}
	values := make([]fhir.Node, len(pairs)/2)
	raw := append(make([]byte, 0, size), '{')
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		if len(n.Members) > 0 {
			raw = append(raw, ',')
		}
		raw = append(appendJSON(raw, pairs[i]), ':')
		from := len(raw)
		raw = appendJSON(raw, pairs[i+1])
		value := &values[i/2]
		*value = fhir.Node{Kind: fhir.String, Text: pairs[i+1], Raw: raw[from:len(raw):len(raw)]}
		n.Members = append(n.Members, fhir.Member{Name: pairs[i], Value: value})
	}
	n.Raw = append(raw, '}')
	return n
}

// parsed fills in what nodes written here do not have yet. It leaves nodes that have been parsed as
// they are.
func parsed(n *fhir.Node) {
	switch n.Kind {
	case fhir.Object:
		for _, m := range n.Members {
			parsed(m.Value)
		}
	case fhir.Array:
		for _, item := range n.Items {
			parsed(item)
		}
	case 0:
		full, err := fhir.Parse(n.Raw)
		if err != nil { // written here: cannot happen
			panic(err)
		}
		*n = *full
	}
}

func (o *object) put(name string, n *fhir.Node) {
	if n == nil {
		return
	}
	for i := range *o {
		if (*o)[i].Name == name {
			(*o)[i].Value = n
			return
		}
	}
	*o = append(*o, fhir.Member{Name: name, Value: n})
}

func (o object) has(name string) bool {
	return slices.ContainsFunc(o, func(m fhir.Member) bool { return m.Name == name })
}

// text is the string at a member, "" for none.
func (o object) text(name string) string {
	if n := memberOf(o, name); n != nil {
		return n.Text
	}
	return ""
}

// without is o less some members.
func (o object) without(names ...string) object {
	return slices.DeleteFunc(slices.Clone(o), func(m fhir.Member) bool { return slices.Contains(names, m.Name) })
}

// memberOf is a member of an object, parsed; nil where it has none.
func memberOf(o object, name string) *fhir.Node {
	for _, m := range o {
		if m.Name == name {
			parsed(m.Value)
			return m.Value
		}
	}
	return nil
}

// listIn are the items of a list in an object.
func listIn(o object, name string) []raw {
	if n := memberOf(o, name); n != nil {
		return raws(n.Items)
	}
	return nil
}

// keep adds the members of an existing object that o does not have.
func (o *object) keep(existing *fhir.Node, except ...string) {
	if existing == nil {
		return
	}
	for _, m := range existing.Members {
		if !o.has(m.Name) && !slices.Contains(except, m.Name) {
			*o = append(*o, m)
		}
	}
}

// arrange sorts members into the order of the specification; those that the order lacks
// follow by name.
func (o object) arrange(order []string) {
	rank := func(name string) int {
		if i := slices.Index(order, name); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(o, func(a, b fhir.Member) int {
		if d := rank(a.Name) - rank(b.Name); d != 0 {
			return d
		}
		return bytes.Compare([]byte(a.Name), []byte(b.Name))
	})
}

// node gives an object the form of parsed JSON. What is parsed already is not read again.
func (o object) node() *fhir.Node {
	n := asNode(o)
	parsed(n)
	return n
}

// raw is a parsed value that is written as it was.
type raw struct{ *fhir.Node }

func raws(nodes []*fhir.Node) []raw {
	list := make([]raw, len(nodes))
	for i, n := range nodes {
		list[i] = raw{n}
	}
	return list
}

func encode(v any) []byte { return appendJSON(nil, v) }

// appendJSON writes what is put together here directly; encoding/json would read and
// compact every nested value again at each level.
func appendJSON(b []byte, v any) []byte {
	switch v := v.(type) {
	case object:
		size := 2
		for _, m := range v {
			size += len(m.Name) + len(m.Value.Raw) + 4
		}
		b = append(slices.Grow(b, size), '{')
		for i, m := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(appendJSON(b, m.Name), ':'), m.Value.Raw...)
		}
		return append(b, '}')
	case raw:
		return append(b, v.Raw...)
	case []raw:
		size := 2
		for _, item := range v {
			size += len(item.Raw) + 1
		}
		return appendList(slices.Grow(b, size), v)
	case []object:
		return appendList(b, v)
	case []any:
		return appendList(b, v)
	case string:
		if plainASCII(v) {
			return append(append(append(slices.Grow(b, len(v)+2), '"'), v...), '"')
		}
	}
	return appendPlain(b, v)
}

func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e || s[i] == '"' || s[i] == '\\' {
			return false
		}
	}
	return true
}

func appendList[T any](b []byte, list []T) []byte {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, v)
	}
	return append(b, ']')
}

func appendPlain(b []byte, v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil { // only our own types: cannot happen
		panic(err)
	}
	return append(b, bytes.TrimRight(buf.Bytes(), "\n")...)
}

// compacted is a parsed value without white space between tokens.
func compacted(n *fhir.Node) *fhir.Node {
	var buf bytes.Buffer
	if err := json.Compact(&buf, n.Raw); err != nil { // parsed before: cannot happen
		panic(err)
	}
	small, err := fhir.Parse(buf.Bytes())
	if err != nil {
		panic(err)
	}
	return small
}

type concept struct {
	Coding []coding `json:"coding,omitempty"`
	Text   string   `json:"text,omitempty"`
}

func (c concept) node() *fhir.Node {
	o := object{}
	o.set("coding", c.Coding)
	o.set("text", c.Text)
	return asNode(o)
}

// extended is an extension with a value, which stands at a name such as valueString.
func extended(url, name string, value any) object {
	o := object{}
	o.set("url", url)
	o.set(name, value)
	return o
}

type reference struct {
	Reference string `json:"reference,omitempty"`
	Display   string `json:"display,omitempty"`
}

type identifier struct {
	System string `json:"system"`
	Value  string `json:"value"`
}

type period struct {
	Start string `json:"start,omitempty"`
	End   string `json:"end,omitempty"`
}

func periodOf(w window) period { return period{formatDate(w.Start), formatDate(w.End)} }
