package fhir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how deep JSON may nest. FHIR sets no limit; the deepest official R4
// example nests 18 values.
const MaxDepth = 64

// MaxValues is how many JSON values a text may have. A tree takes some ten times the
// memory of a text that is nothing but small values; this bounds it to about 400 MB. A
// Bundle of ordinary resources reaches the largest body first.
const MaxValues = 3_000_000

// Parse reads one JSON value into a tree of Nodes that share data's memory. It
// refuses what is not exactly one JSON value of RFC 8259 (https://hl7.org/fhir/R4/json.html):
// malformed text, invalid UTF-8, an object member named twice, nesting deeper than
// MaxDepth, anything after the value. The error is an *Error of kind BadRequest, or
// TooLarge for more than MaxValues values, that gives the place and never quotes the
// content.
func Parse(data []byte) (*Node, error) {
	p := parser{data: data, dec: jsontext.NewDecoder(bytes.NewBuffer(data))}
	n, err := p.value(0)
	if err != nil {
		return nil, p.explain(err)
	}
	if _, err := p.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, badJSON(p.place(int64(p.end()))+": something follows the end of the resource", "")
	}
	return n, nil
}

type parser struct {
	data   []byte
	dec    *jsontext.Decoder
	values int
	root   string // resourceType of the outermost object, once it was read
	// members and items are those of the objects and arrays that are open. Once closed, one
	// gets a slice of just its size.
	members []Member
	items   []*Node
	// names are member names that were met, some of them: most come again and again.
	names [128]string
}

var (
	errTooDeep = errors.New("nested too deep")
	errTooMany = errors.New("too many values")
)

func (p *parser) end() int { return int(p.dec.InputOffset()) }

func (p *parser) value(depth int) (*Node, error) {
	if depth > MaxDepth {
		return nil, errTooDeep
	}
	if p.values++; p.values > MaxValues {
		return nil, errTooMany
	}
	switch kind := p.dec.PeekKind(); kind {
	case '{':
		if _, err := p.dec.ReadToken(); err != nil {
			return nil, err
		}
		n := &Node{Kind: Object, Start: p.end() - 1}
		first := len(p.members)
		for p.dec.PeekKind() != '}' {
			name, err := p.name()
			if err != nil {
				return nil, err
			}
			v, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			p.members = append(p.members, Member{Name: name, Value: v})
			if depth == 0 && name == "resourceType" && v.Kind == String && plainWord(v.Text) {
				p.root = v.Text
			}
		}
		n.Members, p.members = exactly(p.members[first:]), p.members[:first]
		return p.close(n)
	case '[':
		if _, err := p.dec.ReadToken(); err != nil {
			return nil, err
		}
		n := &Node{Kind: Array, Start: p.end() - 1}
		first := len(p.items)
		for p.dec.PeekKind() != ']' {
			v, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			p.items = append(p.items, v)
		}
		n.Items, p.items = exactly(p.items[first:]), p.items[:first]
		return p.close(n)
	default:
		return p.scalar()
	}
}

func (p *parser) close(n *Node) (*Node, error) {
	if _, err := p.dec.ReadToken(); err != nil {
		return nil, err
	}
	n.Raw = p.data[n.Start:p.end()]
	return n, nil
}

// exactly copies a list without room for more; that of none is nil.
func exactly[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	out := make([]T, len(list))
	copy(out, list)
	return out
}

// name reads the name of a member.
func (p *parser) name() (string, error) {
	raw, err := p.dec.ReadValue()
	if err != nil {
		return "", err
	}
	text := raw[1 : len(raw)-1]
	if len(text) == 0 || len(text) > 64 {
		return unquote(raw)
	}
	known := &p.names[(int(text[0])+int(text[len(text)-1])*5+len(text)*17)%len(p.names)]
	if *known == string(text) {
		return *known, nil
	}
	name, err := unquote(raw)
	if err == nil && len(name) == len(text) { // as it was written
		*known = name
	}
	return name, err
}

func (p *parser) scalar() (*Node, error) {
	raw, err := p.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	start := p.end() - len(raw)
	n := &Node{Raw: p.data[start:p.end()], Start: start}
	switch raw.Kind() {
	case '"':
		n.Kind = String
		n.Text, err = unquote(n.Raw)
	case '0':
		n.Kind, n.Text = Number, string(n.Raw)
	case 'n':
		n.Kind = Null
	case 't':
		n.Kind, n.Text = Bool, "true"
	default:
		n.Kind, n.Text = Bool, "false"
	}
	return n, err
}

// unquote is the text of a JSON string.
func unquote(raw []byte) (string, error) {
	if body := raw[1 : len(raw)-1]; bytes.IndexByte(body, '\\') < 0 {
		return string(body), nil
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	return string(text), err
}

func (p *parser) explain(err error) error {
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, errTooMany):
		return Errorf(TooLarge, "too-costly", "", "The body has more than %d JSON values.", MaxValues)
	case errors.Is(err, errTooDeep):
		return badJSON(fmt.Sprintf("nested deeper than %d levels", MaxDepth), p.expression(p.dec.StackPointer()))
	case errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &syntax):
		return badJSON(p.place(syntax.ByteOffset)+": this member is given twice in one object", p.expression(syntax.JSONPointer))
	case errors.As(err, &syntax):
		return badJSON(p.place(syntax.ByteOffset)+": this is not valid JSON in UTF-8", p.expression(syntax.JSONPointer))
	default:
		return badJSON("the body ends before the JSON value does", "")
	}
}

// place names a byte offset as a person's editor does.
func (p *parser) place(offset int64) string {
	before := p.data[:min(int(offset), len(p.data))]
	line := bytes.Count(before, []byte("\n")) + 1
	return fmt.Sprintf("line %d, byte %d", line, len(before)-bytes.LastIndexByte(before, '\n'))
}

// expression turns a JSON pointer into the path form that issues use, from the resource's
// type where that was read before the fault. A member name that is not a plain word came
// from outside and is not repeated.
func (p *parser) expression(to jsontext.Pointer) string {
	var b strings.Builder
	b.WriteString(p.root)
	for token := range to.Tokens() {
		switch _, err := strconv.Atoi(token); {
		case err == nil:
			b.WriteString("[" + token + "]")
		case !plainWord(token):
			return b.String()
		case b.Len() > 0:
			b.WriteString("." + token)
		default:
			b.WriteString(token)
		}
	}
	return b.String()
}

func plainWord(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for _, r := range s {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return false
		}
	}
	return true
}

func badJSON(text, expression string) *Error {
	issue := Issue{Severity: "error", Code: "structure", Text: text}
	if expression != "" {
		issue.Expression = []string{expression}
	}
	return &Error{Kind: BadRequest, Issues: []Issue{issue}}
}
