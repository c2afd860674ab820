package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"rasid/ledger"
)

const (
	suffix    = ".journal"
	newSuffix = ".new"
	nameWidth = 8
)

// ErrBroken is returned by every Append after a write or sync has failed: nobody
// knows what is on the disk, so the program must stop and verify at its next start.
var ErrBroken = errors.New("the journal is broken since a write failed")

// DamageError says where a journal is not what was written. The remedy is another
// copy or a new incarnation, never to go on.
type DamageError struct {
	Path   string
	Offset int64
	Reason string
}

// Error names file, offset and reason.
func (e *DamageError) Error() string {
	return fmt.Sprintf("journal file %s is damaged at byte %d: %s; restore the file from a copy, nothing was changed", e.Path, e.Offset, e.Reason)
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
	Records  uint64
	Torn     *Torn // nil unless a torn last record was dropped
}

// Config is what a journal needs. Dir, Log and Each must be set.
type Config struct {
	Dir string // its parent exists
	Log ledger.LogID
	// Each gets every record's payload in order. It must not keep the bytes. Its
	// error refuses the journal.
	Each func(payload []byte) error
	// Drop is asked before a torn last record is dropped, after Each has seen the
	// rest. Its error refuses the journal and leaves the file as it is. Nil agrees.
	Drop func(Torn) error
	Disk Disk // nil: the machine's own
	// SegmentBytes begins a new segment before a record that would go beyond. 0, and
	// in the field always, means SegmentMaxBytes.
	SegmentBytes int64
}

// Journal appends. It belongs to one goroutine.
type Journal struct {
	cfg    Config
	file   File
	number uint32      // of the segment that file is
	size   int64       // of file
	last   ledger.Hash // of the last record or header: what the next record follows
	before ledger.Hash // of the last record alone: what the next segment's header holds
	empty  bool        // the segment has no record yet
	err    error       // why it is broken
}

// Open reads the journal in cfg.Dir, creating it where there is none, hands every
// record to cfg.Each and returns the journal ready to append (LEDGER.md §12). All
// that Each sees was synced before. A torn last record alone is dropped; any
// other damage is a *DamageError and changes nothing.
func Open(cfg Config) (*Journal, Recovery, error) {
	if cfg.Disk == nil {
		cfg.Disk = OSDisk{}
	}
	if cfg.SegmentBytes == 0 {
		cfg.SegmentBytes = SegmentMaxBytes
	}
	j := &Journal{cfg: cfg}
	rec, err := j.open()
	if err != nil {
		return nil, rec, errors.Join(fmt.Errorf("couldn't open the journal of log %s: %w", cfg.Log, err), j.Close())
	}
	return j, rec, nil
}

func (j *Journal) open() (Recovery, error) {
	count, err := j.list()
	if err != nil {
		return Recovery{}, err
	}
	if count == 0 {
		return Recovery{Segments: 1}, j.begin(1)
	}
	// What a killed process wrote is readable and may not be durable yet; nothing may
	// be built on it before it is.
	if j.file, err = j.cfg.Disk.OpenFile(j.path(count), os.O_WRONLY); err != nil {
		return Recovery{}, err
	}
	if err := j.file.Sync(); err != nil {
		return Recovery{}, err
	}
	if err := j.cfg.Disk.SyncDir(j.cfg.Dir); err != nil {
		return Recovery{}, err
	}
	rec := Recovery{Segments: int(count)}
	for number := uint32(1); number <= count; number++ {
		if err := j.readSegment(number, number == count, &rec); err != nil {
			return rec, err
		}
	}
	return rec, j.drop(rec.Torn)
}

