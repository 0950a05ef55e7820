package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// goPackage is what "go list -json" tells of a package; tests are left out of Imports.
type goPackage struct {
	ImportPath string
	Dir        string
	Imports    []string
	GoFiles    []string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var packages []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// inside reports whether path is prefix or lies below it.
func inside(path, prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }

func insideAny(path string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return inside(path, prefix) })
}

// Some libraries are known in one place, so that replacing one changes one place.
func TestLibrariesStayInTheirPackage(t *testing.T) {
	rules := []struct {
		libraries []string
		home      []string
		missing   bool // not in use yet
		reason    string
	}{
		{[]string{"github.com/gin-gonic/gin"}, []string{"aftercare/api"}, false,
			"HTTP routing is the API's affair; the interactions must be usable without a web server"},
		{[]string{"github.com/golang-jwt/jwt/v5"}, []string{"aftercare/api/auth"}, false,
			"one place decides what a valid token is"},
		{[]string{"database/sql", "modernc.org/sqlite", "github.com/jackc/pgx", "github.com/pressly/goose", "github.com/XSAM/otelsql"}, []string{"aftercare/service/store"}, false,
			"SQL outside of the store would bypass versions, transactions and the choice of engine"},
		{[]string{"github.com/gofhir/fhirpath"}, []string{"aftercare/fhir/path"}, false,
			"the library has known faults, which fhir/path alone works around"},
		{[]string{"gonum.org/v1/plot"}, []string{"aftercare/service/course/chart"}, false,
			"what is drawn can be read without knowing how"},
		{[]string{"github.com/spf13/cobra"}, []string{"aftercare"}, false,
			"the command line belongs to the program"},
		{[]string{"go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters", "github.com/prometheus/client_golang"}, []string{"aftercare"}, false,
			"packages record through the OpenTelemetry API; the program decides where it goes"},
	}
	packages := listPackages(t)
	for _, rule := range rules {
		used := false
		for _, p := range packages {
			for _, imported := range p.Imports {
				if !insideAny(imported, rule.libraries) {
					continue
				}
				used = true
				if home := rule.home; !slices.Contains(home, p.ImportPath) && (home[0] == "aftercare" || !insideAny(p.ImportPath, home)) {
					t.Errorf("%s imports %s, which belongs to %v: %s", p.ImportPath, imported, rule.home, rule.reason)
				}
			}
		}
		if used == rule.missing {
			t.Errorf("the rule for %v is out of date: used is %t", rule.libraries, used)
		}
	}
}

// The layers, from the outside in. A package may import its own layer's and those of the
// layers after it.
func TestImportsGoOneWay(t *testing.T) {
	layers := []struct{ name, root string }{
		{"main", "aftercare"}, {"api", "aftercare/api"}, {"service", "aftercare/service"},
		{"service's parts", "aftercare/service/"}, {"definitions", "aftercare/definitions"},
		{"fhir's parts", "aftercare/fhir/"}, {"fhir", "aftercare/fhir"},
	}
	layerOf := func(path string) int {
		for i, l := range layers {
			if path == l.root || strings.HasSuffix(l.root, "/") && strings.HasPrefix(path, l.root) {
				return i
			}
		}
		if inside(path, "aftercare/api") {
			return 1
		}
		return -1
	}
	found := map[int]bool{}
	for _, p := range listPackages(t) {
		from := layerOf(p.ImportPath)
		found[from] = true
		for _, imported := range p.Imports {
			if to := layerOf(imported); from >= 0 && to >= 0 && to < from {
				t.Errorf("%s (%s) imports %s (%s): imports go from the outside in, so that what is inside can be read and tested alone",
					p.ImportPath, layers[from].name, imported, layers[to].name)
			}
			if from > 0 && imported == "aftercare/config" {
				t.Errorf("%s imports config: settings are handed over as values by main", p.ImportPath)
			}
		}
	}
	for i, l := range layers {
		if !found[i] {
			t.Errorf("there is no package in layer %s any more", l.name)
		}
	}
}

