package doctest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const architecture = "docs/ARCHITECTURE.md"

// rule is one row of the import table. A package is under the first row whose
// pattern it matches.
type rule struct {
	over    []string // patterns of the packages it is over
	ours    []string // patterns of our packages
	outside []string // patterns of packages of other modules
	never   []string // patterns of the standard library that are refused
	reason  string
	line    int
}

func importRules(t *testing.T) []rule {
	t.Helper()
	tab := readTable(t, architecture, "package", "may import of ours", "may import from outside", "reason")
	var rules []rule
	for i, row := range tab.rows {
		r := rule{over: items(row[0]), ours: items(row[1]), reason: row[3], line: tab.lines[i]}
		for _, item := range items(row[2]) {
			if never, ok := strings.CutPrefix(item, "not "); ok {
				r.never = append(r.never, never)
			} else {
				r.outside = append(r.outside, item)
			}
		}
		if slices.Contains(row, "") || len(r.over) == 0 {
			t.Fatalf("%s:%d: an empty cell; write — where there is nothing to name", architecture, r.line)
		}
		rules = append(rules, r)
	}
	return rules
}

func TestImportsKeepTheTable(t *testing.T) {
	report(t, importBreaches(importRules(t), packages(t)))
}

func importBreaches(rules []rule, pkgs []pkg) []string {
	var wrong []string
	used := map[string]bool{}
	for _, p := range pkgs {
		i, pattern := ruleOf(rules, p.path)
		if i < 0 {
			wrong = append(wrong, fmt.Sprintf("%s is under no row of the import table, so nothing says what it may know: add a row to %s", p.path, architecture))
			continue
		}
		used[pattern] = true
		for _, imp := range p.imports {
			if !allowed(rules[i], imp) {
				wrong = append(wrong, fmt.Sprintf("%s imports %s, which row %q does not allow: %s. Declare the small interface that it needs and let a program wire it, "+
					"or, if the design has changed, change %s:%d and say why in docs/adr", p.path, strings.TrimPrefix(imp, "./"), pattern, rules[i].reason, architecture, rules[i].line))
			}
		}
	}
	for _, r := range rules {
		for _, pattern := range r.over {
			if !used[pattern] {
				wrong = append(wrong, fmt.Sprintf("%s:%d: %q is over no package: remove it, or move its row above the one that takes its packages", architecture, r.line, pattern))
			}
		}
	}
	return wrong
}

// ruleOf finds the first row over a package, -1 if none is, and the pattern by which.
func ruleOf(rules []rule, path string) (i int, pattern string) {
	for i, r := range rules {
		for _, pattern := range r.over {
			if matches(pattern, path) {
				return i, pattern
			}
		}
	}
	return -1, ""
}

func allowed(r rule, imp string) bool {
	any := func(patterns []string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, strings.TrimPrefix(imp, "./")) })
	}
	switch {
	case strings.HasPrefix(imp, "./"):
		return any(r.ours)
	case !strings.Contains(strings.Split(imp, "/")[0], "."):
		return !any(r.never) // the standard library
	default:
		return any(r.outside)
	}
}

func TestImportRuleFindsBreaches(t *testing.T) {
	rules := []rule{
		{over: []string{"ledger"}, outside: []string{"example.org/cbor/..."}, never: []string{"os"}, reason: "pure"},
		{over: []string{"node/..."}, ours: []string{"ledger/..."}, reason: "inward"},
		{over: []string{"gone"}, reason: "dead"},
	}
	wantBreach(t, importBreaches(rules, []pkg{
		{path: "ledger", imports: []string{"fmt", "example.org/cbor/v2", "os", "./node/x", "example.org/badger"}},
		{path: "node/x", imports: []string{"os", "./ledger", "./hardware/x", "./ledgers"}},
		{path: "stray"},
	}), "ledger imports os", "ledger imports node/x", "ledger imports example.org/badger", "node/x imports hardware/x", "node/x imports ledgers",
		"stray is under no row", "\"gone\" is over no package")
}

