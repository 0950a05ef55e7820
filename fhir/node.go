package fhir

// Kind is the JSON kind of a Node.
type Kind byte

// The JSON kinds.
const (
	Null   Kind = 'n'
	Bool   Kind = 'b'
	Number Kind = '0'
	String Kind = '"'
	Array  Kind = '['
	Object Kind = '{'
)

// Node is one JSON value as it was written: nothing is converted, so every decimal
// digit and escape is still there in Raw. Nodes are read-only; a nil *Node stands
// for "absent" and every method accepts it.
type Node struct {
	Kind Kind
	// Start is the offset of Raw in the parsed input.
	Start int
	// Raw is the value's exact bytes, a sub-slice of the parsed input.
	Raw []byte
	// Text is the decoded string, the number's literal, or "true" / "false".
	Text string
	// Members are an object's members in document order.
	Members []Member
	// Items are an array's values.
	Items []*Node
}

// Member is one name and value of a JSON object.
type Member struct {
	Name  string
	Value *Node
}

// Get follows member names down from n and returns nil where one is absent. It does
// not enter arrays; see Each.
func (n *Node) Get(names ...string) *Node {
	for _, name := range names {
		n = n.member(name)
		if n == nil {
			return nil
		}
	}
	return n
}

func (n *Node) member(name string) *Node {
	if n == nil || n.Kind != Object {
		return nil
	}
	for i := range n.Members {
		if n.Members[i].Name == name {
			return n.Members[i].Value
		}
	}
	return nil
}

// Str is the text of the string at the given member names, "" when it is absent or
// not a string.
func (n *Node) Str(names ...string) string {
	n = n.Get(names...)
	if n == nil || n.Kind != String {
		return ""
	}
	return n.Text
}

// Each returns the values at the given member names: every array on the way is
// entered, so Each("code", "coding", "code") sees repeated codings.
func (n *Node) Each(names ...string) []*Node {
	found := n.flat(nil)
	for _, name := range names {
		var next []*Node
		for _, v := range found {
			next = v.member(name).flat(next)
		}
		found = next
	}
	return found
}

func (n *Node) flat(into []*Node) []*Node {
	switch {
	case n == nil:
		return into
	case n.Kind == Array:
		for _, item := range n.Items {
			into = item.flat(into)
		}
		return into
	default:
		return append(into, n)
	}
}
