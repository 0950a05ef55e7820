package patch

import (
	"errors"
	"strconv"

	"aftercare/fhir"
)

// maxCopied is how many bytes the copy operations of one patch may write together: they
// alone can make a resource grow faster than the patch.
const maxCopied = 8 << 20

// JSON applies a JSON Patch (https://www.rfc-editor.org/rfc/rfc6902) to a resource in
// JSON: an array of add, remove, replace, move, copy and test. It follows the RFC to the
// letter, so it does not tidy up: a list whose last item was removed stays as [], which
// FHIR does not allow, and the two sides of a list of primitives are two lists.
//
// Errors: BadRequest for a patch that is not one, Unprocessable for a path that leads
// nowhere, a test that failed, or a changed resourceType or id, TooLarge for more than
// 1000 operations or 8 MiB of copies. The expression is the place in the patch, such as
// "[3].path".
func JSON(resource, patch []byte) ([]byte, error) {
	before, err := fhir.Parse(resource)
	if err != nil {
		return nil, &fhir.Error{Cause: err}
	}
	document, err := fhir.Parse(patch)
	if err != nil {
		return nil, err
	}
	if document.Kind != fhir.Array {
		return nil, fhir.Errorf(fhir.BadRequest, "structure", "", "A JSON Patch is a JSON array of operations.")
	}
	if len(document.Items) > maxOperations {
		return nil, fhir.Errorf(fhir.TooLarge, "too-long", "", "A patch may have %d operations at most.", maxOperations)
	}
	p := jsonPatch{root: newValue(before)}
	for i, item := range document.Items {
		if err := p.operation(item); err != nil {
			return nil, within("["+strconv.Itoa(i)+"]", err)
		}
	}
	return result(before, p.root)
}

// within puts the place of an operation before the expressions of its error.
func within(place string, err error) error {
	var e *fhir.Error
	if !errors.As(err, &e) {
		return err
	}
	for i := range e.Issues {
		issue := &e.Issues[i]
		if len(issue.Expression) == 0 {
			issue.Expression = []string{place}
			continue
		}
		for j, x := range issue.Expression {
			issue.Expression[j] = place + "." + x
		}
	}
	return e
}

type jsonPatch struct {
	root   *value
	copied int
}

// operation applies one operation. Members that it does not know are ignored, as the RFC
// asks.
func (p *jsonPatch) operation(n *fhir.Node) error {
	if n.Kind != fhir.Object {
		return fhir.Errorf(fhir.BadRequest, "structure", "", "An operation is a JSON object.")
	}
	op := n.Get("op")
	if op == nil || op.Kind != fhir.String {
		return fhir.Errorf(fhir.BadRequest, "required", "op", "An operation must have a string op.")
	}
	path, err := member(n, "path")
	if err != nil {
		return err
	}
	switch op.Text {
	case "add", "replace", "test":
		to := n.Get("value")
		if to == nil {
			return fhir.Errorf(fhir.BadRequest, "required", "value", "The operation %s must have a value.", op.Text)
		}
		switch op.Text {
		case "add":
			return p.add(path, newValue(to))
		case "replace":
			return p.replace(path, newValue(to))
		}
		return p.test(path, to)
	case "remove":
		_, err = p.remove("path", path)
		return err
	case "move", "copy":
		from, err := member(n, "from")
		switch {
		case err != nil:
			return err
		case op.Text == "copy":
			return p.copy(from, path)
		default:
			return p.move(from, path)
		}
	}
	return fhir.Errorf(fhir.BadRequest, "not-supported", "op", "op must be add, remove, replace, move, copy or test.")
}

func member(n *fhir.Node, name string) (pointer, error) {
	m := n.Get(name)
	if m == nil || m.Kind != fhir.String {
		return nil, fhir.Errorf(fhir.BadRequest, "required", name, "This operation must have a string %s.", name)
	}
	p, ok := parsePointer(m.Text)
	if !ok {
		return nil, fhir.Errorf(fhir.BadRequest, "value", name,
			"%s must be a JSON Pointer: empty, or steps that each start with a slash, in which ~ is written ~0 and / is written ~1.", name)
	}
	return p, nil
}

