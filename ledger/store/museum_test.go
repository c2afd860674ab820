package store_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rasid/ledger"
	"rasid/ledger/cert"
	"rasid/ledger/store"
	"rasid/ledger/storetest"
)

const (
	museumDir = "testdata/museum"
	// museumVariable set to 1 makes the exhibits that are missing, in the stored form of
	// today. One whose row changes is deleted first.
	museumVariable = "RASID_UPDATE_MUSEUM"
	museumEntries  = 12
	museumSuffix   = ".tar.gz"
)

// museum is the owner of every exhibit's folder, and what was in it before.
type museum struct {
	cfg    store.Config // without a folder
	me     storetest.Machine
	peer   *storetest.Author
	far    *storetest.Author // whose log is pruned, in some exhibits
	cell   *storetest.Author // what it acknowledges
	object []byte
}

func newMuseum(t *testing.T) museum {
	t.Helper()
	fleet, err := storetest.NewFleet("museum")
	do(t, err)
	me, err := fleet.Machine(cert.RoleKiosk, 1)
	do(t, err)
	neighbour, err := fleet.Machine(cert.RoleKiosk, 2)
	do(t, err)
	m := museum{me: me, object: bytes.Repeat([]byte("object "), 5), cfg: store.Config{
		Fleet: fleet.Public, Machine: me.Key.Public().(ed25519.PublicKey), SegmentBytes: 1000, MemTableBytes: 1 << 20,
	}}
	m.peer, err = storetest.NewAuthor(neighbour)
	do(t, err)
	for i := range uint64(3) {
		e, err := storetest.Sale(i)
		do(t, err)
		_, err = m.peer.Write(e)
		do(t, err)
	}
	m.writePruned(t, fleet)
	return m
}

// write has a store grow to n own entries, calls look before it closes, and closes.
func (m museum) write(t *testing.T, dir string, n uint64, look func()) {
	t.Helper()
	cfg := m.cfg
	cfg.Dir = dir
	s, err := store.Open(cfg)
	do(t, err)
	w, err := s.OpenOwn(m.me.LogKey)
	do(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for w.Size() < n {
		_, err := w.Commit(ctx, func(first uint64) ([]ledger.Entry, error) {
			e, err := m.entry(first)
			return []ledger.Entry{e}, err
		})
		do(t, err)
	}
	_, err = s.Ingest(ctx, m.peer.Runs)
	do(t, err)
	_, err = s.PutObject(ctx, m.object)
	do(t, err)
	cancel()
	do(t, <-ended) // the index has everything
	look()
	do(t, s.Close())
}

func (m museum) entry(i uint64) (ledger.Entry, error) {
	if i == 0 {
		return m.me.Open()
	}
	return storetest.Sale(i)
}

// What a visitor must see.
const (
	repaired   = "repaired"       // opens with every entry, and goes on
	lastIsGone = "last is gone"   // the one record that nobody can tell from a torn one
	objectGone = "object missing" // all entries; the object counts as missing
	refused    = "refused"        // with the file and the reason, every time
	// marksLost is repaired, and says that how far others' logs were held is not known.
	marksLost = "marks lost"
	// peersLost opens with less of a neighbour's log, says so in the log and in Lost until
	// the neighbour has sent it again. The own log is whole.
	peersLost = "peers lost"
)

// exhibit is one kind of damage.
type exhibit struct {
	name   string
	damage func(t *testing.T, m museum, dir string)
	killed bool // the folder is that of a killed process, so that Badger's logs are full
	expect string
	says   []string // parts of the refusal
	kiosk  bool     // nobody is there to do what a refusal says: the index of others' logs begins anew
	pruned bool     // the folder has a log of which entries were dropped
	from   uint64   // from where on that is held
}

// unknown is at how many starts it was not known how far others' logs were held, when
// the folder was opened once. The oldest exhibits are from before there were marks.
func (e exhibit) unknown(dir string) uint64 {
	if _, err := os.Stat(filepath.Join(dir, "peers", "marks")); err == nil && e.expect != marksLost {
		return 0
	}
	return 1
}

// changed damages the only, or the last, file of a pattern below the folder.
func changed(pattern string, how func([]byte) []byte) func(*testing.T, museum, string) {
	return func(t *testing.T, m museum, dir string) {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(dir, strings.ReplaceAll(pattern, "LOG", m.me.ID().String())))
		do(t, err)
		if len(found) == 0 {
			t.Fatalf("the museum's folder has no %s", pattern)
		}
		path := found[len(found)-1]
		b, err := os.ReadFile(path)
		do(t, err)
		if b = how(b); b == nil {
			do(t, os.Remove(path))
			return
		}
		do(t, os.WriteFile(path, b, 0o600))
	}
}

