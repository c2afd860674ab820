package audit

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rasid/ledger"
	"rasid/ledger/book"
	"rasid/ledger/cert"
	"rasid/ledger/event"
)

// forked is an export's input in which kiosk 7 has three histories: after two sales
// that all share one goes on with three sales, one with one and one with another. The
// sources are given in the order that is named.
func (d *district) forked(order ...int) Input {
	d.t.Helper()
	in := d.input(1)
	histories := make([][][]event.Body, 3)
	next := uint64(1)
	for i := range byte(2) {
		b := sale(next, i, 500_00, 500_00)
		next += uint64(len(b))
		for h := range histories {
			histories[h] = append(histories[h], b)
		}
	}
	at := next
	for i := range byte(3) {
		b := sale(at, 10+i, 500_00, 500_00)
		at += uint64(len(b))
		histories[0] = append(histories[0], b)
	}
	histories[1] = append(histories[1], sale(next, 20, 200_00, 200_00))
	histories[2] = append(histories[2], sale(next, 21, 100_00, 100_00))
	in.Logs = slices.Delete(in.Logs, 1, 2)
	for _, h := range order {
		in.Logs = append(in.Logs, d.log(7, cert.RoleKiosk, cert.StreamMain, histories[h]))
	}
	return in
}

func exportForked(t *testing.T, order ...int) (string, *district) {
	t.Helper()
	d := newDistrict(t)
	dir := filepath.Join(t.TempDir(), "export")
	if _, err := Export(dir, d.forked(order...)); err != nil {
		t.Fatal(err)
	}
	return dir, d
}

// Every branch of a log is exported and counts, whichever the office held first.
func TestForkedLogIsExportedWhole(t *testing.T) {
	dir, d := exportForked(t, 1, 0, 2)
	r, err := Verify(dir, public(d.fleet), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Findings) > 0 || r.Logs != 3 || r.Branches != 2 {
		t.Fatalf("%d logs, %d further branches, findings %v, want 3, 2 and none", r.Logs, r.Branches, r.Findings)
	}
	if got, want := r.Books.Balances["Assets:Cash:K7"], ledger.Paise(5*500_00+200_00+100_00); got != want {
		t.Errorf("in the box of kiosk 7 are %d, want %d of all branches", got, want)
	}
	forks := 0
	for _, q := range r.Books.Questions {
		if q.Reason == book.ReasonFork {
			forks++
		}
	}
	if forks != 2 {
		t.Errorf("%d branches are asked about, want 2: %v", forks, r.Books.Questions)
	}
	other, _ := exportForked(t, 2, 1, 0)
	if a, b := tree(t, dir), tree(t, other); a != b {
		t.Errorf("the same branches in another order give another export:\n%s\n%s", a, b)
	}
}

// tree is all files of a folder with their bytes.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var w strings.Builder
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		w.WriteString(rel + "\n" + string(b) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return w.String()
}

func TestVerifyFindsAnyChangedByteOfABranch(t *testing.T) {
	dir, d := exportForked(t, 0, 1, 2)
	changeEachFile(t, dir, public(d.fleet))
}

// Branches that stand in another order, with a gap, twice or in part are findings,
// though the office has signed the list.
func TestVerifyFindsBranchesOutOfOrder(t *testing.T) {
	id := ledger.LogIDOf(public(testKey(107)))
	for name, c := range map[string]struct {
		move map[int]int // branch → the number it is written under
		file string
	}{
		"swapped": {map[int]int{1: 2, 2: 1}, "branches/2/checkpoint"},
		"a gap":   {map[int]int{2: 5}, "branches/2/tile/entries/000"},
		"no main": {map[int]int{0: 3}, "tile/entries/000"},
		"twice":   {map[int]int{3: 3}, "branches/3/checkpoint"},
		"in part": {map[int]int{4: 3}, "branches/3/checkpoint"},
		"beyond":  {map[int]int{2: branchesMax + 1}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir, d := exportForked(t, 0, 1, 2)
			logs := branchesOf(t, d.forked(0, 1, 2))
			part := *logs[2] // branch 4 is the beginning of branch 2, branch 3 is it once more
			part.checkpoints = part.checkpoints[:len(part.checkpoints)-1]
			part.entries = part.entries[:part.end().Size]
			logs = append(logs, logs[2], &part)
			if err := os.RemoveAll(filepath.Join(dir, "logs", id.String())); err != nil {
				t.Fatal(err)
			}
			for n, l := range logs {
				to, moved := c.move[n]
				if n > 2 && !moved {
					continue
				}
				l.branch = n
				if moved {
					l.branch = to
				}
				files, err := l.files()
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range files {
					if err := writeFile(dir, f); err != nil {
						t.Fatal(err)
					}
				}
			}
			relist(t, dir)
			r, err := Verify(dir, public(d.fleet), nil)
			if err != nil {
				t.Fatal(err)
			}
			prefix := "logs/" + id.String() + "/"
			if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return strings.HasPrefix(f.File, prefix+c.file) && f.LogID == id.String() }) {
				t.Errorf("findings %v, want one of %s", r.Findings, prefix+c.file)
			}
			if names0(r.Findings, manifestName) {
				t.Errorf("the list itself was signed anew: %v", r.Findings)
			}
		})
	}
}

// branchesOf reads the branches of kiosk 7 in their order.
func branchesOf(t *testing.T, in Input) []*logEntries {
	t.Helper()
	var logs []*logEntries
	for _, src := range in.Logs {
		l, err := readSource(src)
		if err != nil {
			t.Fatal(err)
		}
		if l.id == ledger.LogIDOf(public(testKey(107))) {
			logs = append(logs, l)
		}
	}
	if err := number(logs); err != nil {
		t.Fatal(err)
	}
	return logs
}

// relist signs the list of all files that are there now, as the office would.
func relist(t *testing.T, dir string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		t.Fatal(err)
	}
	m, err := parseManifest(raw)
	if err != nil {
		t.Fatal(err)
	}
	w := writer{dir: t.TempDir()}
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == manifestName {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		return w.put(file{filepath.ToSlash(rel), data})
	})
	if err != nil {
		t.Fatal(err)
	}
	m.files = w.m.files
	m.sign(testKey(101))
	if err := os.WriteFile(filepath.Join(dir, manifestName), m.bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A source that is the beginning of another is no branch.
func TestExportRefusesABeginning(t *testing.T) {
	d := newDistrict(t)
	in := d.forked(0)
	in.Logs = append(in.Logs, d.log(7, cert.RoleKiosk, cert.StreamMain, [][]event.Body{sale(1, 0, 500_00, 500_00)}))
	_, err := Export(filepath.Join(t.TempDir(), "export"), in)
	if err == nil || !strings.Contains(err.Error(), "beginning") {
		t.Errorf("error %v", err)
	}
	in.Logs = in.Logs[:len(in.Logs)-1]
	if _, err := Export(filepath.Join(t.TempDir(), "export"), in); err != nil {
		t.Fatal(err)
	}
}
