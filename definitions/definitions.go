// Package definitions holds what the service knows of the clinic, as FHIR R4 resources in
// JSON: one file per PlanDefinition, ActivityDefinition, CodeSystem, ValueSet, ConceptMap
// and the like. They are built into the binary. A hospital puts its own files in a folder;
// a file with the url of a built-in one replaces it.
//
// Two extensions of ours say where a rule comes from: source-fact names a statement of
// the source leaflets (CodeSystem source-fact), policy says what is a choice of ours.
package definitions

import (
	"embed"
	"fmt"
	"io/fs"
	"path"

	"aftercare/fhir"
)

//go:embed *.json
var files embed.FS

// Files are the built-in definitions, all in one folder.
func Files() fs.FS { return files }

// Load reads every *.json file at the root of each file system, in name order. A later
// resource replaces an earlier one of the same type and url (for those without a url:
// type and id) and takes its place in the order. An error names the file.
func Load(fsys ...fs.FS) ([]*fhir.Node, error) {
	var nodes []*fhir.Node
	place := map[string]int{}
	for _, f := range fsys {
		names, err := fs.Glob(f, "*.json")
		if err != nil { // a constant pattern: cannot happen
			panic(err)
		}
		for _, name := range names {
			n, err := read(f, name)
			if err != nil {
				return nil, fmt.Errorf("definition %s: %w", path.Base(name), err)
			}
			key := n.Str("resourceType") + " " + n.Str("url")
			if n.Str("url") == "" {
				key = n.Str("resourceType") + "/" + n.Str("id")
			}
			if i, known := place[key]; known {
				nodes[i] = n
				continue
			}
			place[key] = len(nodes)
			nodes = append(nodes, n)
		}
	}
	return nodes, nil
}

func read(f fs.FS, name string) (*fhir.Node, error) {
	data, err := fs.ReadFile(f, name)
	if err != nil {
		return nil, err
	}
	n, err := fhir.Parse(data)
	switch {
	case err != nil:
		return nil, err
	case n.Str("resourceType") == "":
		return nil, fmt.Errorf("no resourceType: this is not a FHIR resource")
	case !fhir.ValidID(n.Str("id")):
		return nil, fmt.Errorf("no valid id")
	}
	return n, nil
}
