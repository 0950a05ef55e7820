package service

import (
	"errors"
	"html"
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
//
// A reference to a version means the entry with that fullUrl and that meta.versionId
// (https://hl7.org/fhir/R4/bundle.html#references). Where the entry makes a new resource,
// the reference becomes one to the version that is stored. Other references to versions
// stay as they are: what an update replaces has versions of its own, here or elsewhere.
func (s *Service) fill(found *resolution) error {
	found.ids = found.targets()
	inBundle := slices.ContainsFunc(found.ws, func(w *write) bool { return w.entry != "" })
	for i, w := range found.ws {
		if w.node == nil || found.contents[i] != nil {
			continue
		}
		c, err := s.content(w, found.ids, inBundle)
		if err != nil {
			return w.placed(err)
		}
		if !found.finds(i) {
			if err := s.mayStore(found.by, w, found.id(i), c); err != nil {
				return w.placed(err)
			}
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
		if rewritten, err = rewrite(w.node, w.links, resolve, w.inNarrative(resolve)); err != nil {
			return nil, err
		}
	}
	for _, l := range w.links {
		if inBundle && l.Kind == validate.LinkNarrative && strings.Contains(l.Node.Text, "urn:uuid:") && slices.ContainsFunc(narrativeTargets(l.Node.Text), func(target string) bool {
			return strings.HasPrefix(target, "urn:uuid:") && !w.kept[target] && resolve(target) == ""
		}) {
			return nil, fhir.Errorf(fhir.BadRequest, "not-found", l.Expression, "No entry of the Bundle has the urn:uuid of a link in this narrative as its fullUrl.")
		}
		if l.Kind != validate.LinkReference {
			continue
		}
		target := l.Node.Text
		if to := resolve(target); to != "" {
			target = to
		} else if inBundle && strings.HasPrefix(target, "urn:") && !w.kept[target] {
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
	if w.kept[link] {
		return ""
	}
	if to := ids[link]; to != "" {
		return to
	}
	if !strings.HasPrefix(w.fullURL, "http") {
		return ""
	}
	if !fhir.ParseReference(link, "").Local() {
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
// the result. Without any it returns n itself. Elements of type uuid and oid stay: no other
// value than a urn would be valid.
func rewrite(n *fhir.Node, links []validate.Link, resolve, inNarrative func(string) string) (*fhir.Node, error) {
	var out []byte
	done := 0
	for _, l := range links {
		text := l.Node.Text
		switch l.Kind {
		case validate.LinkUUID, validate.LinkOID:
		case validate.LinkNarrative:
			text = rewriteNarrative(text, inNarrative)
		default:
			if to := resolve(text); to != "" {
				text = to
			}
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

// inNarrative is resolve for the links of a narrative. One that looks like a conditional
// reference may be a link to a search, so it is one only where the resource refers by it too.
func (w *write) inNarrative(resolve func(string) string) func(string) string {
	return func(link string) string {
		typ, _, isQuery := strings.Cut(link, "?")
		if _, served := fhir.Served(typ); isQuery && served && !slices.ContainsFunc(w.links, func(l validate.Link) bool {
			return l.Kind == validate.LinkReference && l.Node.Text == link
		}) {
			return ""
		}
		return resolve(link)
	}
}

var narrativeLink = regexp.MustCompile(`\b(?:href|src)\s*=\s*(?:"[^"]*"|'[^']*')`)

// rewriteNarrative replaces links and image sources, <a href="…"> and <img src="…">, up to
// the fragment.
func rewriteNarrative(div string, resolve func(string) string) string {
	return narrativeLink.ReplaceAllStringFunc(div, func(attribute string) string {
		start := strings.IndexAny(attribute, `"'`) + 1
		link := attribute[start : len(attribute)-1]
		target, _, _ := strings.Cut(link, "#")
		if to := resolve(html.UnescapeString(target)); to != "" {
			return attribute[:start] + to + link[len(target):] + attribute[len(attribute)-1:]
		}
		return attribute
	})
}

// narrativeTargets are the links and image sources of a narrative, without fragments.
func narrativeTargets(div string) []string {
	var out []string
	rewriteNarrative(div, func(target string) string {
		out = append(out, target)
		return ""
	})
	return out
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

// inURL is at for the places that an error has in a URL alone.
func inURL(err error, place string) error {
	var e *fhir.Error
	if !errors.As(err, &e) || !slices.ContainsFunc(e.Issues, func(i fhir.Issue) bool {
		return len(i.Expression) > 0 && strings.HasPrefix(i.Expression[0], "http.")
	}) {
		return err
	}
	return at(err, place)
}

// ofAnswer places an error that tells of a resource in an operation's answer, which is not
// what was sent: the place becomes a part of the text.
func ofAnswer(err error, place string) error {
	var e *fhir.Error
	if !errors.As(err, &e) {
		return err
	}
	placed := *e
	placed.Issues = make([]fhir.Issue, len(e.Issues))
	for i, issue := range e.Issues {
		if len(issue.Expression) > 0 {
			issue.Text += " (" + strings.Join(issue.Expression, ", ") + ")"
		}
		issue.Expression = []string{place}
		placed.Issues[i] = issue
	}
	return &placed
}

// placed makes an error's places those of the Bundle entry that the write comes from. Where a
// patch or an operation made the content, it is not what was sent: its place becomes a part
// of the text.
func (w *write) placed(err error) error {
	var e *fhir.Error
	if w.change == nil || w.entry == "" || !errors.As(err, &e) {
		return inEntry(err, w.entry)
	}
	placed := *e
	placed.Issues = slices.Clone(e.Issues)
	for i, issue := range e.Issues {
		if len(issue.Expression) == 0 || strings.HasPrefix(issue.Expression[0], "Parameters.") || strings.HasPrefix(issue.Expression[0], w.entry) {
			continue
		}
		place := w.entry + ".resource"
		if issue.Expression[0][0] == '[' { // in a JSON Patch
			place += ".data"
		}
		placed.Issues[i].Text += " (" + strings.Join(issue.Expression, ", ") + ")"
		placed.Issues[i].Expression = []string{place}
	}
	return inEntry(&placed, w.entry)
}

// inEntry makes an error's places those of a Bundle entry, where a parameter of a URL
// ("http.name") is a part of request.url.
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
			switch {
			case strings.HasPrefix(place, "http."):
				place = entry + ".request.url"
			case !strings.HasPrefix(place, entry):
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