// TestProgramsNeverLink reads the table of what must not be in a program at all, by
// whatever way.
func TestProgramsNeverLink(t *testing.T) {
	tab := readTable(t, architecture, "program", "never links", "reason")
	var wrong []string
	for i, row := range tab.rows {
		program, never := strings.Trim(row[0], "`"), items(row[1])
		if len(never) == 0 || row[2] == "" {
			t.Fatalf("%s:%d: name what is never linked, and why", architecture, tab.lines[i])
		}
		for _, l := range goList(t, "./"+program) {
			wrong = append(wrong, linkBreaches(program, l.Deps, never, row[2])...)
		}
	}
	report(t, wrong)
}

func linkBreaches(program string, deps, never []string, reason string) []string {
	var wrong []string
	for _, dep := range deps {
		for _, pattern := range never {
			if matches(pattern, ours(dep)) && isOurs(dep) == inTree(pattern) {
				wrong = append(wrong, fmt.Sprintf("%s links %s: %s. `go list -deps` and `go mod why -m` tell the way; cut it where it enters ours", program, ours(dep), reason))
			}
		}
	}
	return wrong
}

// inTree tells our sync/... and internal/... from the standard library's.
func inTree(pattern string) bool {
	top, _, deeper := strings.Cut(pattern, "/")
	return deeper && slices.Contains([]string{"cmd", "hardware", "internal", "ledger", "node", "sync"}, top)
}

func TestLinkRuleFindsBreaches(t *testing.T) {
	wantBreach(t, linkBreaches("cmd/x", []string{"fmt", "net/http", "net/http/internal", "sync/atomic", "example.org/badger/v4", module + "/hardware/sim/ssp"},
		[]string{"net/http", "example.org/badger/...", "hardware/sim/...", "sync/..."}, "why"),
		"links net/http", "links example.org/badger/v4", "links hardware/sim/ssp")
}

// TestTreeIsWhole wants one line for each package in the drawing of the tree.
func TestTreeIsWhole(t *testing.T) {
	text := read(t, architecture)
	var named []string
	for line := range strings.SplitSeq(text, "\n") {
		if first, _, ok := strings.Cut(line, " "); ok && strings.HasSuffix(first, "/") {
			named = append(named, strings.TrimSuffix(first, "/"))
		}
	}
	var paths []string
	for _, p := range packages(t) {
		paths = append(paths, p.path)
	}
	report(t, treeBreaches(named, paths, func(path string) bool {
		_, err := os.Stat(filepath.Join(root(t), path))
		return err == nil
	}))
}

func treeBreaches(named, paths []string, exists func(path string) bool) []string {
	var wrong []string
	for _, p := range paths {
		if !slices.Contains(named, p) {
			wrong = append(wrong, fmt.Sprintf("the tree of %s has no line for %s/, so nobody finds it: add one", architecture, p))
		}
	}
	for _, n := range named {
		if !exists(n) {
			wrong = append(wrong, fmt.Sprintf("the tree of %s names %s/, which is not there: remove the line", architecture, n))
		}
	}
	return wrong
}

func TestTreeRuleFindsBreaches(t *testing.T) {
	wantBreach(t, treeBreaches([]string{"a/b", "a/gone"}, []string{"a/b", "a/new"}, func(path string) bool { return path == "a/b" }), "no line for a/new/", "names a/gone/")
}

// TestActorsAreDeclared wants every actor of the table to be there under its name.
func TestActorsAreDeclared(t *testing.T) {
	tab := readTable(t, architecture, "actor", "owns", "fed by", "stopped by")
	declared := declarations(files(t))
	var wrong []string
	for i, row := range tab.rows {
		if slices.Contains(row, "") {
			wrong = append(wrong, fmt.Sprintf("%s:%d: an empty cell", architecture, tab.lines[i]))
		}
		for _, name := range items(row[0]) {
			if !declared[name] {
				wrong = append(wrong, fmt.Sprintf("%s:%d: no %s in the tree: name the actor as package.Type", architecture, tab.lines[i], name))
			}
		}
	}
	report(t, wrong)
}