// What holds the standard's and the clinic's rules does no input or output.
func TestRulesDoNoIO(t *testing.T) {
	const reason = "the same resource must give the same answer on every machine"
	io := []string{"os", "os/exec", "net", "database/sql", "syscall", "log", "log/slog"}
	for _, p := range listPackages(t) {
		if !insideAny(p.ImportPath, []string{"aftercare/fhir", "aftercare/service/careplan", "aftercare/service/course", "aftercare/service/form"}) {
			continue
		}
		for _, imported := range p.Imports {
			if slices.Contains(io, imported) {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, reason)
			}
		}
		for _, name := range p.GoFiles {
			for _, use := range selectors(t, filepath.Join(p.Dir, name)) {
				// The names of methods and statuses are words of the standard, not HTTP.
				word, ok := strings.CutPrefix(use, "http.")
				if ok && !strings.HasPrefix(word, "Status") && !strings.HasPrefix(word, "Method") {
					t.Errorf("%s/%s uses %s: %s", p.ImportPath, name, use, reason)
				}
			}
		}
	}
}

// Some calls are made in one place only.
func TestCallsStayInTheirPackage(t *testing.T) {
	rules := []struct {
		functions []string
		allowed   func(path string) bool
		reason    string
	}{
		{[]string{"os.Getenv", "os.LookupEnv", "os.Environ", "os.ExpandEnv"},
			func(path string) bool { return path == "aftercare" },
			"main alone reads the environment; everything else is given values"},
		{[]string{"time.Now", "time.Since", "time.Until"},
			func(path string) bool {
				return !inside(path, "aftercare/fhir") && !inside(path, "aftercare/service/careplan")
			},
			"what follows from a resource must not depend on the hour at which it is asked"},
		{[]string{"os.Exit", "log.Fatal", "log.Fatalf"},
			func(path string) bool { return path == "aftercare" },
			"the program ends in main alone, after everything was closed"},
	}
	for _, p := range listPackages(t) {
		for _, name := range p.GoFiles {
			for _, call := range selectors(t, filepath.Join(p.Dir, name)) {
				for _, rule := range rules {
					if slices.Contains(rule.functions, call) && !rule.allowed(p.ImportPath) && !generator(p.ImportPath) {
						t.Errorf("%s/%s uses %s: %s", p.ImportPath, name, call, rule.reason)
					}
				}
			}
		}
	}
	if got := selectors(t, "main.go"); !slices.Contains(got, "os.Environ") {
		t.Error("selectors does not find os.Environ in main.go, so this test cannot fail")
	}
}

// generator reports whether a package is for developers only: commands that make tables, and
// what tests run on.
func generator(path string) bool {
	return inside(path, "aftercare/scripts") || inside(path, "aftercare/bench") || inside(path, "aftercare/service/store/postgrestest")
}

// selectors are the "package.Name" expressions of a file, by the imports' own names.
func selectors(t *testing.T, file string) (found []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, spec := range parsed.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		name := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			names[spec.Name.Name] = name
		} else {
			names[name] = name
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && names[x.Name] != "" {
				found = append(found, names[x.Name]+"."+s.Sel.Name)
			}
		}
		return true
	})
	return found
}

// Packages say what they are for, and none is a place for anything.
func TestPackagesAreNamedAndDescribed(t *testing.T) {
	for _, p := range listPackages(t) {
		described := false
		for _, name := range p.GoFiles {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			described = described || parsed.Doc != nil
		}
		if !described && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
		switch base := p.ImportPath[strings.LastIndex(p.ImportPath, "/")+1:]; base {
		case "util", "utils", "common", "helpers", "models", "types", "mocks":
			t.Errorf("%s: a package is named for what it provides", p.ImportPath)
		}
	}
}
