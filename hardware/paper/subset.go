package paper

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sort"

	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/font/opentype"
)

// subset is a font program with only the glyphs in use: the tables that a PDF reader
// needs to draw outlines, without those for laying out text.
type subset struct {
	program []byte
	gids    map[font.GID]uint16 // old to new
	widths  map[font.GID]int    // in font units
}

// makeSubset keeps the glyphs and the components that they are made of.
func makeSubset(f *face, used []font.GID) (*subset, error) {
	ld, err := opentype.NewLoader(bytes.NewReader(f.raw))
	if err != nil {
		return nil, fmt.Errorf("couldn't read the font %s: %w", f.name, err)
	}
	t := tables{ld: ld}
	head, maxp, hhea := t.get("head"), t.get("maxp"), t.get("hhea")
	t.loca, t.glyf, t.hmtx = t.get("loca"), t.get("glyf"), t.get("hmtx")
	if t.err != nil || len(head) < 54 || len(maxp) < 6 || len(hhea) < 36 {
		return nil, fmt.Errorf("couldn't read the font %s: a table is missing: %w", f.name, t.err)
	}
	t.long = binary.BigEndian.Uint16(head[50:]) == 1
	t.metrics = int(binary.BigEndian.Uint16(hhea[34:]))
	order, err := t.closure(used)
	if err != nil {
		return nil, fmt.Errorf("font %s: %w", f.name, err)
	}
	s := &subset{gids: map[font.GID]uint16{}, widths: map[font.GID]int{}}
	for i, g := range order {
		s.gids[g] = uint16(i)
	}
	var glyf, loca, hmtx []byte
	for _, g := range order {
		loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
		data, err := t.remapped(g, s.gids)
		if err != nil {
			return nil, fmt.Errorf("font %s: %w", f.name, err)
		}
		glyf = append(glyf, data...)
		for len(glyf)%4 != 0 {
			glyf = append(glyf, 0)
		}
		advance, bearing := t.metric(g)
		s.widths[g] = int(advance)
		hmtx = binary.BigEndian.AppendUint16(hmtx, advance)
		hmtx = binary.BigEndian.AppendUint16(hmtx, bearing)
	}
	loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
	head, maxp, hhea = bytes.Clone(head), bytes.Clone(maxp), bytes.Clone(hhea)
	binary.BigEndian.PutUint32(head[8:], 0)
	binary.BigEndian.PutUint16(head[50:], 1)
	binary.BigEndian.PutUint16(maxp[4:], uint16(len(order)))
	binary.BigEndian.PutUint16(hhea[34:], uint16(len(order)))
	parts := map[string][]byte{"head": head, "maxp": maxp, "hhea": hhea, "glyf": glyf, "loca": loca, "hmtx": hmtx}
	for _, tag := range []string{"cvt ", "fpgm", "prep"} {
		if b, err := ld.RawTable(opentype.MustNewTag(tag)); err == nil {
			parts[tag] = b
		}
	}
	s.program = assemble(parts)
	return s, nil
}

type tables struct {
	ld               *opentype.Loader
	loca, glyf, hmtx []byte
	long             bool
	metrics          int
	err              error
}

func (t *tables) get(tag string) []byte {
	b, err := t.ld.RawTable(opentype.MustNewTag(tag))
	if err != nil && t.err == nil {
		t.err = err
	}
	return b
}

func (t *tables) glyph(g font.GID) ([]byte, error) {
	var from, to uint32
	if t.long {
		if int(g)*4+8 > len(t.loca) {
			return nil, fmt.Errorf("no glyph %d", g)
		}
		from, to = binary.BigEndian.Uint32(t.loca[g*4:]), binary.BigEndian.Uint32(t.loca[g*4+4:])
	} else {
		if int(g)*2+4 > len(t.loca) {
			return nil, fmt.Errorf("no glyph %d", g)
		}
		from, to = 2*uint32(binary.BigEndian.Uint16(t.loca[g*2:])), 2*uint32(binary.BigEndian.Uint16(t.loca[g*2+2:]))
	}
	if from > to || int(to) > len(t.glyf) {
		return nil, fmt.Errorf("glyph %d lies outside its table", g)
	}
	return t.glyf[from:to], nil
}

