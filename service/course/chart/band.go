package chart

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// band is a window: an outlined and hatched span of days over the whole height.
type band struct {
	hatch     int
	low, high float64
}

var (
	outline = draw.LineStyle{Color: color.Gray{Y: 90}, Width: 0.75}
	hatched = draw.LineStyle{Color: color.Gray{Y: 170}, Width: 0.5}
)

// Plot implements plot.Plotter.
func (b *band) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	left, right := max(x(b.low), c.Min.X), min(x(b.high), c.Max.X)
	if left < right {
		b.fill(c, left, right, c.Min.Y, c.Max.Y)
	}
}

// Thumbnail implements plot.Thumbnailer.
func (b *band) Thumbnail(c *draw.Canvas) { b.fill(*c, c.Min.X, c.Max.X, c.Min.Y, c.Max.Y) }

// The hatchings, told apart by direction and distance.
var hatchings = []struct {
	dx, dy, step vg.Length
}{{1, 1, 6}, {1, -1, 6}, {0, 1, 6}, {1, 0, 6}, {1, 1, 12}, {1, -1, 12}}

func (b *band) fill(c draw.Canvas, left, right, bottom, top vg.Length) {
	h := hatchings[b.hatch%len(hatchings)]
	inside := draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{Min: vg.Point{X: left, Y: bottom}, Max: vg.Point{X: right, Y: top}}}
	w, height := right-left, top-bottom
	switch {
	case h.dx == 0:
		for x := left; x < right; x += h.step {
			c.StrokeLine2(hatched, x, bottom, x, top)
		}
	case h.dy == 0:
		for y := bottom; y < top; y += h.step {
			c.StrokeLine2(hatched, left, y, right, y)
		}
	default:
		for d := -height; d < w+height; d += h.step { // where the line is at the bottom
			line := []vg.Point{{X: left + d, Y: bottom}, {X: left + d + height, Y: top}}
			if h.dy < 0 {
				line = []vg.Point{{X: left + d, Y: top}, {X: left + d + height, Y: bottom}}
			}
			c.StrokeLines(hatched, inside.ClipLinesXY(line)...)
		}
	}
	c.StrokeLines(outline, []vg.Point{{X: left, Y: bottom}, {X: left, Y: top}, {X: right, Y: top}, {X: right, Y: bottom}, {X: left, Y: bottom}})
}
