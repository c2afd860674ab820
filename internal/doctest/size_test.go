package doctest

import (
	"fmt"
	"go/ast"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Limits beyond which a reader loses the thread.
const (
	funcLinesMax = 60
	fileLinesMax = 600
	mainLinesMax = 40
)

// largeMax is how many exceptions testdata/large.txt may hold. It may only be
// lowered.
const largeMax = 5

// TestSizes is a ratchet: what is too large and not in testdata/large.txt fails, and
// so does a line of that file that has become higher than the truth.
func TestSizes(t *testing.T) {
	allow := map[string]int{}
	for i, line := range strings.Split(strings.TrimSpace(read(t, "internal/doctest/testdata/large.txt")), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, n, ok := strings.Cut(line, " ")
		lines, err := strconv.Atoi(n)
		if !ok || err != nil || allow[name] != 0 {
			t.Fatalf("large.txt:%d: want `path:func lines` or `path lines`, each once, not %q", i+1, line)
		}
		allow[name] = lines
	}
	if len(allow) > largeMax {
		t.Errorf("large.txt has %d exceptions, %d is the limit, which only goes down: split the new one instead", len(allow), largeMax)
	}
	report(t, tooLarge(files(t), allow))
}

func tooLarge(tree []file, allow map[string]int) []string {
	var wrong []string
	seen := map[string]bool{}
	check := func(name string, lines, limit int) {
		allowed, listed := allow[name]
		seen[name] = true
		switch {
		case lines <= limit && listed:
			wrong = append(wrong, fmt.Sprintf("%s has %d lines and needs no exception: remove its line from large.txt and lower largeMax", name, lines))
		case lines <= limit:
		case !listed:
			wrong = append(wrong, fmt.Sprintf("%s has %d lines, the limit is %d: what does not fit a screen is not read whole. Split it where a name says what the part does", name, lines, limit))
		case lines > allowed:
			wrong = append(wrong, fmt.Sprintf("%s has grown to %d lines, large.txt lets it have %d: exceptions only shrink. Split it", name, lines, allowed))
		case lines < allowed:
			wrong = append(wrong, fmt.Sprintf("%s has shrunk to %d lines: write %d into large.txt, so that it cannot grow back", name, lines, lines))
		}
	}
	for _, f := range tree {
		check(f.path, f.fset.File(f.ast.FileStart).LineCount(), fileLinesMax)
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			limit, name := funcLinesMax, fn.Name.Name
			if r := receiver(fn); r != "" {
				name = r + "." + name
			} else if name == "main" {
				limit = mainLinesMax
			}
			check(f.path+":"+name, f.fset.Position(fn.End()).Line-f.fset.Position(fn.Pos()).Line+1, limit)
		}
	}
	for name := range allow {
		if !seen[name] {
			wrong = append(wrong, fmt.Sprintf("large.txt names %s, which is not there: remove the line and lower largeMax", name))
		}
	}
	slices.Sort(wrong)
	return wrong
}

func TestSizeRuleFindsBreaches(t *testing.T) {
	fn := func(name string, lines int) string {
		return "func " + name + "() {\n" + strings.Repeat("\t_ = 0\n", lines-2) + "}\n"
	}
	tree := snippet(t, "a/x.go", "package a\n"+fn("main", 41)+fn("ok", 60)+fn("long", 61)+fn("grown", 70)+fn("shrunk", 70)+fn("cured", 60)+strings.Repeat("\n", 300))
	wantBreach(t, tooLarge(tree, map[string]int{"a/x.go:grown": 69, "a/x.go:shrunk": 71, "a/x.go:cured": 61, "a/x.go:gone": 99}),
		"a/x.go has 66", "a/x.go:cured has 60 lines and needs no", "a/x.go:grown has grown to 70", "a/x.go:long has 61", "a/x.go:main has 41", "a/x.go:shrunk has shrunk to 70", "names a/x.go:gone")
}