// list counts the segments, whose numbers must have no gap, and removes what a
// crash left of one that was about to begin.
func (j *Journal) list() (uint32, error) {
	if err := os.Mkdir(j.cfg.Dir, 0o700); err == nil {
		if err := j.cfg.Disk.SyncDir(filepath.Dir(j.cfg.Dir)); err != nil {
			return 0, err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return 0, err
	}
	files, err := os.ReadDir(j.cfg.Dir) // sorted by name
	if err != nil {
		return 0, err
	}
	var count uint32
	for _, f := range files {
		path := filepath.Join(j.cfg.Dir, f.Name())
		switch filepath.Ext(f.Name()) {
		case newSuffix:
			if err := os.Remove(path); err != nil {
				return 0, err
			}
		case suffix:
			digits := strings.TrimSuffix(f.Name(), suffix)
			n, err := strconv.ParseUint(digits, 10, 32)
			if err != nil || len(digits) != nameWidth {
				return 0, &DamageError{Path: path, Reason: "its name is not eight digits"}
			}
			if uint32(n) != count+1 {
				return 0, &DamageError{Path: j.path(count + 1), Reason: "the segment is missing, and later ones are there"}
			}
			count++
		}
	}
	return count, nil
}

func (j *Journal) path(number uint32) string {
	return filepath.Join(j.cfg.Dir, fmt.Sprintf("%0*d%s", nameWidth, number, suffix))
}

func (j *Journal) readSegment(number uint32, final bool, rec *Recovery) error {
	path := j.path(number)
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := checkHeader(b, j.cfg.Log, number, j.before); err != nil {
		return &DamageError{Path: path, Reason: err.Error()}
	}
	if int64(len(b)) > SegmentMaxBytes+recordMaxBytes {
		return &DamageError{Path: path, Offset: SegmentMaxBytes, Reason: "it is longer than a segment can be"}
	}
	j.number, j.empty, j.last = number, true, hashOf(b[:headerBytes])
	at := headerBytes
	for at < len(b) {
		payload, n, err := decodeRecord(b[at:], j.last)
		if err != nil {
			rec.Torn, err = judge(path, int64(at), b[at:], final, err)
			if err != nil {
				return err
			}
			break
		}
		if err := j.cfg.Each(payload); err != nil {
			return fmt.Errorf("journal file %s, record at byte %d: %w", path, at, err)
		}
		j.last = hashOf(b[at : at+n])
		j.before, j.empty = j.last, false
		at += n
		rec.Records++
	}
	if !final && j.empty {
		return &DamageError{Path: path, Offset: int64(at), Reason: "it holds no record, and a later segment is there"}
	}
	j.size = int64(at)
	return nil
}

// judge tells a torn last record from damage.
func judge(path string, at int64, rest []byte, final bool, err error) (*Torn, error) {
	damage := &DamageError{Path: path, Offset: at, Reason: err.Error()}
	if !final || !errors.Is(err, errNoRecord) {
		return nil, damage
	}
	if why := torn(rest); why != nil {
		damage.Reason += ", and " + why.Error()
		return nil, damage
	}
	return &Torn{Path: path, Offset: at, Bytes: int64(len(rest)), Reason: err.Error()}, nil
}

func (j *Journal) drop(t *Torn) error {
	if t == nil {
		return nil
	}
	if j.cfg.Drop != nil {
		if err := j.cfg.Drop(*t); err != nil {
			return err
		}
	}
	if err := j.file.Truncate(t.Offset); err != nil {
		return err
	}
	return j.file.Sync()
}

// begin creates the segment with the given number and makes it the one appended to.
func (j *Journal) begin(number uint32) error {
	header := appendHeader(nil, j.cfg.Log, number, j.before)
	fresh := strings.TrimSuffix(j.path(number), suffix) + newSuffix
	f, err := j.cfg.Disk.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	old := j.file
	j.file, j.number, j.size, j.empty, j.last = f, number, headerBytes, true, hashOf(header)
	if old != nil {
		if err := old.Close(); err != nil {
			return err
		}
	}
	if _, err := f.Write(header); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := j.cfg.Disk.Rename(fresh, j.path(number)); err != nil {
		return err
	}
	return j.cfg.Disk.SyncDir(j.cfg.Dir)
}

// Append makes payload durable as the next record: one write, one fdatasync. When
// it returns nil the record survives a power cut. After any other return the
// journal is broken, whether or not the record is on the disk: every later call
// returns the same error, which wraps ErrBroken and the cause. A payload that is
// empty or beyond PayloadMaxBytes is refused and breaks nothing.
func (j *Journal) Append(payload []byte) error {
	if j.err != nil {
		return j.err
	}
	if len(payload) == 0 || len(payload) > PayloadMaxBytes {
		return fmt.Errorf("couldn't append to the journal: payload of %d bytes, want 1 to %d", len(payload), PayloadMaxBytes)
	}
	if err := j.append(payload); err != nil {
		j.err = fmt.Errorf("couldn't append to the journal of log %s: %w: %w", j.cfg.Log, ErrBroken, err)
	}
	return j.err
}

func (j *Journal) append(payload []byte) error {
	if !j.empty && j.size+int64(recordHeadBytes+len(payload)) > j.cfg.SegmentBytes {
		if err := j.begin(j.number + 1); err != nil {
			return err
		}
	}
	record := appendRecord(make([]byte, 0, recordHeadBytes+len(payload)), TypeBatch, j.last, payload)
	if _, err := j.file.Write(record); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.size += int64(len(record))
	j.last, j.empty = hashOf(record), false
	j.before = j.last
	return nil
}

// Close closes the file. Everything appended is durable already.
func (j *Journal) Close() error {
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	if j.err == nil {
		j.err = fmt.Errorf("couldn't append to the journal of log %s: it is closed", j.cfg.Log)
	}
	return err
}
