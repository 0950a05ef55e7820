package permission

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

// Level is for whose data a scope is.
type Level int

// The levels of scopes.
const (
	// LevelPatient is the data of the one patient of the launch context.
	LevelPatient Level = iota
	// LevelUser is the data that the user may see.
	LevelUser
	// LevelSystem is all data.
	LevelSystem
)

var levels = []string{LevelPatient: "patient", LevelUser: "user", LevelSystem: "system"}

func (l Level) String() string { return levels[l] }

// Actions is a set of what can be done with resources.
type Actions uint8

// The actions of scopes. Read is also vread and the history of one resource; Update is also patch,
// and create under an id of the client's own; Search is also the history of a type and of the system.
const (
	Create Actions = 1 << iota
	Read
	Update
	Delete
	Search
)

// letters are the actions in the order in which a scope has them.
const letters = "cruds"

func (a Actions) String() string {
	var b strings.Builder
	for i, letter := range letters {
		if a&(1<<i) != 0 {
			b.WriteRune(letter)
		}
	}
	return b.String()
}

// AnyType is the type of a scope for all types.
const AnyType = "*"

// Pair is one search parameter that narrows a scope.
type Pair struct{ Name, Value string }

// Scope is one permission: for resources of a type, at a level, what may be done.
type Scope struct {
	Level   Level
	Type    string // AnyType for all
	Actions Actions
	// Narrow are search parameters that a resource must match, all of them; none for every
	// resource.
	Narrow []Pair
	// Text is the scope as it was given.
	Text string
}

var errScope = errors.New("is no scope for resources; one is (patient|user|system)/(TYPE|*).(cruds), with letters left out, and narrowed by ?parameter=value if need be, or the older form that ends with .read, .write or .*")

// ParseScope reads a scope for resources. Letters out of order are refused, and so are a modifier
// and a chain in a parameter that narrows.
func ParseScope(text string) (Scope, error) {
	scope := Scope{Text: text}
	level, rest, ok := strings.Cut(text, "/")
	scope.Level = Level(slices.Index(levels, level))
	if !ok || scope.Level < 0 {
		return Scope{}, errScope
	}
	rest, query, narrowed := strings.Cut(rest, "?")
	typ, actions, ok := strings.Cut(rest, ".")
	if !ok || !isType(typ) {
		return Scope{}, errScope
	}
	scope.Type = typ
	switch actions {
	case "read":
		scope.Actions = Read | Search
	case "write":
		scope.Actions = Create | Update | Delete
	case "*":
		scope.Actions = Create | Read | Update | Delete | Search
	default:
		if scope.Actions, ok = parseActions(actions); !ok {
			return Scope{}, errScope
		}
		if narrowed {
			scope.Narrow, ok = parseNarrow(query)
		}
		if !ok {
			return Scope{}, errScope
		}
		return scope, nil
	}
	if narrowed { // the older form has no parameters
		return Scope{}, errScope
	}
	return scope, nil
}

func isType(name string) bool {
	if name == AnyType {
		return true
	}
	for i := range len(name) {
		if c := name[i]; (c < 'A' || c > 'Z') && (i == 0 || c < 'a' || c > 'z') {
			return false
		}
	}
	return name != ""
}

func parseActions(text string) (a Actions, ok bool) {
	next := 0
	for _, letter := range text {
		i := strings.IndexRune(letters[next:], letter)
		if i < 0 {
			return 0, false
		}
		next += i
		a |= 1 << next
		next++
	}
	return a, a != 0
}

func parseNarrow(query string) (pairs []Pair, ok bool) {
	for part := range strings.SplitSeq(query, "&") {
		name, value, ok := strings.Cut(part, "=")
		if !ok || name == "" || value == "" || strings.ContainsAny(name, ":.") {
			return nil, false
		}
		value, err := url.PathUnescape(value) // where "+" is itself, as clients write it
		if err != nil {
			return nil, false
		}
		pairs = append(pairs, Pair{name, value})
	}
	return pairs, len(pairs) > 0
}

// Grant is a set of scopes of which any one is enough.
type Grant []Scope

// ParseGrant reads the scopes of a space-separated list. Those that are not for resources, such as
// openid, and those that are not understood give nothing, and are returned by themselves.
func ParseGrant(list string) (grant Grant, others []string) {
	for text := range strings.FieldsSeq(list) {
		scope, err := ParseScope(text)
		if err != nil {
			others = append(others, text)
			continue
		}
		grant = append(grant, scope)
	}
	return grant, others
}