func gone([]byte) []byte    { return nil }
func emptied([]byte) []byte { return []byte{} }
func zeroed(b []byte) []byte {
	return make([]byte, len(b))
}
func halved(b []byte) []byte { return b[:len(b)/2] }

// flippedAt flips a bit; a negative place counts from behind the last byte that is
// not zero.
func flippedAt(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		if at < 0 {
			at += len(bytes.TrimRight(b, "\x00"))
		}
		b[at] ^= 4
		return b
	}
}

// cutBehind takes n bytes from before the last one that is not zero, and what follows.
func cutBehind(n int) func([]byte) []byte {
	return func(b []byte) []byte { return b[:len(bytes.TrimRight(b, "\x00"))-n] }
}

// zeroedBehind zeroes n bytes up to the last one that is not zero.
func zeroedBehind(n int) func([]byte) []byte {
	return func(b []byte) []byte {
		end := len(bytes.TrimRight(b, "\x00"))
		clear(b[end-n : end])
		return b
	}
}

// flippedRecords flips a bit in the payload of the last n records of a segment.
func flippedRecords(n int) func([]byte) []byte {
	return func(b []byte) []byte {
		var at []int
		for next := 76; next+41 < len(b) && binary.BigEndian.Uint32(b[next:]) > 0; next += 41 + int(binary.BigEndian.Uint32(b[next:])) {
			at = append(at, next)
		}
		for _, record := range at[len(at)-n:] {
			b[record+60] ^= 4
		}
		return b
	}
}

func both(a, b func(*testing.T, museum, string)) func(*testing.T, museum, string) {
	return func(t *testing.T, m museum, dir string) { a(t, m, dir); b(t, m, dir) }
}

func indexGone(t *testing.T, _ museum, dir string) {
	do(t, os.RemoveAll(filepath.Join(dir, "own", "index")))
}

// rolledBack puts back the journal as it was some commits before.
func rolledBack(t *testing.T, m museum, dir string) {
	old := filepath.Join(t.TempDir(), "old")
	m.write(t, old, museumEntries/2, func() {})
	journal := filepath.Join("own", m.me.ID().String())
	do(t, os.RemoveAll(filepath.Join(dir, journal)), os.CopyFS(filepath.Join(dir, journal), os.DirFS(filepath.Join(old, journal))))
}

func exhibits() []exhibit { return slices.Concat(indexExhibits(), journalExhibits(), prunedExhibits()) }

