package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"image/color"
	"image/png"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"aftercare/definitions"
	"aftercare/fhir"
	"aftercare/service/course"
)

var update = flag.Bool("update", false, "write the golden files")

func day(n int) time.Time { return time.Date(2026, 3, 2+n, 0, 0, 0, 0, time.UTC) }

func series(a *course.Anchor, site, code string, values ...float64) *course.Series {
	s := &course.Series{Anchor: a, SiteName: site, Code: course.Coding{System: "s", Code: code}, Name: "Pain score, 0 to 10", Limits: &[2]float64{0, 10}}
	for i, v := range values {
		s.Points = append(s.Points, course.Point{Day: day(1 + 9*i), Number: v})
	}
	return s
}

func anchor(title string) *course.Anchor {
	return &course.Anchor{
		Title: title, Operations: []course.Operation{{Day: day(0)}},
		Windows: []course.Window{{Name: "Osseointegration", Start: day(42), End: day(92)}, {Name: "Watch for pain where muscle joins bone", Start: day(92), End: day(184)}, {Name: "Watch for a nerve that has grown", Start: day(92)}},
	}
}

// spoken are the words that the definitions have.
func spoken(t testing.TB) course.Words {
	t.Helper()
	builtIn, err := definitions.Load(definitions.Files())
	if err != nil {
		t.Fatal(err)
	}
	rules, err := course.Read(builtIn, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return rules.Words()
}

func sample() course.Course {
	a := anchor("Osseointegration aftercare, left femur")
	first := series(a, "Missing part of the limb", "1", 9, 8, 8, 7, 7, 6, 6, 5, 4, 4, 3, 3)
	first.Trend = &course.Trend{Slope: -0.42, Low: -0.5, High: -0.31}
	second := series(a, "Where muscle joins bone", "1", 2, 3, 2, 4, 6, 5)
	second.Points[2].Flags = []string{course.SeveralAnchors}
	line := series(a, "", "2", 70, 62, 55)
	line.Limits, line.Unit, line.Name = nil, "mm", "Pain on a visual analogue scale"
	none := series(nil, "Skin opening", "1", 4)
	return course.Course{Series: []*course.Series{first, second, line, none}}
}

// embedded is the font in an SVG, which the golden files do without.
var embedded = regexp.MustCompile(`base64,[A-Za-z0-9+/=]+`)

func TestGolden(t *testing.T) {
	for name, c := range map[string]course.Course{"sample": sample(), "empty": {}} {
		t.Run(name, func(t *testing.T) {
			body, err := Draw(c, spoken(t), SVG)
			if err != nil {
				t.Fatal(err)
			}
			got := embedded.ReplaceAll(body, []byte("base64,"))
			file := "testdata/" + name + ".svg"
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s differs (%v); run with -update and read the difference", file, err)
			}
		})
	}
}

// The drawing is XML, brings its font along, and every colour in it is a grey.
func TestSVGIsReadableWithoutColour(t *testing.T) {
	body, err := Draw(sample(), spoken(t), SVG)
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(body)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !embedded.Match(body) {
		t.Error("there is no font in it")
	}
	for _, c := range regexp.MustCompile(`#([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})\b`).FindAllStringSubmatch(string(embedded.ReplaceAll(body, nil)), -1) {
		if c[1] != c[2] || c[2] != c[3] {
			t.Errorf("colour %s", c[0])
		}
	}
	if limit := 1 << 20; len(body) > limit {
		t.Errorf("%d bytes", len(body))
	}
}

func TestPNG(t *testing.T) {
	body, err := Draw(sample(), spoken(t), PNG)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if w := img.Bounds().Dx(); w != 960 {
		t.Errorf("%d pixels wide", w)
	}
	dark := 0
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			if c.R != c.G || c.G != c.B {
				t.Fatalf("colour %v at %d,%d", c, x, y)
			}
			if c.R < 100 {
				dark++
			}
		}
	}
	if dark < 1000 {
		t.Errorf("%d dark pixels", dark)
	}
}

func TestTheSameCourseGivesTheSameBytes(t *testing.T) {
	for _, typ := range []string{SVG, PNG} {
		want, err := Draw(sample(), spoken(t), typ)
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if got, err := Draw(sample(), spoken(t), typ); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s differs: %v", typ, err)
				}
			})
		}
		all.Wait()
	}
}

func TestTextsOfRecordsDoNoHarm(t *testing.T) {
	c := course.Course{Series: []*course.Series{series(anchor("<script>alert(1)</script> & \x01\"'"), strings.Repeat("ä<", 500), "1", 3, 4)}}
	body, err := Draw(c, spoken(t), SVG)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(body), "<script") || strings.Contains(string(body), "\x01") || strings.Count(string(body), "ä") > maxWords {
		t.Error("a text of a record is not made harmless")
	}
	for d := xml.NewDecoder(bytes.NewReader(body)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestExtremesAreDrawn(t *testing.T) {
	flat := series(nil, "x", "1", 4)
	flat.Limits = nil
	wide := series(anchor("a"), "x", "1", 4, 5)
	wide.Points[0].Day, wide.Points[1].Day = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	huge := series(anchor("a"), "x", "1", -1e300, 1e300)
	huge.Limits = nil
	for name, s := range map[string]*course.Series{"one point": flat, "ten thousand years": wide, "large numbers": huge} {
		t.Run(name, func(t *testing.T) {
			for _, typ := range []string{SVG, PNG} {
				if body, err := Draw(course.Course{Series: []*course.Series{s}}, spoken(t), typ); err != nil || len(body) > 4<<20 {
					t.Errorf("%d bytes, %v", len(body), err)
				}
			}
		})
	}
}

func TestTooMuchIsRefused(t *testing.T) {
	var panels, lines course.Course
	a := anchor("a")
	for i := range maxPanels + 1 {
		panels.Series = append(panels.Series, series(a, "x", fmt.Sprint(i), 1))
	}
	for i := range maxLines + 1 {
		lines.Series = append(lines.Series, series(a, fmt.Sprint(i), "1", 1))
	}
	for _, c := range []course.Course{panels, lines} {
		if _, err := Draw(c, spoken(t), SVG); fhir.KindOf(err) != fhir.Unprocessable || err == nil {
			t.Errorf("got %v", err)
		}
	}
	panels.Series, lines.Series = panels.Series[1:], lines.Series[1:]
	for _, c := range []course.Course{panels, lines} {
		if _, err := Draw(c, spoken(t), PNG); err != nil {
			t.Error(err)
		}
	}
}
