package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"rasid/ledger"
	"rasid/ledger/journal"
)

// marks is the file that says how far others' logs were held, apart from their index
// (LEDGER.md §17.5): Badger drops what it cannot read at the end of its own log and
// says nothing. One goroutine at a time uses it.
type marks struct {
	disk   journal.Disk
	path   string
	file   journal.File
	at     int64 // where the next mark goes
	length int64
	held   map[branchName]ledger.Tip
	forks  []mark // evidence that is kept
	// unknown is at how many starts the file said less than it should have.
	unknown uint64
}

// branchName names a branch of a log.
type branchName struct {
	log    ledger.LogID
	number byte
}

// mark is one record of the file.
type mark struct {
	kind   byte
	branch branchName // number 0 in other marks than of a branch held
	tip    ledger.Tip
}

const (
	marksName       = "marks"
	marksFresh      = ".new" // what the file is called until it is whole
	markHeld   byte = 1
	markLost   byte = 2
	markBegun  byte = 3
	markForked byte = 4
	markBytes       = 64 // a disk's block holds some of them whole
	markCRCAt       = markBytes - 4
	marksBlock      = 4096
	// marksTorn is in how many places at the end a crash may leave less than was written.
	marksTorn = marksBlock / markBytes
	// lostMax is how many lost tips are remembered of one log. The longest tells all
	// where the log has not forked.
	lostMax = 8
)

func (m mark) encode() []byte {
	b := make([]byte, 0, markBytes)
	b = append(b, m.kind, m.branch.number, 0, 0)
	b = append(b, m.branch.log[:]...)
	b = binary.BigEndian.AppendUint64(b, m.tip.Size)
	b = append(b, m.tip.Root[:]...)
	return binary.BigEndian.AppendUint32(b, markChecksum(b))
}

func markChecksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// decodeMark reads what encode wrote.
func decodeMark(b []byte) (m mark, ok bool) {
	if len(b) != markBytes || markChecksum(b[:markCRCAt]) != binary.BigEndian.Uint32(b[markCRCAt:]) {
		return m, false
	}
	m.kind, m.branch.number = b[0], b[1]
	m.branch.log = ledger.LogID(b[4:20])
	m.tip.Size = binary.BigEndian.Uint64(b[20:])
	m.tip.Root = ledger.Hash(b[28:markCRCAt])
	return m, m.kind >= markHeld && m.kind <= markForked && b[2] == 0 && b[3] == 0
}

// marked is what a file of marks says.
type marked struct {
	held    map[branchName]ledger.Tip // the newest of each branch
	forks   []mark
	lost    []mark
	unknown uint64 // starts at which it was not known how far others' logs were held
	damaged int    // records that are damaged, or missing
}

// readMarks reads a file of marks. No file says nothing, and is fs.ErrNotExist.
func readMarks(path string) (marked, error) {
	said := marked{held: map[branchName]ledger.Tip{}}
	b, err := os.ReadFile(path)
	if err != nil {
		return said, err
	}
	records := slices.Collect(slices.Chunk(b, markBytes))
	free := make([]byte, markBytes)
	end := len(records) // behind the last mark
	for end > 0 && string(records[end-1]) == string(free) {
		end--
	}
	if end == 0 || len(b)%marksBlock > 0 {
		said.damaged++ // not even a file without marks is empty
	}
	begun := 0 // so many marks, and the first one, were synced before the file had its name
	for i, record := range records[:end] {
		m, ok := decodeMark(record)
		switch {
		case !ok && i > begun && end-i <= marksTorn && torn(record):
		case !ok || m.kind == markBegun && i > 0:
			said.damaged++
		case m.kind == markHeld:
			said.held[m.branch] = m.tip
		case m.kind == markForked:
			said.forks = append(said.forks, m)
		case m.kind == markLost:
			said.lost = append(said.lost, m)
		case m.kind == markBegun:
			var length uint64
			said.unknown, length = m.begun()
			begun = int(m.tip.Size)
			said.damaged += max(0, begun+1-end)
			if length != uint64(len(b)) {
				said.damaged++
			}
		}
	}
	return said, nil
}

// torn reports whether a record is one of which a crash left a part, or nothing.
func torn(record []byte) bool {
	for part := range slices.Chunk(record, markBytes/4) {
		if len(bytes.Trim(part, "\x00")) == 0 {
			return true
		}
	}
	return false
}

// begunMark is the first mark of a file: with so many marks and this length it began.
func begunMark(n int, length int64, unknown uint64) mark {
	m := mark{kind: markBegun, tip: ledger.Tip{Size: uint64(n)}}
	binary.BigEndian.PutUint64(m.tip.Root[:], unknown)
	binary.BigEndian.PutUint64(m.tip.Root[8:], uint64(length))
	return m
}

func (m mark) begun() (unknown, length uint64) {
	return binary.BigEndian.Uint64(m.tip.Root[:]), binary.BigEndian.Uint64(m.tip.Root[8:])
}