func indexExhibits() []exhibit {
	const peers = "move the folder"
	return []exhibit{
		{name: "own-manifest-missing", damage: changed("own/index/MANIFEST", gone), expect: repaired},
		{name: "own-manifest-torn", damage: changed("own/index/MANIFEST", cutBehind(3)), expect: repaired},
		{name: "own-manifest-empty", damage: changed("own/index/MANIFEST", emptied), expect: repaired},
		{name: "own-manifest-flipped", damage: changed("own/index/MANIFEST", flippedAt(-4)), expect: repaired},
		{name: "own-table-flipped", damage: changed("own/index/*.sst", flippedAt(200)), expect: repaired},
		{name: "own-table-missing", damage: changed("own/index/*.sst", gone), expect: repaired},
		{name: "own-table-truncated", damage: changed("own/index/*.sst", halved), expect: repaired},
		{name: "own-table-zeroed", damage: changed("own/index/*.sst", zeroed), expect: repaired},
		{name: "own-wal-flipped", damage: changed("own/index/*.mem", flippedAt(1000)), killed: true, expect: repaired},
		{name: "own-wal-zeroed", damage: changed("own/index/*.mem", zeroed), killed: true, expect: repaired},
		{name: "own-wal-empty", damage: changed("own/index/*.mem", emptied), killed: true, expect: repaired},
		{name: "own-wal-missing", damage: changed("own/index/*.mem", gone), killed: true, expect: repaired},
		{name: "own-vlog-flipped", damage: changed("own/index/*.vlog", flippedAt(10)), killed: true, expect: repaired},
		{name: "own-vlog-empty", damage: changed("own/index/*.vlog", emptied), killed: true, expect: repaired},
		{name: "own-index-missing", damage: indexGone, expect: repaired},
		{name: "peers-manifest-missing", damage: changed("peers/index/MANIFEST", gone), expect: refused, says: []string{"MANIFEST", peers}},
		{name: "peers-manifest-flipped", damage: changed("peers/index/MANIFEST", flippedAt(-4)), expect: refused, says: []string{"MANIFEST", peers}},
		{name: "peers-table-flipped", damage: changed("peers/index/*.sst", flippedAt(200)), expect: refused, says: []string{".sst", peers}},
		{name: "peers-table-missing", damage: changed("peers/index/*.sst", gone), expect: refused, says: []string{".sst", peers}},
		{name: "peers-table-truncated", damage: changed("peers/index/*.sst", halved), expect: refused, says: []string{".sst", peers}},
		{name: "kiosk-peers-manifest-missing", damage: changed("peers/index/MANIFEST", gone), kiosk: true, expect: peersLost},
		{name: "kiosk-peers-manifest-flipped", damage: changed("peers/index/MANIFEST", flippedAt(-4)), kiosk: true, expect: peersLost},
		{name: "kiosk-peers-table-flipped", damage: changed("peers/index/*.sst", flippedAt(200)), kiosk: true, expect: peersLost},
		{name: "kiosk-peers-table-missing", damage: changed("peers/index/*.sst", gone), kiosk: true, expect: peersLost},
		{name: "kiosk-peers-table-zeroed", damage: changed("peers/index/*.sst", zeroed), kiosk: true, expect: peersLost},
		{name: "peers-wal-flipped", damage: changed("peers/index/*.mem", flippedAt(600)), killed: true, expect: peersLost},
		{name: "peers-wal-zeroed", damage: changed("peers/index/*.mem", zeroed), killed: true, expect: peersLost},
		{name: "peers-wal-missing", damage: changed("peers/index/*.mem", gone), killed: true, expect: peersLost},
		{name: "peers-wal-empty", damage: changed("peers/index/*.mem", emptied), killed: true, expect: peersLost},
		{name: "peers-wal-truncated", damage: changed("peers/index/*.mem", cutBehind(100)), killed: true, expect: peersLost},
		{name: "peers-index-missing", damage: func(t *testing.T, _ museum, dir string) { do(t, os.RemoveAll(filepath.Join(dir, "peers", "index"))) }, expect: peersLost},
		{name: "marks-missing", damage: changed("peers/marks", gone), killed: true, expect: marksLost},
		{name: "marks-empty", damage: changed("peers/marks", emptied), killed: true, expect: marksLost},
		{name: "marks-zeroed", damage: changed("peers/marks", zeroed), killed: true, expect: marksLost},
		{name: "marks-flipped", damage: changed("peers/marks", flippedAt(30)), killed: true, expect: marksLost},
		{name: "marks-truncated", damage: changed("peers/marks", cutBehind(20)), killed: true, expect: marksLost},
	}
}

