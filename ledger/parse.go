package ledger

import "fmt"

// This file reads the two forms of which there are millions, the envelope of an
// entry and the run, without reflection and without copying. It accepts and refuses
// exactly what the door to CBOR does, and the fuzz tests hold the two together.
// What it refuses goes through the door, which says why.

// ParseEntry is DecodeEntry without a copy: the entry's Body lies in b.
func ParseEntry(b []byte) (Entry, error) {
	if len(b) > EntryMaxBytes {
		return Entry{}, fmt.Errorf("%w entry: %d bytes, the limit is %d", ErrMalformed, len(b), EntryMaxBytes)
	}
	c := canonical{b: b}
	if e, ok := c.entry(); ok {
		return e, nil
	}
	if err := decodeEntryByDoor(b, new(Entry)); err != nil {
		return Entry{}, err
	}
	return Entry{}, fmt.Errorf("%w entry: unreadable at byte %d", ErrMalformed, c.at)
}

// Envelope reads kind and time of an entry that was read whole before, and leaves
// its body unread: Body is nil.
func Envelope(b []byte) (Entry, error) {
	c := canonical{b: b}
	if e, ok := c.envelope(); ok {
		return e, nil
	}
	return ParseEntry(b)
}

// decodeEntryByDoor reads an envelope as any other value is read.
func decodeEntryByDoor(b []byte, e *Entry) error {
	if err := Decode(b, e); err != nil {
		return err
	}
	if len(e.Body) == 0 || e.Body[0]>>5 != majorMap {
		return fmt.Errorf("%w entry: the body is not a map", ErrMalformed)
	}
	if e.Time.Quality > TimeNetwork {
		return fmt.Errorf("%w entry: time quality %d", ErrMalformed, e.Time.Quality)
	}
	if e.Time.WallMs > WallMaxMs {
		return fmt.Errorf("%w entry: time %d ms, the limit is %d", ErrMalformed, e.Time.WallMs, uint64(WallMaxMs))
	}
	return nil
}

// parseRun reads a run whose entries lie in b; the envelopes are not read yet.
func parseRun(b []byte) (Run, error) {
	c := canonical{b: b}
	if r, ok := c.run(); ok {
		return r, nil
	}
	if err := Decode(b, new(Run)); err != nil {
		return Run{}, err
	}
	return Run{}, fmt.Errorf("%w run: unreadable at byte %d", ErrMalformed, c.at)
}

// entry reads {0: kind, 1: [wall, quality, boot], 2: body} and nothing after it
// (LEDGER.md §4.1, §5).
func (c *canonical) entry() (e Entry, ok bool) {
	if e, ok = c.envelope(); !ok {
		return e, false
	}
	start := c.at
	if start == len(c.b) || c.b[start]>>5 != majorMap || c.value(1) != nil {
		return e, false
	}
	e.Body = c.b[start:c.at:c.at]
	return e, c.at == len(c.b)
}

// envelope reads what stands before an entry's body.
func (c *canonical) envelope() (e Entry, ok bool) {
	if !c.exactly(0xa3) || !c.exactly(0x00) {
		return e, false
	}
	kind, ok := c.number(1<<16 - 1)
	if !ok || !c.exactly(0x01) || !c.exactly(0x83) {
		return e, false
	}
	e.Kind = Kind(kind)
	if e.Time.WallMs, ok = c.number(WallMaxMs); !ok {
		return e, false
	}
	quality, ok := c.number(uint64(TimeNetwork))
	if !ok {
		return e, false
	}
	e.Time.Quality = TimeQuality(quality)
	e.Time.BootMs, ok = c.number(1<<63 - 1)
	return e, ok && c.exactly(0x02)
}

// run reads [log, first, branch, entries, [size, root, signature]] and nothing
// after it (LEDGER.md §9.1).
func (c *canonical) run() (r Run, ok bool) {
	if !c.exactly(0x85) || !c.fixed(r.Log[:]) {
		return r, false
	}
	if r.First, ok = c.number(1<<63 - 1); !ok || !c.fixed(r.Branch[:]) {
		return r, false
	}
	if r.Entries, ok = c.strings(); !ok || !c.exactly(0x83) {
		return r, false
	}
	if r.End.Size, ok = c.number(1<<63 - 1); !ok || !c.fixed(r.End.Root[:]) || !c.fixed(r.End.Sig[:]) {
		return r, false
	}
	return r, c.at == len(c.b)
}

// exactly reads one byte that can only be this one.
func (c *canonical) exactly(want byte) bool {
	if c.at >= len(c.b) || c.b[c.at] != want {
		return false
	}
	c.at++
	return true
}

// number reads an unsigned integer of at most most.
func (c *canonical) number(most uint64) (uint64, bool) {
	major, n, err := c.head()
	return n, err == nil && major == majorUint && n <= most
}

// bytes reads a byte string, which lies in the value read.
func (c *canonical) bytes() ([]byte, bool) {
	major, n, err := c.head()
	if err != nil || major != majorBytes || n > uint64(len(c.b)-c.at) {
		return nil, false
	}
	start := c.at
	c.at += int(n)
	return c.b[start:c.at:c.at], true
}

// fixed reads a byte string of the length of to.
func (c *canonical) fixed(to []byte) bool {
	b, ok := c.bytes()
	return ok && len(b) == copy(to, b) && len(b) == len(to)
}

// strings reads an array of byte strings.
func (c *canonical) strings() ([][]byte, bool) {
	major, n, err := c.head()
	if err != nil || major != majorArray || n > canonicalItemsMax || n > uint64(len(c.b)-c.at) {
		return nil, false
	}
	out := make([][]byte, n)
	for i := range out {
		var ok bool
		if out[i], ok = c.bytes(); !ok {
			return nil, false
		}
	}
	return out, true
}
