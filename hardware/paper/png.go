package paper

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"

	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/font/opentype"
	"golang.org/x/image/vector"
)

// PNG draws the document at dpi dots an inch, 36 to 600, for screens and tests.
func (d *Document) PNG(dpi float64) ([]byte, error) {
	if !(dpi >= 36 && dpi <= 600) {
		return nil, fmt.Errorf("couldn't draw the picture: %.0f dots an inch, want 36 to 600", dpi)
	}
	scale := dpi / 72
	width, height := int(math.Ceil(d.width*scale)), int(math.Ceil(d.height*scale))
	img := image.NewGray(image.Rect(0, 0, width, height))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	for _, o := range d.ops {
		ink := image.NewUniform(color.Gray{Y: uint8(math.Round(o.gray * 255))})
		if o.word == nil {
			r := image.Rect(int(math.Round(o.x*scale)), int(math.Round((d.height-o.y-o.h)*scale)), int(math.Round((o.x+o.w)*scale)), int(math.Round((d.height-o.y)*scale)))
			if r.Dy() == 0 {
				r.Max.Y++
			}
			draw.Draw(img, r, ink, image.Point{}, draw.Src)
			continue
		}
		d.drawWord(img, o, scale, ink)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("couldn't encode the picture: %w", err)
	}
	return b.Bytes(), nil
}

// drawWord rasterises a word in a box of its own: one rasteriser for a whole page
// would be slow.
func (d *Document) drawWord(img *image.Gray, o op, scale float64, ink image.Image) {
	k := o.size / o.face.upem * scale
	box := image.Rect(int(o.x*scale)-int(o.size*scale), int((d.height-o.y-1.4*o.size)*scale), int(o.x*scale+float64(o.word.advance)*k)+int(o.size*scale)+1, int((d.height-o.y+0.8*o.size)*scale)+1).Intersect(img.Bounds())
	if box.Empty() {
		return
	}
	r := vector.NewRasterizer(box.Dx(), box.Dy())
	x, y := o.x*scale-float64(box.Min.X), (d.height-o.y)*scale-float64(box.Min.Y)
	for _, c := range o.word.clusters {
		for _, g := range c.glyphs {
			outline, _ := o.face.face.GlyphData(g.id).(font.GlyphOutline)
			trace(r, outline, x+float64(g.xOffset)*k, y-float64(g.yOffset)*k, k)
			x += float64(g.advance) * k
		}
	}
	r.Draw(img, box, ink, image.Point{})
}

func trace(r *vector.Rasterizer, o font.GlyphOutline, x, y, k float64) {
	at := func(p opentype.SegmentPoint) (float32, float32) {
		return float32(x + float64(p.X)*k), float32(y - float64(p.Y)*k)
	}
	open := false
	for _, s := range o.Segments {
		ax, ay := at(s.Args[0])
		bx, by := at(s.Args[1])
		switch s.Op {
		case opentype.SegmentOpMoveTo:
			if open {
				r.ClosePath()
			}
			r.MoveTo(ax, ay)
			open = true
		case opentype.SegmentOpLineTo:
			r.LineTo(ax, ay)
		case opentype.SegmentOpQuadTo:
			r.QuadTo(ax, ay, bx, by)
		case opentype.SegmentOpCubeTo:
			cx, cy := at(s.Args[2])
			r.CubeTo(ax, ay, bx, by, cx, cy)
		}
	}
	if open {
		r.ClosePath()
	}
}