// begin replaces the file by one that says what is held, of what forks there is
// evidence, and this that is lost, and has room for as much again. It is durable when
// it returns.
func (m *marks) begin(lost map[ledger.LogID][]ledger.Tip) error {
	var all []mark
	for branch, tip := range m.held {
		all = append(all, mark{markHeld, branch, tip})
	}
	all = append(all, m.forks...)
	for log, tips := range lost {
		for _, tip := range tips {
			all = append(all, mark{markLost, branchName{log: log}, tip})
		}
	}
	m.at = int64(1+len(all)) * markBytes
	m.length = (max(2*m.at, 1024*markBytes) + marksBlock - 1) / marksBlock * marksBlock
	b := begunMark(len(all), m.length, m.unknown).encode()
	for _, one := range all {
		b = append(b, one.encode()...)
	}
	if err := m.close(); err != nil {
		return err
	}
	var err error
	if m.file, err = m.disk.OpenFile(m.path+marksFresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC); err != nil {
		return err
	}
	// Zeros are written, so that a mark written over them changes no metadata.
	if _, err := m.file.Write(append(b, make([]byte, m.length-m.at)...)); err != nil {
		return err
	}
	if err := m.file.Sync(); err != nil {
		return err
	}
	if _, err := m.file.Seek(m.at, io.SeekStart); err != nil {
		return err
	}
	if err := m.disk.Rename(m.path+marksFresh, m.path); err != nil {
		return err
	}
	return m.disk.SyncDir(filepath.Dir(m.path))
}

// add makes marks of what the index durably holds now durable too, each of a branch
// that it replaces the mark of. lost is what a fresh file would have to say beside.
func (m *marks) add(tips map[branchName]ledger.Tip, lost map[ledger.LogID][]ledger.Tip) error {
	maps.Copy(m.held, tips)
	var fresh []mark
	for branch, tip := range tips {
		fresh = append(fresh, mark{markHeld, branch, tip})
	}
	return m.write(fresh, lost)
}

// addFork is add of evidence that a log has forked.
func (m *marks) addFork(f Fork, lost map[ledger.LogID][]ledger.Tip) error {
	m.forks = append(m.forks, forkMark(f))
	return m.write(m.forks[len(m.forks)-1:], lost)
}

func forkMark(f Fork) mark {
	return mark{markForked, branchName{log: f.Log}, ledger.Tip{Size: f.Theirs.End.Size, Root: f.Theirs.End.Root}}
}

// write makes marks durable that held and forks have already.
func (m *marks) write(fresh []mark, lost map[ledger.LogID][]ledger.Tip) error {
	if m.at+int64(len(fresh))*markBytes > m.length {
		return m.begin(lost)
	}
	var b []byte
	for _, one := range fresh {
		b = append(b, one.encode()...)
	}
	if _, err := m.file.Write(b); err != nil {
		return err
	}
	m.at += int64(len(b))
	return m.file.Sync()
}

func (m *marks) close() error {
	if m == nil || m.file == nil {
		return nil
	}
	f := m.file
	m.file = nil
	return f.Close()
}

// Loss is what of another's log was durably held here once and is not any more, for
// what held it was damaged. Neighbours and office, which have it, send it again.
type Loss struct {
	Log  ledger.LogID
	Had  ledger.Tip // how far it was held
	Held uint64     // how far it is; 0 where only another history is
}

// LostEntries is how many entries are lost at least: of each log as many as its greatest
// loss.
func (s *Store) LostEntries() (n uint64) {
	greatest := map[ledger.LogID]uint64{}
	for _, l := range s.Lost() {
		greatest[l.Log] = max(greatest[l.Log], l.Had.Size-l.Held)
	}
	for _, of := range greatest {
		n += of
	}
	return n
}

// Lost returns what of others' logs is lost and has not come again, ascending by log.
func (s *Store) Lost() []Loss {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []Loss
	for _, log := range slices.SortedFunc(maps.Keys(s.lost), func(a, b ledger.LogID) int { return bytes.Compare(a[:], b[:]) }) {
		for _, tip := range s.lost[log] {
			out = append(out, Loss{Log: log, Had: tip, Held: s.heldBelow(log, tip.Size)})
		}
	}
	return out
}

// heldBelow is the size of the longest branch that is shorter than size. s.mu is held.
func (s *Store) heldBelow(log ledger.LogID, size uint64) uint64 {
	longest := uint64(0)
	for _, h := range s.allOf(log) {
		if n := h.log.End.Size; n < size {
			longest = max(longest, n)
		}
	}
	return longest
}

// allOf returns the branches of a log. s.mu is held.
func (s *Store) allOf(log ledger.LogID) []*held {
	first := s.logs[log]
	if first == nil {
		return nil
	}
	return append([]*held{first}, s.forked[log]...)
}

// holdsTip reports whether one of the branches is, or begins with, the history that
// ends at tip. An own log is its journal's matter.
func holdsTip(branches []*held, tip ledger.Tip) (bool, error) {
	for _, h := range branches {
		if h.own {
			return true, nil
		}
		if h.log.End.Size < tip.Size {
			continue
		}
		root, err := h.rootAt(tip.Size)
		if errors.Is(err, ErrPruned) {
			return true, nil // what was dropped was held
		}
		if err != nil || root == tip.Root {
			return err == nil, err
		}
	}
	return false, nil
}