func journalExhibits() []exhibit {
	const last, nor = "own/LOG/*.journal", "nor can it be made again"
	unsealed := changed(last, zeroedBehind(sealRecord))
	three := func(t *testing.T, m museum, dir string) { m.write(t, dir, museumEntries+3, func() {}) } // after a header
	return []exhibit{
		{name: "segment-header-flipped", damage: changed("own/LOG/00000001.journal", flippedAt(20)), expect: repaired},
		{name: "segment-zeroed", damage: changed("own/LOG/00000002.journal", zeroed), expect: repaired},
		{name: "segment-missing", damage: changed("own/LOG/00000002.journal", gone), expect: repaired},
		{name: "segment-truncated", damage: changed("own/LOG/00000001.journal", halved), expect: repaired},
		{name: "record-flipped-middle", damage: changed("own/LOG/00000001.journal", flippedAt(300)), expect: repaired},
		{name: "segment-header-flipped-no-index", damage: both(indexGone, changed("own/LOG/00000001.journal", flippedAt(20))), expect: repaired},
		{name: "segment-missing-no-index", damage: both(indexGone, changed("own/LOG/00000002.journal", gone)), expect: refused, says: []string{"00000002.journal", "missing", nor}},
		{name: "record-flipped-middle-no-index", damage: both(indexGone, changed("own/LOG/00000001.journal", flippedAt(300))), expect: refused, says: []string{"00000001.journal", "byte", nor}},
		{name: "record-flipped-last-sealed-no-index", damage: both(indexGone, changed(last, flippedAt(-sealRecord-3))), expect: refused, says: []string{".journal", "byte", nor}},
		{name: "record-flipped-middle-twice", damage: both(changed("own/LOG/00000001.journal", flippedAt(300)), changed("own/LOG/00000002.journal", flippedAt(300))), expect: repaired},
		{name: "seal-flipped", damage: changed(last, flippedAt(-3)), expect: repaired},
		{name: "record-flipped-last-sealed", damage: changed(last, flippedAt(-sealRecord-3)), expect: repaired},
		{name: "record-flipped-last-unsealed", damage: both(unsealed, changed(last, flippedAt(-3))), expect: refused, says: []string{"in doubt", "the index holds more"}},
		{name: "record-zeroed-last-unsealed", damage: both(unsealed, changed(last, zeroedBehind(20))), expect: refused, says: []string{"in doubt", "the index holds more"}},
		{name: "record-flipped-last-no-index", damage: both(indexGone, both(unsealed, changed(last, flippedAt(-3)))), expect: refused, says: []string{"in doubt", ".head"}},
		{name: "record-flipped-last-no-evidence", damage: both(changed("own/LOG.head", gone), both(indexGone, both(unsealed, changed(last, flippedAt(-3))))), expect: lastIsGone},
		{name: "records-flipped-last-two-no-evidence", damage: both(three, both(changed("own/LOG.head", gone), both(indexGone, both(unsealed, changed(last, flippedRecords(2)))))), expect: refused, says: []string{".journal", "the record itself has"}},
		{name: "segment-truncated-last", damage: changed(last, halved), expect: refused, says: []string{".journal", "byte", "hides where the journal ended"}},
		{name: "segment-empty-last", damage: changed(last, emptied), expect: refused, says: []string{".journal", "byte 0"}},
		{name: "segment-missing-last", damage: changed(last, gone), expect: refused, says: []string{"00000003.journal", "byte"}},
		{name: "head-flipped", damage: changed("own/LOG.head", flippedAt(40)), expect: repaired},
		{name: "head-empty", damage: changed("own/LOG.head", emptied), expect: repaired},
		{name: "head-missing", damage: changed("own/LOG.head", gone), expect: repaired},
		{name: "journal-rolled-back-no-index", damage: both(indexGone, rolledBack), expect: refused, says: []string{"in doubt", ".head"}},
		{name: "journal-rolled-back", damage: rolledBack, expect: refused, says: []string{"in doubt", "the index holds more"}},
		{name: "journal-missing", damage: func(t *testing.T, m museum, dir string) {
			do(t, os.RemoveAll(filepath.Join(dir, "own", m.me.ID().String())))
		}, expect: refused, says: []string{"in doubt", "restore the folder"}},
		{name: "object-flipped", damage: changed("objects/*", flippedAt(5)), expect: objectGone},
		{name: "object-empty", damage: changed("objects/*", emptied), expect: objectGone},
		{name: "owner-flipped", damage: changed("owner", flippedAt(30)), expect: refused, says: []string{"owner", "another machine"}},
		{name: "owner-empty", damage: changed("owner", emptied), expect: refused, says: []string{"owner", "another machine"}},
		{name: "owner-other-machine", damage: changed("owner", func(b []byte) []byte {
			return bytes.Replace(b, []byte("machine "), []byte("machine 00"), 1)[:len(b)]
		}), expect: refused, says: []string{"owner", "another machine"}},
	}
}

