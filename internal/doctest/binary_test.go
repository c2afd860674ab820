package doctest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// programHeads begin programs as Linux, macOS and Windows know them.
var programHeads = []string{"\x7fELF", "\xcf\xfa\xed\xfe", "MZ"}

// isProgram reports whether a file that begins so is a program.
func isProgram(head []byte) bool {
	for _, h := range programHeads {
		if bytes.HasPrefix(head, []byte(h)) {
			return true
		}
	}
	return false
}

// TestNoProgramIsTracked keeps built programs, a forgotten `go build` or `go test -c`,
// out of history, from where nobody gets them again.
func TestNoProgramIsTracked(t *testing.T) {
	out, err := exec.Command("git", "-C", root(t), "ls-files", "-z").Output()
	if err != nil {
		t.Fatalf("needs a git checkout: %v", err)
	}
	files := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if len(files) < 100 {
		t.Fatalf("only %d files are tracked", len(files))
	}
	for _, name := range files {
		f, err := os.Open(filepath.Join(root(t), name))
		if err != nil {
			continue // deleted and not committed yet
		}
		head := make([]byte, 4)
		n, _ := f.Read(head) // an empty file is no program
		_ = f.Close()        // nothing was written
		if isProgram(head[:n]) {
			t.Errorf("%s is a built program: git rm --cached %s, and see .gitignore", name, name)
		}
	}
}

func TestProgramRuleFindsBreaches(t *testing.T) {
	if !isProgram([]byte("\x7fELF\x02")) || isProgram([]byte("package")) || isProgram(nil) {
		t.Error("the rule does not tell a program from a text")
	}
}
