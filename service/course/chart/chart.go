// Package chart draws a course of pain: a panel for each anchor and scale, one below the other, and
// in it a line for each site, by days. It is made to be read without colour: lines differ by marker and
// dashes, windows by their hatching. It shows no name of a patient. The same course gives the
// same bytes; the font is drawn from the binary, and is part of an SVG.
package chart

import (
	"bytes"
	"image/color"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"aftercare/fhir"
	"aftercare/service/course"
)

// The media types that can be drawn.
const (
	SVG = "image/svg+xml"
	PNG = "image/png"
)

// What a drawing has at most; more cannot be told apart.
const (
	maxPanels = 6
	maxLines  = 8
)

const (
	width  = 720 * vg.Length(1) // points
	height = 240 * vg.Length(1) // of the plot of a panel
	row    = 15 * vg.Length(1)  // of a legend
	dpi    = 96
)

// Draw draws a course as SVG or PNG, with the words of say. The error is of kind Unprocessable where there are too many
// panels or lines to be told apart.
func Draw(c course.Course, say course.Words, mediaType string) ([]byte, error) {
	panels, err := panelsOf(c, say)
	if err != nil {
		return nil, err
	}
	total := vg.Length(0)
	for _, p := range panels {
		total += p.height()
	}
	if len(panels) == 0 {
		total = 4 * row
	}
	var canvas interface {
		vg.CanvasSizer
		io.WriterTo
	}
	if mediaType == PNG {
		canvas = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, total), vgimg.UseDPI(dpi))}
	} else {
		canvas = vgsvg.NewWith(vgsvg.UseWH(width, total), vgsvg.EmbedFonts(true))
	}
	page := draw.New(canvas)
	page.FillPolygon(color.White, []vg.Point{{X: 0, Y: 0}, {X: width, Y: 0}, {X: width, Y: total}, {X: 0, Y: total}})
	if len(panels) == 0 {
		style := plot.New().Title.TextStyle
		style.Font = sans(12)
		page.FillText(style, vg.Point{X: row, Y: 2 * row}, say.Say("no-reports"))
	}
	top := total
	for _, p := range panels {
		area := draw.Crop(page, 8, -16, top-p.height(), top-total-4)
		p.draw(area)
		top -= p.height()
	}
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func sans(size vg.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

// panel is what is drawn in one system of axes.
type panel struct {
	series []*course.Series // of one anchor, scale and unit
	from   time.Time        // day 0 of the axis
	after  string           // the words for the days from then on
	say    course.Words
}

func panelsOf(c course.Course, say course.Words) ([]*panel, error) {
	var out []*panel
	for _, s := range c.Series {
		i := slices.IndexFunc(out, func(p *panel) bool {
			o := p.series[0]
			return o.Anchor == s.Anchor && o.Code == s.Code && o.Unit == s.Unit
		})
		if i < 0 {
			i = len(out)
			out = append(out, &panel{say: say})
		}
		out[i].series = append(out[i].series, s)
		if len(out) > maxPanels || len(out[i].series) > maxLines {
			return nil, fhir.Errorf(fhir.Unprocessable, "too-costly", "", "A drawing has at most %d charts of %d lines; ask for one code or for some sites.", maxPanels, maxLines)
		}
	}
	for _, p := range out {
		p.count()
	}
	return out, nil
}

// count finds day 0: the first operation, else the first report.
func (p *panel) count() {
	if a := p.series[0].Anchor; a != nil && !a.Day0().IsZero() {
		p.from, p.after = a.Day0(), "after-operation"
		return
	}
	p.after = "after-report"
	for _, s := range p.series {
		if first := s.Points[0].Day; p.from.IsZero() || first.Before(p.from) {
			p.from = first
		}
	}
}

func (p *panel) day(t time.Time) float64 { return t.Sub(p.from).Hours() / 24 }

func (p *panel) windows() []course.Window {
	if a := p.series[0].Anchor; a != nil && !a.Day0().IsZero() {
		return a.Windows
	}
	return nil
}

func (p *panel) height() vg.Length {
	return height + row*vg.Length(len(p.series)+len(p.windows())) + row
}

func (p *panel) title() string {
	title := p.say.Say("no-anchor")
	if a := p.series[0].Anchor; a != nil {
		title = a.Title
	}
	return words(title)
}

// span are the first and the last day of the reports, with room at the ends.
func (p *panel) span() (low, high float64) {
	low, high = p.day(p.series[0].Points[0].Day), p.day(p.series[0].Points[0].Day)
	for _, s := range p.series {
		low, high = min(low, p.day(s.Points[0].Day)), max(high, p.day(s.Points[len(s.Points)-1].Day))
	}
	low = min(low, 0)
	room := max((high-low)/50, 1)
	return low - room, high + room
}

func (p *panel) draw(area draw.Canvas) {
	pl := plot.New()
	pl.Title.Text, pl.Title.TextStyle.Font = p.title(), sans(12)
	pl.X.Label.Text, pl.Y.Label.Text = p.say.Say(p.after, "day", p.from.Format(time.DateOnly)), p.axis()
	for _, a := range []*plot.Axis{&pl.X, &pl.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font = sans(10), sans(9)
		a.Padding = 0
	}
	legend := plot.NewLegend()
	legend.Top, legend.Left, legend.TextStyle.Font, legend.ThumbnailWidth, legend.Padding = true, true, sans(10), 36, 2
	low, high := p.span()
	for i, w := range p.windows() {
		b := &band{hatch: i, low: low, high: high}
		if !w.Start.IsZero() {
			b.low = p.day(w.Start)
		}
		if !w.End.IsZero() {
			b.high = p.day(w.End) + 1
		}
		pl.Add(b)
		legend.Add(p.window(w), b)
	}
	for i, s := range p.series {
		l := p.line(s, i)
		pl.Add(l...)
		var thumbs []plot.Thumbnailer
		for _, one := range l {
			thumbs = append(thumbs, one.(plot.Thumbnailer))
		}
		legend.Add(p.label(s), thumbs...)
	}
	pl.X.Min, pl.X.Max = low, high
	if limits := p.series[0].Limits; limits != nil {
		pl.Y.Min, pl.Y.Max = limits[0], limits[1]
	} else if pl.Y.Min == pl.Y.Max {
		pl.Y.Min, pl.Y.Max = pl.Y.Min-1, pl.Y.Max+1
	}
	below := p.height() - height
	pl.Draw(draw.Crop(area, 0, 0, below, 0))
	legend.Draw(draw.Crop(area, 40, 0, 0, -height))
}

func (p *panel) axis() string {
	s := p.series[0]
	if s.Unit == "" {
		return words(s.Name)
	}
	return words(s.Name) + ", " + words(s.Unit)
}

// window names a window, with its days.
func (p *panel) window(w course.Window) string {
	code := "window-between"
	switch {
	case w.Start.IsZero() && w.End.IsZero():
		code = "window-any"
	case w.Start.IsZero():
		code = "window-until"
	case w.End.IsZero():
		code = "window-from"
	}
	return p.say.Say(code, "window", words(w.Name), "from", w.Start.Format(time.DateOnly), "to", w.End.Format(time.DateOnly))
}

// label names a line, with its trend.
func (p *panel) label(s *course.Series) string {
	text := words(s.SiteName)
	if text == "" {
		text = p.say.Say("no-site")
	}
	if t := s.Trend; t != nil {
		one := func(f float64) string { return strconv.FormatFloat(f+0, 'f', 1, 64) }
		text = p.say.Say("trend", "line", text, "slope", one(t.Slope), "low", one(t.Low), "high", one(t.High))
	}
	if slices.ContainsFunc(s.Points, func(p course.Point) bool { return slices.Contains(p.Flags, course.SeveralAnchors) }) {
		text = p.say.Say("some-without-side", "line", text)
	}
	return text
}

// maxWords bounds a text from the records, in characters.
const maxWords = 80

// words are the printable characters of a text, not too many.
func words(text string) string {
	clean := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text))
	if len(clean) > maxWords {
		clean = append(clean[:maxWords-1], '…')
	}
	return string(clean)
}

// The markers and dashes of lines, in points.
var (
	markers = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.BoxGlyph{}, draw.TriangleGlyph{}, draw.CrossGlyph{}, draw.PlusGlyph{}, draw.RingGlyph{}, draw.PyramidGlyph{}, draw.SquareGlyph{}}
	dashes  = [][]vg.Length{nil, {6, 3}, {2, 2}, {8, 3, 2, 3}, {12, 4}, {4, 2, 1, 2, 1, 2}, {1, 3}, {10, 2, 2, 2, 2, 2}}
)

// line is the line of a series and its markers.
func (p *panel) line(s *course.Series, i int) []plot.Plotter {
	var points plotter.XYs
	for _, one := range s.Points {
		points = append(points, plotter.XY{X: p.day(one.Day), Y: one.Number})
	}
	return []plot.Plotter{
		&plotter.Line{XYs: points, LineStyle: draw.LineStyle{Color: color.Black, Width: 1, Dashes: dashes[i%len(dashes)]}},
		&plotter.Scatter{XYs: points, GlyphStyle: draw.GlyphStyle{Color: color.Black, Radius: 3, Shape: markers[i%len(markers)]}},
	}
}
