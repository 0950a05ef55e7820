package permission

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
)

// The roles that are there without any configuration: names, each with its scopes.
//
//go:embed roles.json
var rolesJSON []byte

// Roles are named sets of scopes.
type Roles map[string]Grant

// ReadRoles gives the built-in roles, with those of more added or put in their place. The error
// names the role whose list is not one of scopes for resources.
func ReadRoles(more map[string]string) (Roles, error) {
	texts := map[string]string{}
	if err := json.Unmarshal(rolesJSON, &texts); err != nil {
		return nil, fmt.Errorf("roles.json: %w", err)
	}
	maps.Copy(texts, more)
	roles := Roles{}
	for name, list := range texts {
		grant, others := ParseGrant(list)
		switch {
		case len(others) > 0:
			return nil, fmt.Errorf("the role %q: %q %w", name, others[0], errScope)
		case len(grant) == 0:
			return nil, fmt.Errorf("the role %q has no scopes", name)
		}
		roles[name] = grant
	}
	return roles, nil
}

// Grant is what several roles allow together. A name that is unknown allows nothing.
func (r Roles) Grant(names []string) Grant {
	grant := Grant{}
	for _, name := range names {
		grant = append(grant, r[name]...)
	}
	return grant
}
