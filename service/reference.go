package service

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/validate"

	"github.com/go-json-experiment/json/jsontext"
)

// conditionalReference splits "Patient?identifier=…"
// (https://hl7.org/fhir/R4/http.html#trules).
func conditionalReference(l validate.Link) (typ, query string, ok bool) {
	if l.Kind != validate.LinkReference {
		return "", "", false
	}
	typ, query, ok = strings.Cut(l.Node.Text, "?")
	if _, served := fhir.Served(typ); !ok || !served {
		return "", "", false
	}
	return typ, query, true
}

// fill makes the contents that a resolution lacks ready for the store: references to other
// entries and conditional references become "Type/id", and the index rows are extracted.
func (s *Service) fill(found *resolution) error {
	ids := make(map[string]string, len(found.ws)+len(found.references))
	for conditional, ref := range found.references {
		ids[conditional] = ref
	}
	inBundle := false
	for i, w := range found.ws {
		ref := w.ref()
		if r := found.match(i); r != nil {
			ref = r.Ref()
		}
		if w.entry != "" {
			inBundle = true
		}
		if w.fullURL != "" {
			ids[w.fullURL] = ref
		}
	}
	for i, w := range found.ws {
		if w.node == nil || found.contents[i] != nil {
			continue
		}
		c, err := s.content(w, ids, inBundle)
		if err != nil {
			return inEntry(err, w.entry)
		}
		found.contents[i] = c
	}
	return nil
}

func (s *Service) content(w *write, ids map[string]string, inBundle bool) (*content, error) {
	c := &content{}
	resolve := func(link string) string { return resolveLink(w, link, ids) }
	rewritten, err := w.node, error(nil)
	if len(ids) > 0 {
		if rewritten, err = rewrite(w.node, w.links, resolve); err != nil {
			return nil, err
		}
	}
	for _, l := range w.links {
		if l.Kind != validate.LinkReference {
			continue
		}
		target := l.Node.Text
		if to := resolve(target); to != "" {
			target = to
		} else if inBundle && strings.HasPrefix(target, "urn:") {
			return nil, fhir.Errorf(fhir.BadRequest, "not-found", l.Expression, "No entry of the Bundle has this reference as its fullUrl.")
		}
		ref := fhir.ParseReference(target, s.baseURL)
		if target != l.Node.Text && s.checkTypes && len(l.Targets) > 0 && !slices.Contains(l.Targets, ref.Type) {
			return nil, fhir.Errorf(fhir.BadRequest, "value", l.Expression, "This must refer to %s.", strings.Join(l.Targets, " or "))
		}
		if ref.Local() {
			c.local = append(c.local, localReference{ref.Type, ref.ID, l.Expression})
		}
	}
	c.draft = fhir.NewDraft(rewritten)
	if c.rows, err = s.registry.Extract(rewritten, s.zone, s.baseURL); err != nil {
		return nil, err
	}
	return c, nil
}

// resolveLink is what the entries of a Bundle and its conditional references make of a
// link, "" for nothing. A relative reference means the entry whose fullUrl has the same
// root as that of the entry in which it stands
// (https://hl7.org/fhir/R4/bundle.html#references).
func resolveLink(w *write, link string, ids map[string]string) string {
	if to := ids[link]; to != "" {
		return to
	}
	if !strings.HasPrefix(w.fullURL, "http") {
		return ""
	}
	if ref := fhir.ParseReference(link, ""); !ref.Local() || ref.Version != "" {
		return ""
	}
	root, isOurs := w.fullURL, false
	for range 2 { // take off /Type/id
		if cut := strings.LastIndexByte(root, '/'); cut > 0 {
			isOurs = root[cut+1:] == w.typ
			root = root[:cut]
		}
	}
	if !isOurs {
		return ""
	}
	return ids[root+"/"+link]
}

// rewrite replaces the links that resolve knows, in the text of the resource, and parses
// the result. Without any it returns n itself.
func rewrite(n *fhir.Node, links []validate.Link, resolve func(string) string) (*fhir.Node, error) {
	var out []byte
	done := 0
	for _, l := range links {
		text := l.Node.Text
		if l.Kind == validate.LinkNarrative {
			text = rewriteNarrative(text, resolve)
		} else if to := resolve(text); to != "" {
			text = to
		}
		if text == l.Node.Text {
			continue
		}
		start := l.Node.Start - n.Start
		out = append(out, n.Raw[done:start]...)
		quoted, err := jsontext.AppendQuote(nil, text)
		if err != nil {
			return nil, err
		}
		out = append(out, quoted...)
		done = start + len(l.Node.Raw)
	}
	if out == nil {
		return n, nil
	}
	return fhir.Parse(append(out, n.Raw[done:]...))
}

var narrativeLink = regexp.MustCompile(`\b(?:href|src)\s*=\s*(?:"[^"]*"|'[^']*')`)

// rewriteNarrative replaces links and image sources, <a href="…"> and <img src="…">.
func rewriteNarrative(div string, resolve func(string) string) string {
	return narrativeLink.ReplaceAllStringFunc(div, func(attribute string) string {
		start := strings.IndexAny(attribute, `"'`) + 1
		if to := resolve(attribute[start : len(attribute)-1]); to != "" {
			return attribute[:start] + to + attribute[len(attribute)-1:]
		}
		return attribute
	})
}

// at adds a place to an error that has none, or has that of a parameter in a URL
// ("http.name"), which is not where this query stands.
func at(err error, place string) error {
	var e *fhir.Error
	if place == "" || !errors.As(err, &e) {
		return err
	}
	placed := *e
	placed.Issues = make([]fhir.Issue, len(e.Issues))
	for i, issue := range e.Issues {
		if len(issue.Expression) == 0 || strings.HasPrefix(issue.Expression[0], "http.") {
			issue.Expression = []string{place}
		}
		placed.Issues[i] = issue
	}
	return &placed
}

// inEntry makes an error's places those of a Bundle entry.
func inEntry(err error, entry string) error {
	var e *fhir.Error
	if entry == "" || !errors.As(err, &e) {
		return err
	}
	placed := *e
	placed.Issues = make([]fhir.Issue, len(e.Issues))
	for i, issue := range e.Issues {
		places := make([]string, 0, 1)
		for _, place := range issue.Expression {
			if !strings.HasPrefix(place, entry) {
				_, rest, _ := strings.Cut(place, ".")
				place = entry + ".resource." + rest
			}
			places = append(places, place)
		}
		if len(places) == 0 {
			places = append(places, entry)
		}
		issue.Expression = places
		placed.Issues[i] = issue
	}
	return &placed
}
