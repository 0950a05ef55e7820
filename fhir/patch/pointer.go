package patch

import (
	"strconv"
	"strings"

	"aftercare/fhir"
)

// pointer is a JSON Pointer as its decoded steps (RFC 6901).
type pointer []string

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// parsePointer reads a pointer: "" is the whole document, anything else starts with a
// slash. In a step "~" is followed by 0 or 1.
func parsePointer(s string) (pointer, bool) {
	if s == "" {
		return nil, true
	}
	if s[0] != '/' {
		return nil, false
	}
	steps := strings.Split(s[1:], "/")
	for i, step := range steps {
		for at := 0; at < len(step); at++ {
			if step[at] == '~' && (at+1 == len(step) || step[at+1] != '0' && step[at+1] != '1') {
				return nil, false
			}
		}
		steps[i] = unescape.Replace(step)
	}
	return steps, true
}

// walk follows the pointer from root. Where a step names nothing, it returns nil and how
// many steps do exist.
func (p pointer) walk(root *value) (v *value, exist int) {
	v = root
	for i, step := range p {
		at := v.step(step)
		if at < 0 {
			return nil, i
		}
		v = v.open()[at].value
	}
	return v, len(p)
}

// step is the slot that a step of a pointer names, -1 for none.
func (v *value) step(step string) int {
	switch v.kind {
	case fhir.Object:
		return v.find(step)
	case fhir.Array:
		if i, ok := arrayIndex(step); ok && i < v.size() {
			return i
		}
	}
	return -1
}

// arrayIndex reads 0, or digits that do not start with 0.
func arrayIndex(s string) (int, bool) {
	if s == "" || len(s) > 9 || s[0] == '0' && s != "0" {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	i, err := strconv.Atoi(s)
	return i, err == nil
}

// startsWith tells whether p leads to, or into, what other leads to.
func (p pointer) startsWith(other pointer) bool {
	if len(other) > len(p) {
		return false
	}
	for i, step := range other {
		if p[i] != step {
			return false
		}
	}
	return true
}