// nowhere is the error for a pointer of which only some steps exist.
func nowhere(name string, p pointer, exist int) error {
	return fhir.Errorf(fhir.Unprocessable, "not-found", name,
		"The pointer leads nowhere: the resource has nothing at step %d of %d.", exist+1, len(p))
}

func (p *jsonPatch) add(path pointer, what *value) error {
	if len(path) == 0 {
		p.root = what
		return nil
	}
	last := len(path) - 1
	parent, exist := path[:last].walk(p.root)
	if parent == nil {
		return nowhere("path", path, exist)
	}
	step := path[last]
	switch parent.kind {
	case fhir.Object:
		parent.set(step, what)
		return nil
	case fhir.Array:
		i, ok := arrayIndex(step)
		if step == "-" {
			i, ok = parent.size(), true
		}
		if !ok || i > parent.size() {
			return fhir.Errorf(fhir.Unprocessable, "not-found", "path",
				"The last step must be an index of the array, from 0 to its length of %d, or the sign -.", parent.size())
		}
		parent.insert(i, "", what)
		return nil
	}
	return nowhere("path", path, last)
}

func (p *jsonPatch) replace(path pointer, what *value) error {
	if len(path) == 0 {
		p.root = what
		return nil
	}
	last := len(path) - 1
	parent, exist := path[:last].walk(p.root)
	if parent == nil {
		return nowhere("path", path, exist)
	}
	at := parent.step(path[last])
	if at < 0 {
		return nowhere("path", path, last)
	}
	parent.open()[at].value = what
	return nil
}

func (p *jsonPatch) remove(name string, path pointer) (*value, error) {
	if len(path) == 0 {
		return nil, fhir.Errorf(fhir.Unprocessable, "business-rule", name, "A patch must not remove the whole resource.")
	}
	last := len(path) - 1
	parent, exist := path[:last].walk(p.root)
	if parent == nil {
		return nil, nowhere(name, path, exist)
	}
	at := parent.step(path[last])
	if at < 0 {
		return nil, nowhere(name, path, last)
	}
	return parent.remove(at), nil
}

// move removes and adds. To the place where the value already is, it does nothing.
func (p *jsonPatch) move(from, to pointer) error {
	if to.startsWith(from) {
		if len(to) > len(from) {
			return fhir.Errorf(fhir.BadRequest, "value", "path", "A value must not be moved into itself.")
		}
		if v, exist := from.walk(p.root); v == nil {
			return nowhere("from", from, exist)
		}
		return nil
	}
	what, err := p.remove("from", from)
	if err != nil {
		return err
	}
	return p.add(to, what)
}

func (p *jsonPatch) copy(from, to pointer) error {
	v, exist := from.walk(p.root)
	if v == nil {
		return nowhere("from", from, exist)
	}
	raw := v.appendTo(nil)
	if p.copied += len(raw); p.copied > maxCopied {
		return fhir.Errorf(fhir.TooLarge, "too-long", "from", "The copies of one patch may be %d bytes at most.", maxCopied)
	}
	n, err := fhir.Parse(raw)
	if err != nil {
		return fhir.Errorf(fhir.Unprocessable, "structure", "from", "The value nests deeper than %d levels.", fhir.MaxDepth)
	}
	return p.add(to, newValue(n))
}

func (p *jsonPatch) test(path pointer, want *fhir.Node) error {
	v, exist := path.walk(p.root)
	if v == nil {
		return nowhere("path", path, exist)
	}
	if !v.equal(want) {
		return fhir.Errorf(fhir.Unprocessable, "conflict", "", "The test failed: the resource has another value there. Nothing was changed.")
	}
	return nil
}
