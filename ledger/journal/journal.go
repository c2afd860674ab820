package journal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"rasid/ledger"
)

const (
	suffix    = ".journal"
	newSuffix = ".new"
	nameWidth = 8
	// segmentBytes is what a segment is made with: some ten thousand commits, and
	// zeroed in less time than a citizen notices.
	segmentBytes = 4 << 20
)

// ErrBroken is returned by every Append after a write or sync has failed: nobody
// knows what is on the disk, so the program must stop and verify at its next start.
var ErrBroken = errors.New("the journal is broken since a write failed")

// Config is what a journal needs. Dir, Log and Each must be set.
type Config struct {
	Dir string // its parent exists
	Log ledger.LogID
	// Each gets every batch's payload in order, of a damaged last segment those before
	// the damage. It must not keep the bytes. Its error refuses the journal. What is not
	// durable is so only when Begin has returned: until then nothing may be built on it
	// that outlives the process.
	Each func(payload []byte, durable bool) error
	Disk Disk // nil: the machine's own
	// SegmentBytes is what segments are made with. 0, and in the field always, means
	// 4 MiB. A record that is longer gets a segment of its own length.
	SegmentBytes int64
}

// Journal appends. It belongs to one goroutine.
type Journal struct {
	cfg      Config
	file     File // nil until Begin
	prepared File // the next segment, zeros, nil if there is none
	number   uint32
	length   int64       // of the file
	opening  int64       // what of it was synced before it had its name
	size     int64       // of what stands before the zeros
	last     ledger.Hash // of the last record or header: what the next record follows
	batches  uint64
	sealed   bool // nothing stands after the opening or the last seal
	err      error
	read     *reader // between Open and Begin
}

// Open reads the journal in cfg.Dir and hands every batch to cfg.Each (LEDGER.md
// §12). It changes nothing; Begin makes the journal ready to append. No folder is an
// empty journal. Damage other than a torn last record is a *DamageError.
func Open(cfg Config) (*Journal, Recovery, error) {
	if cfg.Disk == nil {
		cfg.Disk = OSDisk{}
	}
	cfg.SegmentBytes = min(cmp.Or(cfg.SegmentBytes, segmentBytes), SegmentMaxBytes)
	j := &Journal{cfg: cfg}
	r := &reader{j: j}
	count, _, err := j.list()
	if err == nil {
		err = r.read(count)
	}
	if err != nil {
		return nil, r.rec, fmt.Errorf("couldn't open the journal of log %s: %w", cfg.Log, err)
	}
	j.read, j.number, j.batches = r, count, r.rec.Records
	j.err = fmt.Errorf("couldn't append to the journal of log %s: it has not begun", cfg.Log)
	return j, r.rec, nil
}

// Begin makes everything that Each was given durable and the journal ready to
// append: what is not known to be durable is copied into the opening of a fresh
// segment. A torn last record stays behind in the segment before. Call it once. An
// error breaks the journal.
func (j *Journal) Begin() error {
	r := j.read
	if r == nil {
		return fmt.Errorf("couldn't begin the journal of log %s: it began before", j.cfg.Log)
	}
	j.read, j.err = nil, nil
	if err := j.begin(r); err != nil {
		return j.broken("couldn't begin", err)
	}
	return nil
}