// openMarks compares what the index of others' logs holds with the marks of it, says
// what is lost, and begins a fresh file. Where marks are damaged, or missing though
// something is held here, more may be gone than they tell: that is said and counted.
func (s *Store) openMarks(path string, said marked, missing bool) error {
	if said.damaged > 0 || missing && (len(s.logs) > 0 || len(s.doubts) > 0) {
		said.unknown++
		s.cfg.Log.Error("how far others' logs were held is not known at this start, for the marks of it are missing or damaged; neighbours and office that have more send it again",
			"path", path, "damaged", said.damaged, "good", len(said.held))
	}
	lost := append(said.lost, said.forks...)
	for branch, tip := range said.held {
		lost = append(lost, mark{branch: branch, tip: tip})
	}
	for _, m := range lost {
		if err := s.checkMark(m); err != nil {
			return err
		}
	}
	s.reportLost()
	s.marks = &marks{disk: s.cfg.Disk, path: path, held: s.peersHeld(), unknown: said.unknown}
	for _, f := range s.forks {
		s.marks.forks = append(s.marks.forks, forkMark(f))
	}
	return s.marks.begin(s.lost)
}

// MarksLost is at how many starts it was not known how far others' logs were held: what
// was lost of them then is sent again like all that others have more of, but was not
// counted as lost.
func (s *Store) MarksLost() uint64 { return s.marks.unknown }

// proves reports whether the run that ends at tip is kept as evidence of a fork.
func (s *Store) proves(log ledger.LogID, tip ledger.Tip) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.ContainsFunc(s.forks, func(f Fork) bool { m := forkMark(f); return m.branch.log == log && m.tip == tip })
}

// peersHeld is how far every branch in the index of others' logs is held.
func (s *Store) peersHeld() map[branchName]ledger.Tip {
	out := map[branchName]ledger.Tip{}
	for id := range s.logs {
		for _, h := range s.allOf(id) {
			if !h.own {
				out[branchName{id, h.branch.number}] = h.tip()
			}
		}
	}
	return out
}

// checkMark remembers a mark that goes beyond what is held.
func (s *Store) checkMark(m mark) error {
	found, err := holdsTip(s.allOf(m.branch.log), m.tip)
	found = found || s.proves(m.branch.log, m.tip)
	tips := s.lost[m.branch.log]
	if err != nil || found || slices.Contains(tips, m.tip) {
		return err
	}
	tips = append(tips, m.tip)
	slices.SortFunc(tips, func(a, b ledger.Tip) int { return cmp.Compare(b.Size, a.Size) })
	s.lost[m.branch.log] = tips[:min(len(tips), lostMax)]
	return nil
}

// lostNamed is how many losses are logged one by one.
const lostNamed = 32

func (s *Store) reportLost() {
	all := s.Lost()
	for _, l := range all[:min(len(all), lostNamed)] {
		s.cfg.Log.Error("entries of another's log that were held here are gone; neighbours and office that have them send them again",
			"log", l.Log.String(), "held once", l.Had.Size, "held now", l.Held, "index", filepath.Join(s.cfg.Dir, peersName, indexName))
	}
	if more := len(all) - lostNamed; more > 0 {
		s.cfg.Log.Error("and of further logs", "logs", more)
	}
}

// mark notes durably how far the branches that grew are held now, and forgets the
// losses that they make good. s.ingest is held.
func (s *Store) mark(st *staged) error {
	tips := map[branchName]ledger.Tip{}
	for _, g := range st.growths {
		tips[branchName{g.branch.log, g.branch.number}] = ledger.Tip{Size: g.log.End.Size, Root: g.log.End.Root}
	}
	s.mu.RLock()
	lost := maps.Clone(s.lost)
	s.mu.RUnlock()
	err := s.marks.add(tips, lost)
	if err == nil && len(lost) > 0 {
		if err = s.makeGood(st, lost); err == nil && len(lost) == 0 {
			err = s.marks.begin(lost) // the next start need not ask again
		}
	}
	if err != nil {
		err = fmt.Errorf("couldn't mark how far others' logs are held in %s: %w", s.marks.path, err)
	}
	return err
}

// makeGood takes out of lost what the staged branches hold.
func (s *Store) makeGood(st *staged, lost map[ledger.LogID][]ledger.Tip) error {
	for log, hs := range st.logs {
		var branches []*held
		for i := range hs {
			branches = append(branches, &hs[i])
		}
		var still []ledger.Tip
		for _, tip := range lost[log] {
			found, err := holdsTip(branches, tip)
			if err != nil {
				return err
			}
			found = found || s.proves(log, tip)
			if found {
				s.cfg.Log.Info("what was lost of a log is held again", "log", log.String(), "entries", tip.Size)
				continue
			}
			still = append(still, tip)
		}
		if lost[log] = still; len(still) == 0 {
			delete(lost, log)
		}
		s.setLost(log, still)
	}
	return nil
}

func (s *Store) setLost(log ledger.LogID, tips []ledger.Tip) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost[log] = tips; len(tips) == 0 {
		delete(s.lost, log)
	}
}
