package journal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"rasid/ledger"
)

// Remains is what a damaged journal still says of its end (LEDGER.md §12.8).
type Remains struct {
	// Ended is true when the end is known: the last segment is as long as it was made,
	// and nothing but zeros follows its last intact record.
	Ended bool
	// Batches is how many batches the journal held, where a seal is its last record;
	// else, if it ended, the last batch that Each was given is the last it held.
	Batches uint64
}

// Survey reads what is intact of a journal that Open refused, and changes nothing.
// Each gets the payload of every intact batch, in the order of the files, and some
// twice: those that a start copied. Whether one follows another is not looked at.
func Survey(cfg Config) (Remains, error) {
	s := survey{cfg: cfg}
	numbers, err := s.segments()
	if err != nil || len(numbers) == 0 {
		return Remains{}, err
	}
	for _, n := range numbers {
		if err := s.segment(n); err != nil {
			return Remains{}, fmt.Errorf("couldn't look what is intact of the journal in %s: %w", cfg.Dir, err)
		}
	}
	return s.remains, nil
}

type survey struct {
	cfg     Config
	remains Remains
	seen    map[ledger.Hash]bool // the batches' records of the segment before
}

// segments returns the numbers of all segments that are there, ascending.
func (s *survey) segments() ([]uint32, error) {
	files, err := os.ReadDir(s.cfg.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var numbers []uint32
	for _, f := range files {
		digits, ok := strings.CutSuffix(f.Name(), suffix)
		if n, err := strconv.ParseUint(digits, 10, 32); ok && err == nil && len(digits) == nameWidth {
			numbers = append(numbers, uint32(n))
		}
	}
	return numbers, err
}

// segment reads the intact records of one segment. What it says of the end counts
// until a later one is there.
func (s *survey) segment(number uint32) error {
	path := filepath.Join(s.cfg.Dir, fmt.Sprintf("%0*d%s", nameWidth, number, suffix))
	b, err := readAtMost(path, SegmentMaxBytes)
	var longer *DamageError
	if errors.As(err, &longer) {
		s.remains = Remains{}
		return nil
	}
	if err != nil {
		return err
	}
	h, why := decodeHeader(b, s.cfg.Log, number)
	before := s.seen
	s.seen = map[ledger.Hash]bool{}
	end, last := min(headerBytes, len(b)), Type(0)
	s.remains = Remains{}
	for at := end; at < len(b); {
		n, err := intactRecord(b[at:])
		t := Type(0)
		if err == nil {
			t = Type(b[at+4])
		}
		if t != TypeBatch && (t != TypeSeal || n != recordHeadBytes+sealBytes) {
			at++
			continue
		}
		payload := b[at+recordHeadBytes : at+n]
		if t == TypeSeal {
			s.remains.Batches = binary.BigEndian.Uint64(payload)
		} else {
			s.remains.Batches = 0
			s.seen[hashOf(b[at:at+n])] = true
			if err := s.cfg.Each(payload, false); err != nil {
				return fmt.Errorf("%s, record at byte %d: %w", path, at, err)
			}
		}
		last, at = t, at+n
		end = at
	}
	s.remains.Ended = why == nil && int64(len(b)) == h.length && used(b[end:]) == 0 && (last != 0 || before[h.before])
	return nil
}

// Write makes a journal of batches in a folder that is not there, all durable when it
// returns. An error of batches is returned, and what was written is of no use.
func Write(cfg Config, batches iter.Seq2[[]byte, error]) error {
	if cfg.Disk == nil {
		cfg.Disk = OSDisk{}
	}
	cfg.SegmentBytes = min(cmp.Or(cfg.SegmentBytes, segmentBytes), SegmentMaxBytes)
	j := &Journal{cfg: cfg}
	if err := j.write(batches); err != nil {
		return errors.Join(fmt.Errorf("couldn't write the journal of log %s anew in %s: %w", cfg.Log, cfg.Dir, err), j.Close())
	}
	return j.Close()
}

func (j *Journal) write(batches iter.Seq2[[]byte, error]) error {
	if err := os.Mkdir(j.cfg.Dir, 0o700); err != nil {
		return err
	}
	if err := j.cfg.Disk.SyncDir(filepath.Dir(j.cfg.Dir)); err != nil {
		return err
	}
	var opening [][]byte
	size := int64(headerBytes)
	for payload, err := range batches {
		if err != nil {
			return err
		}
		if len(payload) == 0 || len(payload) > PayloadMaxBytes {
			return fmt.Errorf("payload of %d bytes, want 1 to %d", len(payload), PayloadMaxBytes)
		}
		n := int64(recordHeadBytes + len(payload))
		if len(opening) > 0 && size+n > j.cfg.SegmentBytes {
			if err := j.next(j.last, opening); err != nil {
				return err
			}
			opening, size = nil, headerBytes
		}
		opening, size = append(opening, payload), size+n
	}
	return j.next(j.last, opening)
}
