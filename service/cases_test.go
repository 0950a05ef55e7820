package service

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aftercare/definitions"
	"aftercare/fhir"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite what the cases in testdata/cases lead to")

// event is one message of a case: a Bundle, or a resource that is put under its id.
type event struct {
	name string
	node *fhir.Node
}

// A folder in testdata/cases is a case: messages in the order of their file names, and in want
// what the service holds after them. See the README there.
func TestCases(t *testing.T) {
	for name, events := range cases(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, siteOf(t, name))
			var told []string
			for _, e := range events {
				told = append(told, e.name)
				told = append(told, s.receive(t, e)...)
			}
			want := filepath.Join(casesFolder, name, "want")
			golden(t, want, "told.txt", []byte(strings.Join(told, "\n")+"\n"))
			made := s.made(t, events)
			for _, typ := range fhir.ServedTypes() {
				golden(t, want, typ.Name+".json", laidOut(t, made[typ.Name]))
			}
			for _, e := range events { // a system that sends everything again
				if !e.edits() {
					s.receive(t, e)
				}
			}
			if diff := cmp.Diff(inForce(t, made), inForce(t, s.made(t, events))); diff != "" && !corrects(events) {
				t.Errorf("sent again:\n%s", diff)
			}
		})
	}
}

const casesFolder = "../testdata/cases"

