package search

import (
	"html"
	"strings"

	"aftercare/fhir"
)

// texts adds the rows that _text and _content look in
// (https://hl7.org/fhir/R4/search.html#content): the words of the narrative, and all texts that
// the resource has, contained ones included. Left out of those are what the server sets (id,
// version, time), data in base64, in which there are no words, and the URIs that say what an
// extension or a code is, which are up to half of the words: they are the same in most resources, so
// they tell none apart.
func (x *extraction) texts(t *typeEntries) error {
	var all []string
	contentOf(x.root, "", 0, &all)
	for _, row := range []struct{ code, text string }{
		{contentCode, strings.Join(all, " ")},
		{textCode, plainText(x.root.Str("text", "div"))},
	} {
		e, text := t.byCode[row.code], Fold(row.text)
		if e == nil || text == "" {
			continue
		}
		x.entry, x.first, x.seen = e, len(x.rows), nil
		if err := x.add(Row{Value: text}); err != nil {
			return err
		}
	}
	return nil
}

// contentOf collects the texts in a node, which is a member of that name, so deep in the resource.
func contentOf(n *fhir.Node, name string, depth int, to *[]string) {
	switch n.Kind {
	case fhir.String:
		if name == "div" {
			*to = append(*to, plainText(n.Text))
		} else {
			*to = append(*to, n.Text)
		}
	case fhir.Array:
		for _, item := range n.Items {
			contentOf(item, name, depth, to)
		}
	case fhir.Object:
		for _, m := range n.Members {
			switch {
			case m.Name == "url" && (name == "extension" || name == "modifierExtension"), m.Name == "system" && strings.Contains(m.Value.Text, ":"):
			case m.Name == "resourceType", m.Name == "data", m.Name == "valueBase64Binary",
				depth == 0 && m.Name == "id", depth == 1 && name == "meta" && (m.Name == "versionId" || m.Name == "lastUpdated"):
			default:
				contentOf(m.Value, m.Name, depth+1, to)
			}
		}
	}
}

// plainText is XHTML without tags and comments, and with its entities as characters.
func plainText(xhtml string) string {
	var b strings.Builder
	for xhtml != "" {
		text, rest, tag := strings.Cut(xhtml, "<")
		b.WriteString(text)
		if !tag {
			break
		}
		b.WriteByte(' ')
		end := ">"
		if strings.HasPrefix(rest, "!--") {
			end = "-->"
		}
		if _, xhtml, tag = strings.Cut(rest, end); !tag {
			break
		}
	}
	return html.UnescapeString(b.String())
}
