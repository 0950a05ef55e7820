package validate

import (
	"encoding/xml"
	"html"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// xhtmlNamespace must be that of the div of a narrative.
const xhtmlNamespace = "http://www.w3.org/1999/xhtml"

// xhtmlElements are the elements that a narrative may use: those of HTML 4.0 chapters 7
// to 11 (without section 4 of chapter 9) and 15, links and images; no active content
// (https://hl7.org/fhir/R4/narrative.html#xhtml).
var xhtmlElements = func() map[string]bool {
	names := map[string]bool{}
	for _, n := range strings.Fields(`
		a abbr acronym address area b bdo big blockquote br caption center cite code col
		colgroup dd dfn div dl dt em font h1 h2 h3 h4 h5 h6 hr i img kbd li map ol p pre
		q s samp small span strike strong sub sup table tbody td tfoot th thead tr tt u
		ul var`) {
		names[n] = true
	}
	return names
}()

// checkXHTML says what is wrong with the div of a narrative: "" if it is well-formed
// XML of one div in the XHTML namespace that shows something, without active content
// (invariants txt-1 and txt-2). Nothing of the content is repeated.
func checkXHTML(s string) string {
	x := xhtml{rest: strings.TrimSpace(s)}
	if !strings.HasPrefix(x.rest, "<div") {
		return "The narrative must be one div element."
	}
	for first := true; first || len(x.open) > 0; first = false {
		if problem := x.next(); problem != "" {
			return problem
		}
	}
	switch {
	case x.rest != "":
		return "The narrative must be one div element, with nothing after it."
	case !x.shows:
		return "txt-2: The narrative must have some content that can be seen."
	}
	return ""
}

const notWellFormed = "The narrative must be well-formed XHTML: "

type xhtml struct {
	rest  string
	open  []string // names of the elements that are open
	shows bool     // there was text or an image
}

// next reads text and the markup after it.
func (x *xhtml) next() string {
	at := strings.IndexByte(x.rest, '<')
	if at < 0 {
		return notWellFormed + "an element is not closed."
	}
	if text := x.rest[:at]; text != "" {
		x.shows = x.shows || strings.TrimSpace(text) != ""
		if strings.Contains(text, "]]>") {
			return notWellFormed + "]]> must be escaped."
		}
		if problem := checkText(text); problem != "" {
			return problem
		}
	}
	x.rest = x.rest[at:]
	switch {
	case strings.HasPrefix(x.rest, "<!--"):
		end := strings.Index(x.rest[4:], "--")
		if end < 0 || !strings.HasPrefix(x.rest[4+end:], "-->") {
			return notWellFormed + "a comment is not closed."
		}
		if !visible(x.rest[4 : 4+end]) {
			return notWellFormed + "a character is not allowed."
		}
		x.rest = x.rest[4+end+3:]
		return ""
	case strings.HasPrefix(x.rest, "<!"), strings.HasPrefix(x.rest, "<?"):
		return "The narrative must not have declarations, CDATA sections or processing instructions."
	case strings.HasPrefix(x.rest, "</"):
		return x.end()
	default:
		return x.start()
	}
}

func (x *xhtml) end() string {
	name, rest := cutName(x.rest[2:])
	rest = strings.TrimLeft(rest, " \t\r\n")
	if name == "" || rest == "" || rest[0] != '>' || len(x.open) == 0 || x.open[len(x.open)-1] != name {
		return notWellFormed + "an end tag does not fit."
	}
	x.open = x.open[:len(x.open)-1]
	x.rest = rest[1:]
	return ""
}

func (x *xhtml) start() string {
	name, rest := cutName(x.rest[1:])
	if !xhtmlElements[name] {
		return "txt-1: The narrative must only have the formatting elements, links and images of XHTML, in lower case."
	}
	var room [8]string
	names := room[:0]
	namespace := len(x.open) > 0
	for {
		after := strings.TrimLeft(rest, " \t\r\n")
		switch {
		case strings.HasPrefix(after, "/>"), strings.HasPrefix(after, ">"):
			if !namespace {
				return "The div of the narrative must have the namespace " + xhtmlNamespace + "."
			}
			x.shows = x.shows || name == "img"
			if after[0] == '>' {
				x.open = append(x.open, name)
				x.rest = after[1:]
			} else {
				x.rest = after[2:]
			}
			return ""
		case len(after) == len(rest):
			return notWellFormed + "a start tag is malformed."
		}
		attribute, value, tail, ok := cutAttribute(after)
		if !ok || slices.Contains(names, attribute) {
			return notWellFormed + "an attribute is malformed or given twice."
		}
		if problem := checkText(value); problem != "" {
			return problem
		}
		switch {
		case attribute == "xmlns" && value != xhtmlNamespace:
			return "The narrative must have no namespace but " + xhtmlNamespace + "."
		case attribute == "xmlns":
			namespace = true
		case active(attribute, value):
			return "txt-1: The narrative must have no active content."
		}
		names = append(names, attribute)
		rest = tail
	}
}

// cutName takes an XML name in ASCII off s; "" if there is none.
func cutName(s string) (name, rest string) {
	i := 0
	for i < len(s) {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && s[i] != '_' && (i == 0 || s[i] != '-' && s[i] != ':' && s[i] != '.' && (s[i] < '0' || s[i] > '9')) {
			break
		}
		i++
	}
	return s[:i], s[i:]
}

func cutAttribute(s string) (name, value, rest string, ok bool) {
	name, rest = cutName(s)
	rest = strings.TrimLeft(rest, " \t\r\n")
	if name == "" || rest == "" || rest[0] != '=' {
		return "", "", "", false
	}
	rest = strings.TrimLeft(rest[1:], " \t\r\n")
	if rest == "" || rest[0] != '"' && rest[0] != '\'' {
		return "", "", "", false
	}
	value, rest, ok = strings.Cut(rest[1:], rest[:1])
	return name, value, rest, ok && !strings.Contains(value, "<")
}

// active tells whether an attribute could run something in a browser.
func active(name, value string) bool {
	name = strings.ToLower(name)
	if strings.HasPrefix(name, "on") || strings.HasPrefix(name, "xlink:") || name == "xml:base" {
		return true
	}
	if name != "href" && name != "src" && name != "style" && name != "background" && name != "longdesc" && name != "cite" {
		return false
	}
	bare := strings.Map(func(r rune) rune {
		if r <= ' ' {
			return -1
		}
		return r
	}, strings.ToLower(html.UnescapeString(value)))
	return strings.Contains(bare, "javascript:") || strings.Contains(bare, "vbscript:") ||
		strings.HasPrefix(bare, "data:text") || strings.HasPrefix(bare, "data:application")
}

// checkText checks characters and entities.
func checkText(s string) string {
	if !visible(s) {
		return notWellFormed + "a character is not allowed."
	}
	for {
		_, after, found := strings.Cut(s, "&")
		if !found {
			return ""
		}
		name, rest, closed := strings.Cut(after, ";")
		if !closed || !entity(name) {
			return notWellFormed + "an & does not begin an entity."
		}
		s = rest
	}
}

// entity tells whether &name; is one of XML or HTML 4, or stands for a character of XML.
func entity(name string) bool {
	number, isReference := strings.CutPrefix(name, "#")
	if !isReference {
		return name == "apos" || xml.HTMLEntity[name] != "" || slices.Contains([]string{"lt", "gt", "amp", "quot"}, name)
	}
	base := 10
	if hex, ok := strings.CutPrefix(number, "x"); ok {
		number, base = hex, 16
	}
	r, err := strconv.ParseUint(number, base, 31)
	return err == nil && r != 0 && utf8.ValidRune(rune(r)) && visible(string(rune(r)))
}

// visible tells whether all characters are allowed in XML 1.0.
func visible(s string) bool {
	for _, r := range s {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return false
		}
	}
	return true
}