// Every folder that was ever stored broken opens repaired, or is refused with file
// and reason; nothing of the own log is ever silently missing.
func TestMuseum(t *testing.T) {
	m := newMuseum(t)
	if os.Getenv(museumVariable) == "1" {
		m.build(t)
	}
	found, err := filepath.Glob(filepath.Join(museumDir, "*"+museumSuffix))
	do(t, err)
	all := exhibits()
	if len(found) == 0 || len(found) != len(all) {
		t.Fatalf("%d exhibits in %s, the table has %d; make them with %s=1", len(found), museumDir, len(all), museumVariable)
	}
	for _, e := range all {
		t.Run(e.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			do(t, unpack(filepath.Join(museumDir, e.name+museumSuffix), dir))
			m.visit(t, e, dir)
		})
	}
}

func (m museum) visit(t *testing.T, e exhibit, dir string) {
	t.Helper()
	cfg := m.cfg
	cfg.Dir, cfg.GiveUp = dir, e.kiosk
	before, unknown := m.journals(t, dir), e.unknown(dir)
	var said bytes.Buffer
	cfg.Log = slog.New(slog.NewTextHandler(&said, nil))
	s, err := store.Open(cfg)
	if e.expect == refused {
		for range 2 { // the second start says the same
			if err == nil {
				do(t, s.Close())
				t.Fatal("it opened")
			}
			for _, part := range e.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			s, err = store.Open(cfg)
		}
		// Where others' logs are refused, the own journal has begun.
		if after := m.journals(t, dir); !strings.HasPrefix(e.name, "peers-") && !slices.Equal(before, after) {
			t.Error("refusing changed the journal")
		}
		return
	}
	do(t, err)
	want := uint64(museumEntries)
	if e.expect == lastIsGone {
		want--
	}
	peers := m.peer.Log.End.Size
	if e.expect == peersLost {
		peers = m.lost(t, s, said.String(), dir, e.kiosk)
	}
	if lost := s.Lost(); (len(lost) > 0) != (e.expect == peersLost) {
		t.Errorf("lost is %+v", lost)
	}
	if n := s.MarksLost(); n != unknown || (n == 1) != strings.Contains(said.String(), "not known at this start") {
		t.Errorf("at %d starts it was not known how far others' logs were held, want %d, and %q says so", n, unknown, said.String())
	}
	m.compare(t, s, want, peers)
	if e.pruned {
		m.comparePruned(t, s, e.from)
	}
	if _, err := s.Object(ledger.ObjectHash(m.object)); errors.Is(err, store.ErrNoObject) != (e.expect == objectGone) {
		t.Errorf("the object: %v", err)
	}
	do(t, s.Close())
	if e.expect == peersLost { // the next start knows too
		s, err = store.Open(cfg)
		do(t, err)
		m.lost(t, s, said.String(), dir, e.kiosk)
		do(t, s.Close())
	}
	m.goesOn(t, e, cfg, unknown)
}

// goesOn has the store of a folder that opened grow, and the next start find it all.
func (m museum) goesOn(t *testing.T, e exhibit, cfg store.Config, unknown uint64) {
	t.Helper()
	if e.pruned {
		m.prune(t, cfg.Dir, func() {})
	}
	m.write(t, cfg.Dir, museumEntries+2, func() {})
	s, err := store.Open(cfg)
	do(t, err)
	if lost := s.Lost(); len(lost) > 0 {
		t.Errorf("lost is still %+v", lost)
	}
	if n := s.MarksLost(); n != unknown {
		t.Errorf("at %d starts it was not known how far others' logs were held, want %d", n, unknown)
	}
	m.compare(t, s, museumEntries+2, m.peer.Log.End.Size)
	if e.pruned {
		m.comparePruned(t, s, museumFrom)
	}
	do(t, s.Close())
}

