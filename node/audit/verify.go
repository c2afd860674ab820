package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// fileMaxBytes bounds what Verify reads into memory at once.
const fileMaxBytes = 256 << 20

// branchesMax bounds the further branches of one log. A node stores fewer.
const branchesMax = 64

// Report is the outcome of Verify. With no findings the export is whole.
type Report struct {
	Fleet     ed25519.PublicKey
	Logs      int
	Branches  int // beyond the first of each log: each is a fork
	Entries   int
	Files     int
	Books     book.Books
	Findings  []Finding
	FleetOurs bool // the fleet key came from the auditor, not from the folder
}

// Verify re-computes every tree, checkpoint and signature of the export in dir,
// derives the books anew and compares. fleet is the fleet's public key as the
// auditor knows it; nil takes the folder's own word for it. progress is called now
// and then with what was done, of how much. An error means that dir could not be
// looked at; everything wrong in it is a finding.
func Verify(dir string, fleet ed25519.PublicKey, progress func(done, total int)) (Report, error) {
	v := verifier{dir: dir, blamed: map[string]bool{}, data: map[string][]byte{}}
	v.report.FleetOurs = fleet != nil
	if _, err := os.Stat(filepath.Join(dir, manifestName)); err != nil {
		return v.report, fmt.Errorf("%s is no export: %w", dir, err)
	}
	m, ok := v.manifest()
	if !ok {
		return v.report, nil
	}
	if fleet == nil {
		fleet = m.fleet
	}
	v.report.Fleet = fleet
	if !bytes.Equal(fleet, m.fleet) {
		v.blame(manifestName, nil, nil, "it names another fleet than the auditor's key")
	}
	if err := v.files(m, progress); err != nil {
		return v.report, err
	}
	logs := v.logs(fleet)
	v.manifestSignature(m, logs)
	v.derived(logs)
	v.objects()
	sort.SliceStable(v.report.Findings, func(i, j int) bool { return v.report.Findings[i].File < v.report.Findings[j].File })
	return v.report, nil
}

type verifier struct {
	dir    string
	report Report
	blamed map[string]bool
	data   map[string][]byte // listed files, as they are on disk
}

func (v *verifier) blame(file string, log *ledger.LogID, index *uint64, format string, args ...any) {
	f := Finding{File: file, Log: log, Index: index, Text: fmt.Sprintf(format, args...)}
	if log != nil {
		f.LogID = log.String()
	}
	v.blamed[file] = true
	v.report.Findings = append(v.report.Findings, f)
}

func (v *verifier) manifest() (manifest, bool) {
	b, err := readLimited(filepath.Join(v.dir, manifestName))
	if err != nil {
		v.blame(manifestName, nil, nil, "couldn't read it: %v", err)
		return manifest{}, false
	}
	m, err := parseManifest(b)
	if err != nil {
		v.blame(manifestName, nil, nil, "%v", err)
		return m, false
	}
	return m, true
}

func readLimited(name string) ([]byte, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is no ordinary file")
	}
	if info.Size() > fileMaxBytes {
		return nil, fmt.Errorf("%d bytes, the limit is %d", info.Size(), fileMaxBytes)
	}
	return os.ReadFile(name)
}

// files compares what lies in the folder with the manifest's list.
func (v *verifier) files(m manifest, progress func(done, total int)) error {
	listed := map[string]bool{manifestName: true}
	for i, f := range m.files {
		listed[f.path] = true
		if progress != nil && i%64 == 0 {
			progress(i, len(m.files))
		}
		b, err := readLimited(filepath.Join(v.dir, filepath.FromSlash(f.path)))
		if err != nil {
			v.blame(f.path, logOf(f.path), nil, "listed and not to be read: %v", err)
			continue
		}
		v.data[f.path] = b
		if sha256.Sum256(b) != f.sum {
			v.blame(f.path, logOf(f.path), nil, "changed: its SHA-256 is not the manifest's")
		}
	}
	v.report.Files = len(m.files)
	return filepath.WalkDir(v.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("couldn't look into %s: %w", name, err)
		}
		rel, err := filepath.Rel(v.dir, name)
		if err != nil {
			return fmt.Errorf("couldn't look into %s: %w", name, err)
		}
		if rel = filepath.ToSlash(rel); !d.IsDir() && !listed[rel] {
			v.blame(rel, logOf(rel), nil, "not listed in the manifest")
		}
		return nil
	})
}

// logOf names the log that a file belongs to.
func logOf(name string) *ledger.LogID {
	parts := strings.Split(name, "/")
	if len(parts) < 3 || parts[0] != "logs" {
		return nil
	}
	id, err := ledger.ParseLogID(parts[1])
	if err != nil {
		return nil
	}
	return &id
}