func (t *tables) metric(g font.GID) (advance, bearing uint16) {
	if int(g) < t.metrics {
		return binary.BigEndian.Uint16(t.hmtx[g*4:]), binary.BigEndian.Uint16(t.hmtx[g*4+2:])
	}
	last := t.hmtx[t.metrics*4-4:]
	return binary.BigEndian.Uint16(last), binary.BigEndian.Uint16(t.hmtx[t.metrics*4+2*(int(g)-t.metrics):])
}

// Flags of a composite glyph's component (OpenType, glyf).
const (
	argsAreWords   = 0x0001
	haveScale      = 0x0008
	moreComponents = 0x0020
	haveXYScale    = 0x0040
	haveTwoByTwo   = 0x0080
)

// components calls f with the place of each component's glyph number.
func components(data []byte, f func(at int)) error {
	if len(data) < 10 || int16(binary.BigEndian.Uint16(data)) >= 0 {
		return nil
	}
	for at := 10; ; {
		if at+4 > len(data) {
			return fmt.Errorf("a composite glyph is cut short")
		}
		flags := binary.BigEndian.Uint16(data[at:])
		f(at + 2)
		at += 6
		if flags&argsAreWords != 0 {
			at += 2
		}
		switch {
		case flags&haveScale != 0:
			at += 2
		case flags&haveXYScale != 0:
			at += 4
		case flags&haveTwoByTwo != 0:
			at += 8
		}
		if flags&moreComponents == 0 {
			return nil
		}
	}
}

// closure lists .notdef, the used glyphs and everything they are made of, in order.
func (t *tables) closure(used []font.GID) ([]font.GID, error) {
	in := map[font.GID]bool{0: true}
	todo := append([]font.GID{0}, used...)
	for len(todo) > 0 {
		g := todo[0]
		todo = todo[1:]
		in[g] = true
		data, err := t.glyph(g)
		if err != nil {
			return nil, err
		}
		err = components(data, func(at int) {
			if c := font.GID(binary.BigEndian.Uint16(data[at:])); !in[c] {
				in[c] = true
				todo = append(todo, c)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	var order []font.GID
	for g := range in {
		order = append(order, g)
	}
	sort.Slice(order, func(i, j int) bool { return order[i] < order[j] })
	return order, nil
}

func (t *tables) remapped(g font.GID, gids map[font.GID]uint16) ([]byte, error) {
	data, err := t.glyph(g)
	if err != nil {
		return nil, err
	}
	data = bytes.Clone(data)
	err = components(data, func(at int) {
		binary.BigEndian.PutUint16(data[at:], gids[font.GID(binary.BigEndian.Uint16(data[at:]))])
	})
	return data, err
}

// assemble writes an sfnt file.
func assemble(parts map[string][]byte) []byte {
	var tags []string
	for tag := range parts {
		tags = append(tags, tag)
	}
	sort.Strings(tags)
	n := len(tags)
	pow, log := 1, 0
	for pow*2 <= n {
		pow, log = pow*2, log+1
	}
	out := []byte{0, 1, 0, 0}
	for _, v := range []int{n, pow * 16, log, n*16 - pow*16} {
		out = binary.BigEndian.AppendUint16(out, uint16(v))
	}
	offset := 12 + 16*n
	var body []byte
	headAt := 0
	for _, tag := range tags {
		data := parts[tag]
		if tag == "head" {
			headAt = offset + len(body)
		}
		out = append(out, tag...)
		out = binary.BigEndian.AppendUint32(out, checksum(data))
		out = binary.BigEndian.AppendUint32(out, uint32(offset+len(body)))
		out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
		body = append(body, data...)
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
	}
	out = append(out, body...)
	binary.BigEndian.PutUint32(out[headAt+8:], 0xB1B0AFBA-checksum(out))
	return out
}

func checksum(b []byte) uint32 {
	var sum uint32
	for ; len(b) >= 4; b = b[4:] {
		sum += binary.BigEndian.Uint32(b)
	}
	if len(b) > 0 {
		var last [4]byte
		copy(last[:], b)
		sum += binary.BigEndian.Uint32(last[:])
	}
	return sum
}