// lost checks that a shorter log of the neighbour is told of, and returns its size.
func (m museum) lost(t *testing.T, s *store.Store, said, dir string, kiosk bool) uint64 {
	t.Helper()
	info, _ := s.Log(m.peer.ID())
	end := m.peer.Log.End
	want := []store.Loss{{Log: m.peer.ID(), Had: ledger.Tip{Size: end.Size, Root: end.Root}, Held: info.End.Size}}
	if info.End.Size >= end.Size || !slices.Equal(s.Lost(), want) {
		t.Fatalf("%d of %d entries are held and lost is %+v, want %+v", info.End.Size, end.Size, s.Lost(), want)
	}
	if _, err := os.Stat(filepath.Join(dir, "peers", "index.damaged")); kiosk != (err == nil) {
		t.Errorf("what is kept of the damaged index: %v", err)
	}
	for _, part := range []string{"level=ERROR", m.peer.ID().String(), filepath.Join(dir, "peers", "index")} {
		if !strings.Contains(said, part) {
			t.Errorf("%q does not say %q", said, part)
		}
	}
	return info.End.Size
}

// compare looks at every entry of both logs.
func (m museum) compare(t *testing.T, s *store.Store, own, peers uint64) {
	t.Helper()
	for id, n := range map[ledger.LogID]uint64{m.me.ID(): own, m.peer.ID(): peers} {
		info, _ := s.Log(id)
		if info.End.Size != n {
			t.Fatalf("%d entries of log %s, want %d", info.End.Size, id, n)
		}
		if n == 0 {
			continue // a log of which nothing is held has no range
		}
		do(t, s.Range(id, 0, n, func(i uint64, got []byte) error {
			b := m.peer.Whole().Entries[min(i, m.peer.Log.End.Size-1)]
			if id == m.me.ID() {
				e, err := m.entry(i)
				if err != nil {
					return err
				}
				if b, err = ledger.EncodeEntry(e); err != nil {
					return err
				}
			}
			if !bytes.Equal(got, b) {
				t.Errorf("entry %d of log %s differs", i, id)
			}
			return nil
		}))
	}
}

func (m museum) journals(t *testing.T, dir string) (out []string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "own", m.me.ID().String(), "*"))
	do(t, err)
	for _, path := range found {
		b, err := os.ReadFile(path)
		do(t, err)
		out = append(out, path+string(b))
	}
	return out
}

// build makes the exhibits that are missing.
func (m museum) build(t *testing.T) {
	t.Helper()
	do(t, os.MkdirAll(museumDir, 0o755))
	for _, e := range exhibits() {
		if _, err := os.Stat(filepath.Join(museumDir, e.name+museumSuffix)); err == nil {
			continue
		}
		dir, killed := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "killed")
		look := func() {
			if e.killed {
				do(t, os.CopyFS(killed, os.DirFS(dir)))
			}
		}
		if e.pruned {
			m.write(t, dir, museumEntries, func() {})
			m.prune(t, dir, look)
		} else {
			m.write(t, dir, museumEntries, look)
		}
		if e.killed {
			dir = killed
		}
		e.damage(t, m, dir)
		do(t, pack(dir, filepath.Join(museumDir, e.name+museumSuffix)))
	}
}

// pack writes a folder as a compressed archive that tells no time and no user.
func pack(dir, path string) (err error) {
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(zip)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == "." || d.Name() == "LOCK" {
			return err
		}
		if d.IsDir() {
			return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o700})
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(b))}); err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	})
	if err := errors.Join(err, w.Close(), zip.Close()); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

func unpack(path, dir string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	zip, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		target := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(target, 0o700); err != nil {
				return err
			}
			continue
		}
		b, err := io.ReadAll(r)
		if err == nil {
			err = errors.Join(os.MkdirAll(filepath.Dir(target), 0o700), os.WriteFile(target, b, 0o600))
		}
		if err != nil {
			return err
		}
	}
}
