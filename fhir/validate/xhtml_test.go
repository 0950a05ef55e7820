package validate

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

func TestXHTML(t *testing.T) {
	root := func(inner string) string { return `<div xmlns="http://www.w3.org/1999/xhtml">` + inner + `</div>` }
	for _, c := range []struct {
		name, text string
		want       bool
	}{
		{"text", root("a"), true},
		{"white space around", " \n" + root("a") + "\n", true},
		{"entities", root("&lt;&amp;&apos;&nbsp;&eacute;&#233;&#xE9;"), true},
		{"comment", root("<!-- a <b -->a"), true},
		{"empty elements", root("<br/><hr />a"), true},
		{"only an image", root(`<img src="#a" alt=""/>`), true},
		{"image from data", root(`<img src="data:image/png;base64,QUJD"/>`), true},
		{"attributes", root(`<p class='a' style = "x" xml:lang="en">a</p >`), true},
		{"link", root(`<a href="https://example.org/?a=1&amp;b=2" title="on">a</a>`), true},
		{"namespace among others", `<div lang="en" xmlns='http://www.w3.org/1999/xhtml'>a</div>`, true},

		{"nothing", "", false},
		{"plain text", "a", false},
		{"another root", `<p xmlns="http://www.w3.org/1999/xhtml">a</p>`, false},
		{"divider is not div", `<divider xmlns="http://www.w3.org/1999/xhtml">a</divider>`, false},
		{"two roots", root("a") + root("b"), false},
		{"text after it", root("a") + "b", false},
		{"no content", root(" \n"), false},
		{"self-closed", `<div xmlns="http://www.w3.org/1999/xhtml"/>`, false},
		{"no namespace", `<div>a</div>`, false},
		{"wrong namespace", `<div xmlns="http://www.w3.org/1999/html">a</div>`, false},
		{"namespace inside only", `<div><p xmlns="http://www.w3.org/1999/xhtml">a</p></div>`, false},
		{"crossed tags", root("<b><i>a</b></i>"), false},
		{"not closed", root("<b>a"), false},
		{"end without start", root("a</b>"), false},
		{"upper case", root("<B>a</B>"), false},
		{"bare ampersand", root("a & b"), false},
		{"unknown entity", root("&nosuch;"), false},
		{"zero character", root("&#0;"), false},
		{"control character by reference", root("&#1;"), false},
		{"control character", root("a\x01"), false},
		{"attribute without quotes", root("<p class=a>a</p>"), false},
		{"attribute without value", root("<p hidden>a</p>"), false},
		{"attribute twice", root(`<p class="a" class="b">a</p>`), false},
		{"attributes glued", root(`<p class="a"id="b">a</p>`), false},
		{"less-than in attribute", root(`<p class="<">a</p>`), false},
		{"cdata", root("<![CDATA[a]]>"), false},
		{"doctype", "<!DOCTYPE html>" + root("a"), false},
		{"processing instruction", root("<?php a ?>"), false},
		{"comment with --", root("<!-- a -- b -->a"), false},
		{"comment never closed", root("<!-- a"), false},
		{"script", root("<script>a</script>"), false},
		{"style element", root("<style>a</style>"), false},
		{"form", root("<form>a</form>"), false},
		{"iframe", root(`<iframe src="a"/>a`), false},
		{"object", root("<object>a</object>"), false},
		{"svg", root(`<svg xmlns="http://www.w3.org/2000/svg">a</svg>`), false},
		{"event", root(`<p onclick="a">a</p>`), false},
		{"event in other case", root(`<p ONload="a">a</p>`), false},
		{"script link", root(`<a href="javascript:a">a</a>`), false},
		{"script link in disguise", root(`<a href=" jAva&#x73;cript&#58;a">a</a>`), false},
		{"script link with line end", root("<a href=\"java\nscript:a\">a</a>"), false},
		{"page in a link", root(`<a href="data:text/html,a">a</a>`), false},
		{"cut short", `<div xmlns="http://www.w3.org/1999/xhtml`, false},
		{"a tag cut short", `<div xmlns="http://www.w3.org/1999/xhtml">a</di`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			problem := checkXHTML(c.text)
			if (problem == "") != c.want {
				t.Errorf("%s: %q", c.text, problem)
			}
		})
	}
}

// FuzzXHTML holds what is accepted against encoding/xml.
func FuzzXHTML(f *testing.F) {
	for _, s := range []string{"a", "<b>a</b>", "<br/>&nbsp;a", `<a href="x" title='y'>&#233;</a>`, "<!-- c -->a", "]]>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, inner string) {
		text := `<div xmlns="http://www.w3.org/1999/xhtml">` + inner + `</div>`
		if strings.ToValidUTF8(text, "") != text || checkXHTML(text) != "" {
			return
		}
		d := xml.NewDecoder(strings.NewReader(text))
		d.Entity = xml.HTMLEntity
		for {
			token, err := d.Token()
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Fatalf("%q was accepted: %v", text, err)
			}
			if e, ok := token.(xml.StartElement); ok && !xhtmlElements[e.Name.Local] {
				t.Fatalf("%q was accepted with element %s", text, e.Name.Local)
			}
		}
	})
}
