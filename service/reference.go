package service

import (
	"errors"
	"slices"
	"strings"

	"aftercare/fhir"
	"aftercare/fhir/validate"

	"github.com/go-json-experiment/json/jsontext"
)

func hasConditions(ws []*write) bool {
	for _, w := range ws {
		if w.condition != nil {
			return true
		}
		for _, l := range w.links {
			if _, _, ok := conditionalReference(l); ok {
				return true
			}
		}
	}
	return false
}

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

// contents makes every write's resource ready for the store: references to other
// entries and conditional references become "Type/id", and the index rows are extracted.
func (s *Service) contents(ws []*write, found resolution) ([]content, error) {
	ids := make(map[string]string, len(ws)+len(found.references))
	for conditional, ref := range found.references {
		ids[conditional] = ref
	}
	inBundle := false
	for i, w := range ws {
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
	out := make([]content, len(ws))
	for i, w := range ws {
		if w.node == nil {
			continue
		}
		var err error
		if out[i], err = s.content(w, ids, inBundle); err != nil {
			return nil, inEntry(err, w.entry)
		}
	}
	return out, nil
}

func (s *Service) content(w *write, ids map[string]string, inBundle bool) (content, error) {
	var c content
	rewritten, err := rewrite(w.node, w.links, ids)
	if err != nil {
		return c, err
	}
	for _, l := range w.links {
		if l.Kind != validate.LinkReference {
			continue
		}
		target := l.Node.Text
		if to := ids[target]; to != "" {
			target = to
		} else if inBundle && strings.HasPrefix(target, "urn:") {
			return c, fhir.Errorf(fhir.BadRequest, "not-found", l.Expression, "No entry of the Bundle has this reference as its fullUrl.")
		}
		ref := fhir.ParseReference(target, s.baseURL)
		if target != l.Node.Text && s.checkTypes && len(l.Targets) > 0 && !slices.Contains(l.Targets, ref.Type) {
			return c, fhir.Errorf(fhir.BadRequest, "value", l.Expression, "This must refer to %s.", strings.Join(l.Targets, " or "))
		}
		if ref.Local() {
			c.local = append(c.local, localReference{ref.Type, ref.ID, l.Expression})
		}
	}
	c.draft = fhir.NewDraft(rewritten)
	if c.rows, err = s.registry.Extract(rewritten, s.zone, s.baseURL); err != nil {
		return c, err
	}
	return c, nil
}

// rewrite replaces the links that ids names, in the text of the resource, and parses the
// result. Without any it returns n itself.
func rewrite(n *fhir.Node, links []validate.Link, ids map[string]string) (*fhir.Node, error) {
	if len(ids) == 0 {
		return n, nil
	}
	var out []byte
	done := 0
	for _, l := range links {
		text := l.Node.Text
		if l.Kind == validate.LinkNarrative {
			text = rewriteNarrative(text, ids)
		} else if to := ids[text]; to != "" {
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

// rewriteNarrative replaces links and image sources, <a href="…"> and <img src="…">.
func rewriteNarrative(div string, ids map[string]string) string {
	if !strings.Contains(div, "href=") && !strings.Contains(div, "src=") {
		return div
	}
	for from, to := range ids {
		for _, quote := range []string{`"`, `'`} {
			div = strings.ReplaceAll(div, "="+quote+from+quote, "="+quote+to+quote)
		}
	}
	return div
}

// at adds a place to an error that has none.
func at(err error, place string) error {
	var e *fhir.Error
	if place == "" || !errors.As(err, &e) {
		return err
	}
	placed := *e
	placed.Issues = make([]fhir.Issue, len(e.Issues))
	for i, issue := range e.Issues {
		if len(issue.Expression) == 0 {
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