func (j *Journal) begin(r *reader) error {
	if err := j.makeFolder(); err != nil {
		return err
	}
	_, leftovers, err := j.list()
	if err != nil {
		return err
	}
	for _, path := range leftovers {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	switch {
	case r.rec.Segments == 0:
		err = j.next(ledger.Hash{}, nil)
	case r.fresh(), r.rec.Torn == nil && believed(j.cfg.Disk):
		err = j.resume(r)
	default:
		// Even a clean end gets a fresh segment: that the last seal is durable nobody
		// knows, and the next record would be written beside it.
		err = j.next(r.safe.hash, r.unsealed)
		r.trims[j.path(j.number-1)] = r.last.end
		if t := r.rec.Torn; t != nil {
			r.trims[j.path(j.number-1)] = t.Offset + t.Bytes
		}
	}
	if err != nil {
		return err
	}
	for _, path := range r.trimmed() {
		if err := j.trimPath(path, r.trims[path]); err != nil {
			return err
		}
	}
	return nil
}

func (j *Journal) makeFolder() error {
	err := os.Mkdir(j.cfg.Dir, 0o700)
	if err == nil {
		return j.cfg.Disk.SyncDir(filepath.Dir(j.cfg.Dir))
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// believed reports whether what is read from the disk is taken for durable, without a
// copy. Only a rig has such a disk, to see what is lost then.
func believed(d Disk) bool {
	b, ok := d.(interface{ Believed() bool })
	return ok && b.Believed()
}

// resume goes on in a last segment that holds its opening alone.
func (j *Journal) resume(r *reader) error {
	f, err := j.cfg.Disk.OpenFile(j.path(j.number), os.O_WRONLY)
	if err != nil {
		return err
	}
	j.file = f
	j.length, j.opening, j.size = r.heads[len(r.heads)-1].length, r.opening, r.last.end
	j.last, j.sealed = r.last.hash, r.last == r.safe
	if _, err := f.Seek(j.size, io.SeekStart); err != nil {
		return err
	}
	return j.cfg.Disk.SyncDir(j.cfg.Dir) // the name may be as new as the last start
}

// next makes the next segment, which goes on from before, with the payloads of
// batches in its opening, and makes it the one appended to.
func (j *Journal) next(before ledger.Hash, batches [][]byte) error {
	h := header{log: j.cfg.Log, number: j.number + 1, opening: headerBytes, before: before}
	for _, p := range batches {
		h.opening += int64(recordHeadBytes + len(p))
	}
	h.length = max(j.cfg.SegmentBytes, h.opening)
	b := appendHeader(make([]byte, 0, h.opening), h)
	last := hashOf(b)
	for _, p := range batches {
		start := len(b)
		b = appendRecord(b, TypeBatch, last, p)
		last = hashOf(b[start:])
	}
	f, err := j.nextFile(h, b)
	if err != nil {
		return err
	}
	old := j.file
	j.file, j.number, j.length, j.opening, j.size = f, h.number, h.length, h.opening, h.opening
	j.last, j.sealed = last, true
	if old != nil {
		if err := old.Close(); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := j.cfg.Disk.Rename(j.freshPath(h.number), j.path(h.number)); err != nil {
		return err
	}
	return j.cfg.Disk.SyncDir(j.cfg.Dir)
}

// nextFile writes b into the prepared file or a new one, and leaves the rest zeros.
// The file is returned whenever it is open.
func (j *Journal) nextFile(h header, b []byte) (File, error) {
	if f := j.prepared; f != nil {
		j.prepared = nil
		if _, err := f.Write(b); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}
	return j.make(h.number, b, h.length)
}

// make makes a file of the given length that begins with b and goes on with zeros,
// and leaves its cursor behind b. Zeros are written, not merely allocated: to write
// over an allocated block that nothing was written to changes metadata again.
func (j *Journal) make(number uint32, b []byte, length int64) (File, error) {
	f, err := j.cfg.Disk.OpenFile(j.freshPath(number), os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	whole := make([]byte, length)
	copy(whole, b)
	if _, err := f.Write(whole); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.Seek(int64(len(b)), io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (j *Journal) freshPath(number uint32) string {
	return strings.TrimSuffix(j.path(number), suffix) + newSuffix
}

// trimPath cuts the zeros off a segment that another one follows. It need not
// survive a power cut.
func (j *Journal) trimPath(path string, size int64) error {
	f, err := j.cfg.Disk.OpenFile(path, os.O_WRONLY)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

// Prepare makes the next segment's file ready, so that the Append that needs it
// does not wait for it. It does nothing before half of the segment is used. An
// error breaks the journal.
func (j *Journal) Prepare() error {
	if j.err != nil {
		return j.err
	}
	if j.prepared != nil || j.size < j.length/2 {
		return nil
	}
	f, err := j.make(j.number+1, nil, j.cfg.SegmentBytes)
	if err == nil {
		j.prepared = f
		err = f.Sync()
	}
	if err != nil {
		return j.broken("couldn't prepare a segment", err)
	}
	return nil
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
	if err := j.append(TypeBatch, payload); err != nil {
		return j.broken("couldn't append", err)
	}
	j.batches++
	return nil
}

// Seal writes down that everything appended was acknowledged, so that rot in the
// last record is told from a torn write. It does nothing where that is known
// already. Errors are as Append's.
func (j *Journal) Seal() error {
	if j.err != nil || j.sealed {
		return j.err
	}
	if j.size+recordHeadBytes+sealBytes > j.length {
		return nil // the next segment, which has to begin now, says as much
	}
	if err := j.append(TypeSeal, binary.BigEndian.AppendUint64(nil, j.batches)); err != nil {
		return j.broken("couldn't seal", err)
	}
	j.sealed = true
	return nil
}

func (j *Journal) append(t Type, payload []byte) error {
	if j.size+int64(recordHeadBytes+len(payload)) > j.length {
		return j.roll(payload)
	}
	record := appendRecord(make([]byte, 0, recordHeadBytes+len(payload)), t, j.last, payload)
	if _, err := j.file.Write(record); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.size += int64(len(record))
	j.last, j.sealed = hashOf(record), false
	return nil
}

// roll appends a batch as the opening of the next segment.
func (j *Journal) roll(payload []byte) error {
	path, size, length := j.path(j.number), j.size, j.length
	if err := j.next(j.last, [][]byte{payload}); err != nil {
		return err
	}
	if size == length {
		return nil
	}
	return j.trimPath(path, size)
}

func (j *Journal) broken(what string, err error) error {
	j.err = fmt.Errorf("%s the journal of log %s: %w: %w", what, j.cfg.Log, ErrBroken, err)
	return j.err
}

// Close closes the files. Everything appended is durable already.
func (j *Journal) Close() error {
	var errs []error
	for _, f := range []File{j.file, j.prepared} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	j.file, j.prepared = nil, nil
	if j.err == nil {
		j.err = fmt.Errorf("couldn't append to the journal of log %s: it is closed", j.cfg.Log)
	}
	return errors.Join(errs...)
}
