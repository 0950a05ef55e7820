package auth

import (
	"slices"
	"strings"

	"aftercare/service/permission"
)

// granted is what of the scopes that are asked for lies within those that a client may have, as a
// list of scopes. A scope that lies within them whole stays as it was asked for. What is no scope
// for resources is left out, and so is every level but system: there is no user and no launch here.
func granted(asked string, most permission.Grant) string {
	grant, _ := permission.ParseGrant(asked)
	var out []string
	for _, a := range grant {
		if a.Level != permission.LevelSystem {
			continue
		}
		var parts []string
		for _, m := range most {
			part := common(a, m)
			if part == a.Text {
				parts = []string{part}
				break
			}
			if part != "" {
				parts = append(parts, part)
			}
		}
		for _, part := range parts {
			if !slices.Contains(out, part) {
				out = append(out, part)
			}
		}
	}
	return strings.Join(out, " ")
}

// common is the scope that two have in common, "" if there is none. It is the first as it was
// given where that lies within the second.
func common(a, most permission.Scope) string {
	if a.Type != permission.AnyType && most.Type != permission.AnyType && a.Type != most.Type {
		return ""
	}
	actions := a.Actions & most.Actions
	if actions == 0 {
		return ""
	}
	more := without(most.Narrow, a.Narrow)
	if actions == a.Actions && len(more) == 0 && (most.Type == permission.AnyType || most.Type == a.Type) {
		return a.Text
	}
	typ := a.Type
	if typ == permission.AnyType {
		typ = most.Type
	}
	text := a.Level.String() + "/" + typ + "." + actions.String()
	join := "?"
	for _, scope := range []permission.Scope{a, most} {
		if _, query, ok := strings.Cut(scope.Text, "?"); ok && (join == "?" || len(more) > 0) {
			text += join + query
			join = "&"
		}
	}
	return text
}

// without gives the pairs of all that are not among some.
func without(all, some []permission.Pair) (rest []permission.Pair) {
	for _, pair := range all {
		if !slices.Contains(some, pair) {
			rest = append(rest, pair)
		}
	}
	return rest
}
