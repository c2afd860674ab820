package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"rasid/ledger"
)

// DamageError says where a journal is not what was written. The remedy is another
// copy or a new incarnation, never to go on.
type DamageError struct {
	Path   string
	Offset int64
	Reason string
}

// Error names file, offset and reason.
func (e *DamageError) Error() string {
	return fmt.Sprintf("journal file %s is damaged at byte %d: %s; nothing was changed, and no older copy may take its place", e.Path, e.Offset, e.Reason)
}

// Torn is a last record that a crash cut short: nobody was told that it was
// durable.
type Torn struct {
	Path   string
	Offset int64
	Bytes  int64
	Reason string
}

// Recovery says what Open found.
type Recovery struct {
	Segments int
	Records  uint64 // batches
	Unsealed int    // of these, how many Begin has to copy
	Torn     *Torn  // a last record that Begin leaves behind, nil where there is none
}

// link is where a record, or a header, ends and what follows it must hold.
type link struct {
	end  int64
	hash ledger.Hash
}

// reader reads one journal from its first segment to its last.
type reader struct {
	j     *Journal
	rec   Recovery
	heads []header
	// of the last segment
	opening  int64
	safe     link     // the last record, or header, known to be durable
	last     link     // the last record that is intact, or the header
	unsealed [][]byte // batches after safe
	trims    map[string]int64
}

// list counts the segments, whose numbers must have no gap, and finds what a crash
// left of one that was about to begin.
func (j *Journal) list() (count uint32, leftovers []string, err error) {
	files, err := os.ReadDir(j.cfg.Dir) // sorted by name
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, nil, err
	}
	for _, f := range files {
		path := filepath.Join(j.cfg.Dir, f.Name())
		switch filepath.Ext(f.Name()) {
		case newSuffix:
			leftovers = append(leftovers, path)
		case suffix:
			digits := strings.TrimSuffix(f.Name(), suffix)
			n, err := strconv.ParseUint(digits, 10, 32)
			if err != nil || len(digits) != nameWidth {
				return 0, nil, &DamageError{Path: path, Reason: "its name is not eight digits"}
			}
			if uint32(n) != count+1 {
				return 0, nil, &DamageError{Path: j.path(count + 1), Reason: "the segment is missing, and later ones are there"}
			}
			count++
		}
	}
	return count, leftovers, nil
}

func (j *Journal) path(number uint32) string {
	return filepath.Join(j.cfg.Dir, fmt.Sprintf("%0*d%s", nameWidth, number, suffix))
}

