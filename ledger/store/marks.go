package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
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
}

// branchName names a branch of a log.
type branchName struct {
	log    ledger.LogID
	number byte
}

// mark is one record of the file.
type mark struct {
	kind   byte
	branch branchName // number 0 in a mark of a loss
	tip    ledger.Tip
}

const (
	marksName       = "marks"
	marksFresh      = ".new" // what the file is called until it is whole
	markHeld   byte = 1
	markLost   byte = 2
	markBytes       = 64 // a disk's block holds some of them whole
	markCRCAt       = markBytes - 4
	marksBlock      = 4096
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
	return m, (m.kind == markHeld || m.kind == markLost) && b[2] == 0 && b[3] == 0
}

// readMarks returns the newest mark of each branch and every mark of a loss, and how
// many records say nothing because they are damaged. No file is none of them and
// fs.ErrNotExist.
func readMarks(path string) (held map[branchName]ledger.Tip, lost []mark, damaged int, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, 0, err
	}
	held = map[branchName]ledger.Tip{}
	free := make([]byte, markBytes)
	for record := range slices.Chunk(b, markBytes) {
		m, ok := decodeMark(record)
		switch {
		case ok && m.kind == markHeld:
			held[m.branch] = m.tip
		case ok:
			lost = append(lost, m)
		case string(record) != string(free):
			damaged++
		}
	}
	return held, lost, damaged, nil
}

// begin replaces the file by one that says this and has room for as much again. It is
// durable when it returns.
func (m *marks) begin(held map[branchName]ledger.Tip, lost map[ledger.LogID][]ledger.Tip) error {
	m.held = held
	var b []byte
	for branch, tip := range held {
		b = append(b, mark{markHeld, branch, tip}.encode()...)
	}
	for log, tips := range lost {
		for _, tip := range tips {
			b = append(b, mark{markLost, branchName{log: log}, tip}.encode()...)
		}
	}
	m.at = int64(len(b))
	m.length = (max(2*m.at, 1024*markBytes) + marksBlock - 1) / marksBlock * marksBlock
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
	if m.at+int64(len(tips))*markBytes > m.length {
		return m.begin(m.held, lost)
	}
	var b []byte
	for branch, tip := range tips {
		b = append(b, mark{markHeld, branch, tip}.encode()...)
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
// what is lost, and begins a fresh file. Marks that are missing or damaged are no
// evidence, and written anew.
func (s *Store) openMarks(path string) error {
	was, lost, damaged, err := readMarks(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if damaged > 0 || len(was) == 0 && len(s.peersHeld()) > 0 {
		s.cfg.Log.Warn("marks of how far others' logs were held are missing or damaged; they are written anew", "path", path, "damaged", damaged, "good", len(was))
	}
	for branch, tip := range was {
		lost = append(lost, mark{branch: branch, tip: tip})
	}
	for _, m := range lost {
		if err := s.checkMark(m); err != nil {
			return err
		}
	}
	s.reportLost()
	s.marks = &marks{disk: s.cfg.Disk, path: path}
	return s.marks.begin(s.peersHeld(), s.lost)
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
			err = s.marks.begin(s.marks.held, lost) // the next start need not ask again
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