// cases are the messages of each case.
func cases(t *testing.T) map[string][]event {
	t.Helper()
	found := map[string][]event{}
	files, err := filepath.Glob(filepath.Join(casesFolder, "*", "[0-9]*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files { // in the order of their names
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n, err := fhir.Parse(data)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		name := filepath.Base(filepath.Dir(file))
		found[name] = append(found[name], event{strings.TrimSuffix(filepath.Base(file), ".json"), n})
	}
	return found
}

// siteOf gives a service the definitions of the hospital of a case, if it has any.
func siteOf(t *testing.T, name string) func(*Options) {
	t.Helper()
	return func(o *Options) {
		defs, err := definitions.Load(definitions.Files(), os.DirFS(filepath.Join(casesFolder, name, "definitions")))
		if err != nil {
			t.Fatal(err)
		}
		o.Definitions = defs
	}
}

// receive runs a message, and says what its sender is told: the resource, the severity and the
// code of each issue.
func (s *Service) receive(t *testing.T, e event) []string {
	t.Helper()
	var told []string
	if e.node.Str("resourceType") != "Bundle" {
		w, err := s.Update(t.Context(), Anonymous, e.node.Str("resourceType"), e.node.Str("id"), e.node.Raw, Preconditions{})
		if err != nil {
			t.Fatalf("%s: %v", e.name, err)
		}
		for _, issue := range w.Issues {
			told = append(told, fmt.Sprintf("  %s %s %s", w.Resource.Ref(), issue.Severity, issue.Detail))
		}
		return told
	}
	out, err := s.Process(t.Context(), Anonymous, e.node.Raw, "")
	if err != nil {
		t.Fatalf("%s: %v", e.name, err)
	}
	n, err := fhir.Parse(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range n.Each("entry", "response") {
		ref := fhir.ParseReference(entry.Str("location"), base)
		for _, issue := range entry.Each("outcome", "issue") {
			for _, code := range issue.Each("details", "coding", "code") {
				told = append(told, fmt.Sprintf("  %s/%s %s %s", ref.Type, ref.ID, issue.Str("severity"), code.Text))
			}
		}
	}
	return told
}

// made are the resources that the service keeps by itself, by type and then id: all of the types
// that derivations write, and others of which no message is.
func (s *Service) made(t *testing.T, events []event) map[string][]*fhir.Node {
	t.Helper()
	leave := map[string]bool{"Provenance": true}
	for _, e := range events {
		for _, ref := range e.writes() {
			typ, _, _ := strings.Cut(ref, "/")
			leave[typ] = true
		}
	}
	for _, o := range s.protocols.Outputs() {
		leave[o.Type] = false
	}
	found := map[string][]*fhir.Node{}
	for _, typ := range fhir.ServedTypes() {
		if leave[typ.Name] {
			continue
		}
		for _, body := range s.find(t, typ.Name, "") {
			n, err := fhir.Parse(body)
			if err != nil {
				t.Fatal(err)
			}
			if !s.provided[typ.Name+"/"+n.Str("id")] {
				found[typ.Name] = append(found[typ.Name], n)
			}
		}
		slices.SortFunc(found[typ.Name], func(a, b *fhir.Node) int { return strings.Compare(a.Str("id"), b.Str("id")) })
	}
	return found
}

// writes are the resources that a message writes, as "Type/id", or "Type/" where the service
// chooses the id.
func (e event) writes() []string {
	if typ := e.node.Str("resourceType"); typ != "Bundle" {
		return []string{typ + "/" + e.node.Str("id")}
	}
	var refs []string
	for _, entry := range e.node.Each("entry") {
		url, _, _ := strings.Cut(entry.Str("request", "url"), "?")
		if entry.Str("request", "method") != "PUT" {
			url = strings.TrimSuffix(url, "/") + "/"
		}
		refs = append(refs, url)
	}
	return refs
}

// edits reports that a message changes what is there, and so means something only after what
// came before it.
func (e event) edits() bool {
	for _, entry := range e.node.Each("entry", "request") {
		if method := entry.Str("method"); method == "PATCH" || method == "DELETE" {
			return true
		}
	}
	return false
}

// corrects reports that a resource is sent more than once, or edited.
func corrects(events []event) bool {
	seen := map[string]bool{}
	for _, e := range events {
		for _, ref := range e.writes() {
			if seen[ref] && !strings.HasSuffix(ref, "/") || e.edits() {
				return true
			}
			seen[ref] = true
		}
	}
	return false
}

// inForce are the resources without those that are closed or on hold, as they are compared: whether
// something that was closed was ever there depends on the order of messages. So does the id of
// what was made for another site at first; the identifier does not. What people are told of a
// change, and what took the place of what, is there only where the change was seen.
func inForce(t *testing.T, made map[string][]*fhir.Node) string {
	t.Helper()
	var open []*fhir.Node
	var names []string
	for _, typ := range fhir.ServedTypes() {
		if typ.Name == "CommunicationRequest" {
			continue
		}
		slices.SortFunc(made[typ.Name], func(a, b *fhir.Node) int {
			return strings.Compare(string(a.Get("identifier").Raw), string(b.Get("identifier").Raw))
		})
		for _, n := range made[typ.Name] {
			for _, id := range n.Each("identifier", "value")[:1] {
				names = append(names, `"id": "`+n.Str("id")+`"`, `"id": "`+id.Text+`"`, "/"+n.Str("id")+`"`, "/"+id.Text+`"`)
			}
			n.Members = slices.DeleteFunc(slices.Clone(n.Members), func(m fhir.Member) bool { return m.Name == "previous" })
			switch n.Str("status") + n.Str("lifecycleStatus") {
			case "revoked", "cancelled", "entered-in-error", "inactive", "on-hold":
			default:
				open = append(open, n)
			}
		}
	}
	return strings.NewReplacer(names...).Replace(string(laidOut(t, open)))
}

// constant are members that are the same in every case: they come from the definitions, and the
// golden files of testdata/surgery have them.
var constant = []string{
	"meta", "language", "author", "category", "instantiatesCanonical", "kind", "description", "intent",
	"performerType", "requester", "priority", "measure",
}

// laidOut writes resources as a JSON list, for readers of differences: each thing in a list has
// a line, and what is the same in every case is left out.
func laidOut(t *testing.T, nodes []*fhir.Node) []byte {
	t.Helper()
	if len(nodes) == 0 {
		return nil
	}
	var b bytes.Buffer
	for i, n := range nodes {
		b.WriteString([]string{"[{", "}, {"}[min(i, 1)])
		first := true
		for _, m := range n.Members {
			value := essential(t, m.Value, n.Str("resourceType"))
			if value == nil || m.Name == "text" || slices.Contains(constant, m.Name) {
				continue
			}
			if !first {
				b.WriteString(",")
			}
			first = false
			fmt.Fprintf(&b, "\n  %q: ", m.Name)
			list, several := value.([]any)
			if !several {
				b.Write(encoded(t, value))
				continue
			}
			for k, item := range list {
				fmt.Fprintf(&b, "%s\n    %s", []string{"[", ","}[min(k, 1)], encoded(t, item))
			}
			b.WriteString("\n  ]")
		}
		b.WriteString("\n")
	}
	b.WriteString("}]\n")
	return b.Bytes()
}

// essential is a value without the members that are the same in every case, nil if nothing is left.
func essential(t *testing.T, n *fhir.Node, typ string) any {
	t.Helper()
	switch n.Kind {
	case fhir.Array:
		var list []any
		for _, item := range n.Items {
			if v := essential(t, item, typ); v != nil {
				list = append(list, v)
			}
		}
		if list == nil {
			return nil
		}
		return list
	case fhir.Object:
		if url := n.Str("url"); strings.HasSuffix(url, "/source-fact") || strings.HasSuffix(url, "/policy") || strings.HasSuffix(url, "/written") || strings.HasSuffix(url, "/policy-code") || n.Str("valueCode") == "basis" {
			return nil
		}
		out := map[string]any{}
		for _, m := range n.Members {
			codeOf := m.Name == "code" && m.Value.Kind == fhir.Object && typ == "CarePlan" // of an activity
			if v := essential(t, m.Value, typ); v != nil && !codeOf && !slices.Contains(constant, m.Name) {
				out[m.Name] = v
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	}
	return json.RawMessage(n.Raw)
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

// golden holds got against a file, or writes it.
func golden(t *testing.T, folder, name string, got []byte) {
	t.Helper()
	file := filepath.Join(folder, name)
	if *update {
		_ = os.Remove(file)
		if len(got) == 0 {
			return
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil && (len(got) > 0 || !os.IsNotExist(err)) {
		t.Errorf("%v; there is now\n%s", err, got)
		return
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs; rewrite it with go test ./service -run TestCases -update and read git diff\n%s", name, diff)
	}
}