func (r *reader) read(count uint32) error {
	r.rec.Segments = int(count)
	r.trims = map[string]int64{}
	// A header says where the segment before it ends, so all come first.
	for number := uint32(1); number <= count; number++ {
		h, err := r.header(number)
		if err != nil {
			return err
		}
		r.heads = append(r.heads, h)
	}
	for i := range r.heads {
		if err := r.segment(i); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) header(number uint32) (header, error) {
	path := r.j.path(number)
	f, err := os.Open(path)
	if err != nil {
		return header{}, err
	}
	b := make([]byte, headerBytes)
	n, err := f.ReadAt(b, 0)
	if n < headerBytes && err != nil {
		b = b[:n]
	}
	h, why := decodeHeader(b, r.j.cfg.Log, number)
	if why != nil {
		return h, errors.Join(&DamageError{Path: path, Reason: why.Error()}, f.Close())
	}
	return h, f.Close()
}

func (r *reader) segment(i int) error {
	h, path := r.heads[i], r.j.path(r.heads[i].number)
	b, err := readAtMost(path, h.length)
	if err != nil {
		return err
	}
	if i < len(r.heads)-1 {
		return r.earlier(h, b, r.heads[i+1].before)
	}
	if int64(len(b)) != h.length {
		return &DamageError{Path: path, Offset: int64(len(b)), Reason: fmt.Sprintf("%d bytes, it was made with %d", len(b), h.length)}
	}
	return r.final(h, b)
}

// readAtMost reads a file of which nothing beyond its length can count.
func readAtMost(path string, length int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > length {
		return nil, &DamageError{Path: path, Offset: length, Reason: fmt.Sprintf("%d bytes, it was made with %d", info.Size(), length)}
	}
	return os.ReadFile(path)
}

// earlier reads a segment that another one follows, up to what that goes on from.
func (r *reader) earlier(h header, b []byte, until ledger.Hash) error {
	path := r.j.path(h.number)
	at := link{headerBytes, hashOf(b[:headerBytes])}
	for at.hash != until {
		t, payload, n, err := decodeRecord(b[at.end:], at.hash)
		if err != nil && used(b[at.end:]) == 0 {
			err = fmt.Errorf("the chain is broken: its records end here, and segment %d follows one that is not among them", h.number+1)
		}
		if err == nil {
			err = r.take(t, payload)
		}
		if err != nil {
			return damage(path, at.end, err)
		}
		if t == TypeBatch {
			if err := r.each(path, at.end, payload, true); err != nil {
				return err
			}
		}
		at = link{at.end + int64(n), hashOf(b[at.end : at.end+int64(n)])}
	}
	if end := used(b); end < len(b) {
		r.trims[path] = max(int64(end), at.end)
	}
	return nil
}

// final reads the last segment. What follows the last record known to be durable
// waits until it is copied. Of a damaged one Each gets what stands before the damage:
// it is whole and chained, and somebody may want to keep it.
func (r *reader) final(h header, b []byte) error {
	path := r.j.path(h.number)
	found, err := r.scan(h, b, path)
	for _, f := range found {
		durable := err == nil && f.at < r.safe.end
		if !durable {
			r.unsealed = append(r.unsealed, f.payload)
		}
		if err := r.each(path, f.at, f.payload, durable); err != nil {
			return err
		}
	}
	r.rec.Unsealed = len(r.unsealed)
	return err
}

// batch is where a batch's record begins, and its payload.
type batch struct {
	at      int64
	payload []byte
}

// scan reads the records of the last segment.
func (r *reader) scan(h header, b []byte, path string) (found []batch, err error) {
	at := link{headerBytes, hashOf(b[:headerBytes])}
	r.safe, r.opening = at, h.opening
	for at.end < h.length {
		t, payload, n, err := decodeRecord(b[at.end:], at.hash)
		next := at.end + int64(n)
		if err == nil {
			err = r.take(t, payload)
		}
		if err == nil && at.end < h.opening && next > h.opening {
			err = errors.New("the record reaches beyond the opening")
		}
		if err != nil && at.end < h.opening {
			return found, damage(path, at.end, err)
		}
		if err != nil {
			if r.rec.Torn, err = judge(path, at, b[at.end:], err); err != nil {
				return found, err
			}
			break
		}
		if t == TypeBatch {
			found = append(found, batch{at.end, payload})
		} else {
			r.safe = at // the seal was written when all before it was acknowledged
		}
		at = link{next, hashOf(b[at.end:next])}
		if next <= h.opening {
			r.safe = at
		}
	}
	r.last = at
	return found, nil
}

// take counts a record, and holds a seal to the count.
func (r *reader) take(t Type, payload []byte) error {
	if t == TypeBatch {
		r.rec.Records++
		return nil
	}
	if n := binary.BigEndian.Uint64(payload); n != r.rec.Records {
		return fmt.Errorf("a seal of %d batches stands after %d", n, r.rec.Records)
	}
	return nil
}

func (r *reader) each(path string, at int64, payload []byte, durable bool) error {
	if err := r.j.cfg.Each(payload, durable); err != nil {
		return fmt.Errorf("journal file %s, record at byte %d: %w", path, at, err)
	}
	return nil
}

func damage(path string, at int64, err error) error {
	return &DamageError{Path: path, Offset: at, Reason: err.Error()}
}

// judge tells the zeros after the last intact record, and a torn last one, from damage.
func judge(path string, last link, rest []byte, err error) (*Torn, error) {
	at := last.end
	n := used(rest)
	if n == 0 {
		return nil, nil
	}
	if !errors.Is(err, errNoRecord) {
		return nil, damage(path, at, err)
	}
	if why := torn(rest, at, last.hash); why != nil {
		return nil, damage(path, at, fmt.Errorf("%w, and %w", err, why))
	}
	return &Torn{Path: path, Offset: at, Bytes: int64(n), Reason: err.Error()}, nil
}

// fresh reports whether the last segment holds its opening and nothing else. All of
// it was synced before it had its name.
func (r *reader) fresh() bool {
	return r.last.end == r.opening && r.rec.Torn == nil
}

// trimmed returns the paths of r.trims in order.
func (r *reader) trimmed() []string {
	var paths []string
	for p := range r.trims {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}