// logs reads and verifies every branch of every log. One that cannot be read is blamed
// and left out.
func (v *verifier) logs(fleet ed25519.PublicKey) []*logEntries {
	var logs []*logEntries
	for _, id := range v.logIDs() {
		last := v.lastBranch(id)
		var branches []*logEntries
		for n := 0; n <= last; n++ {
			l := v.log(fleet, id, n)
			if l == nil {
				continue
			}
			v.order(branches, l)
			v.report.Entries += l.fresh(branches)
			branches = append(branches, l)
		}
		if len(branches) > 0 {
			v.report.Logs++
			v.report.Branches += len(branches) - 1
		}
		logs = append(logs, branches...)
	}
	return logs
}

// lastBranch is the greatest number of a folder of the log's branches, 0 for none.
func (v *verifier) lastBranch(id ledger.LogID) int {
	last := 0
	for name := range v.data {
		rest, ok := strings.CutPrefix(name, prefixOf(id, 0)+branchesName+"/")
		number, _, folder := strings.Cut(rest, "/")
		if !ok || !folder {
			continue
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > branchesMax || strconv.Itoa(n) != number {
			v.blame(name, &id, nil, "a further branch is numbered from 1 to %d", branchesMax)
			continue
		}
		last = max(last, n)
	}
	return last
}

// order refuses a branch that stands in another place than its own, or is no other
// history than one before it.
func (v *verifier) order(before []*logEntries, l *logEntries) {
	switch {
	case len(before) > 0 && !before[len(before)-1].before(l):
		v.blame(l.prefix()+checkpoint, &l.id, nil, "branch %d should stand before branch %d: the longer one first, of equal length the one with the smaller root", l.branch, before[len(before)-1].branch)
	case l.fresh(before) == 0:
		v.blame(l.prefix()+checkpoint, &l.id, nil, "branch %d is no other history: it is the beginning of one before it", l.branch)
	}
}

func (v *verifier) logIDs() []ledger.LogID {
	seen := map[ledger.LogID]bool{}
	var ids []ledger.LogID
	for name := range v.data {
		if id := logOf(name); id != nil && !seen[*id] {
			seen[*id] = true
			ids = append(ids, *id)
		}
	}
	sort.Slice(ids, func(i, j int) bool { return string(ids[i][:]) < string(ids[j][:]) })
	return ids
}

func (v *verifier) log(fleet ed25519.PublicKey, id ledger.LogID, branch int) *logEntries {
	prefix := prefixOf(id, branch)
	l := &logEntries{id: id, branch: branch, entries: v.bundles(prefix, &id)}
	if len(l.entries) == 0 {
		v.blame(prefix+"tile/entries/000", &id, nil, "the log has no entries here")
		return nil
	}
	opened, err := event.OpenLog(fleet, id, l.entries[0])
	if err != nil {
		zero := uint64(0)
		v.blame(prefix+bundlePath(0, min(bundleEntries, len(l.entries))), &id, &zero, "%v", err)
		return nil
	}
	l.opened = opened
	if !v.checkpoints(prefix, l) {
		return nil
	}
	v.tree(prefix, l)
	return l
}

// bundles reads a log's entry bundles in order, as far as they go.
func (v *verifier) bundles(prefix string, id *ledger.LogID) [][]byte {
	var entries [][]byte
	for n := 0; ; n++ {
		name, b := v.bundleFile(prefix, n)
		if b == nil {
			return entries
		}
		part, err := readBundle(b)
		if err != nil {
			v.blame(name, id, nil, "%v", err)
		}
		for i, e := range part {
			if _, err := ledger.DecodeEntry(e); err != nil {
				at := uint64(n*bundleEntries + i)
				v.blame(name, id, &at, "%v", err)
			}
		}
		if entries = append(entries, part...); len(part) != bundleEntries || err != nil {
			return entries
		}
	}
}

func (v *verifier) bundleFile(prefix string, n int) (string, []byte) {
	full := prefix + bundlePath(n, bundleEntries)
	if b, ok := v.data[full]; ok {
		return full, b
	}
	for w := bundleEntries - 1; w > 0; w-- {
		name := prefix + bundlePath(n, w)
		if b, ok := v.data[name]; ok {
			return name, b
		}
	}
	return full, nil
}

// inParallel calls f with 0 to n-1, on as many processors as there are: a signature is
// most of the work of a verification.
func inParallel(n int, f func(i int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
}

// noteLines is how many lines a checkpoint note has.
const noteLines = 5

// checkpoints verifies every kept checkpoint of a log: its signature, and that its
// root is that of the entries before it.
func (v *verifier) checkpoints(prefix string, l *logEntries) bool {
	name := prefix + history
	lines := strings.SplitAfter(string(v.data[name]), "\n")
	ok := len(lines) > noteLines
	notes := (len(lines) - 1) / noteLines
	found, errs := make([]ledger.Checkpoint, notes), make([]error, notes)
	inParallel(notes, func(i int) {
		found[i], errs[i] = ledger.ParseNote([]byte(strings.Join(lines[i*noteLines:(i+1)*noteLines], "")), l.key())
	})
	for i, err := range errs {
		if err != nil {
			v.blame(name, &l.id, nil, "line %d: %v", i*noteLines+1, err)
			ok = false
			continue
		}
		l.checkpoints = append(l.checkpoints, found[i])
	}
	if !ok || (len(lines)-1)%noteLines != 0 {
		v.blame(name, &l.id, nil, "checkpoints are missing, cut short or do not verify")
		return false
	}
	return v.roots(name, l)
}

func (v *verifier) roots(name string, l *logEntries) bool {
	var edge ledger.Edge
	for _, c := range l.checkpoints {
		if c.Size <= edge.Size() || c.Size > uint64(len(l.entries)) {
			v.blame(name, &l.id, &c.Size, "a checkpoint of %d entries does not fit: %d are there", c.Size, len(l.entries))
			return false
		}
		from := edge.Size()
		var leaves []ledger.Hash
		for _, e := range l.entries[from:c.Size] {
			leaves = append(leaves, ledger.LeafHash(e))
		}
		var err error
		if edge, err = edge.Append(leaves...); err != nil {
			v.blame(name, &l.id, nil, "%v", err)
			return false
		}
		if edge.Root() != c.Root {
			bad := v.changedEntry(l, from, c.Size)
			bundle, _ := v.bundleFile(l.prefix(), int(bad)/bundleEntries)
			v.blame(bundle, &l.id, &bad, "the entries from %d to %d do not have the root that the kiosk signed", from, c.Size)
			return false
		}
	}
	if edge.Size() != uint64(len(l.entries)) {
		size := edge.Size()
		v.blame(name, &l.id, &size, "entries after the last checkpoint are vouched for by nobody")
		return false
	}
	return true
}

// changedEntry finds the first entry whose hash is not that of the hash tile.
func (v *verifier) changedEntry(l *logEntries, from, to uint64) uint64 {
	prefix := l.prefix() + "tile/0/"
	for i := from; i < to; i++ {
		n := int(i) / bundleEntries
		for w := bundleEntries; w > 0; w-- {
			name := prefix + strings.TrimPrefix(bundlePath(n, w), "tile/entries/")
			tile, ok := v.data[name]
			at := int(i) % bundleEntries * ledger.HashBytes
			if !ok || len(tile) < at+ledger.HashBytes {
				continue
			}
			if ledger.LeafHash(l.entries[i]) != ledger.Hash(tile[at:at+ledger.HashBytes]) {
				return i
			}
			break
		}
	}
	return from
}

// tree compares a log's files with those that its entries give.
func (v *verifier) tree(prefix string, l *logEntries) {
	want, err := l.files()
	if err != nil {
		v.blame(prefix, &l.id, nil, "%v", err)
		return
	}
	v.compare(want, &l.id, "is not what the entries give")
}

func (v *verifier) compare(want []file, id *ledger.LogID, text string) {
	for _, f := range want {
		got, ok := v.data[f.path]
		switch {
		case !ok && !v.blamed[f.path]:
			v.blame(f.path, id, nil, "missing")
		case ok && !bytes.Equal(got, f.data) && !v.blamed[f.path]:
			v.blame(f.path, id, nil, "%s", text)
		}
	}
}

// manifestSignature checks that the office's authority log vouches for the list.
func (v *verifier) manifestSignature(m manifest, logs []*logEntries) {
	for _, l := range logs {
		if l.id != m.authority {
			continue
		}
		if l.opened.Chain.Machine.Role != cert.RoleOffice || l.opened.Grant.Stream != cert.StreamAuthority {
			v.blame(manifestName, &l.id, nil, "log %s is not the office's authority log", l.id)
		} else if !ed25519.Verify(l.key(), m.signed(), m.sig) {
			v.blame(manifestName, &l.id, nil, "the signature does not verify: it was changed")
		}
		return
	}
	v.blame(manifestName, nil, nil, "the log that signed it, %s, is not there or does not verify", m.authority)
}

// derived computes the books anew and compares.
func (v *verifier) derived(logs []*logEntries) {
	want, books, err := bookFiles(v.report.Fleet, logs)
	if err != nil {
		v.blame(journalName, nil, nil, "%v", err)
		return
	}
	v.report.Books = books
	want = slices.DeleteFunc(want, func(f file) bool {
		_, there := v.data[f.path]
		return f.path == beancountName && !there // the first exports had none; one that is listed is missed already
	})
	v.compare(want, nil, "is not what the entries add up to")
}

// objects checks that every object has the name of its bytes.
func (v *verifier) objects() {
	for name, b := range v.data {
		if rest, ok := strings.CutPrefix(name, "objects/"); ok && ledger.ObjectHash(b).String() != rest && !v.blamed[name] {
			v.blame(name, nil, nil, "its bytes have another hash than its name")
		}
	}
}
