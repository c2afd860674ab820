package doctest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPackagesSayWhatTheyAre wants one package comment in each package.
func TestPackagesSayWhatTheyAre(t *testing.T) {
	report(t, uncommented(files(t)))
}

func uncommented(tree []file) []string {
	said, order := map[string][]string{}, []string{}
	for _, f := range tree {
		if _, ok := said[f.pkg]; !ok {
			said[f.pkg], order = nil, append(order, f.pkg)
		}
		if doc := f.ast.Doc; doc != nil && (strings.HasPrefix(doc.Text(), "Package "+f.ast.Name.Name+" ") || strings.HasPrefix(doc.Text(), "Command ")) {
			said[f.pkg] = append(said[f.pkg], f.path)
		}
	}
	var wrong []string
	for _, p := range order {
		switch len(said[p]) {
		case 1:
		case 0:
			wrong = append(wrong, fmt.Sprintf("%s has no package comment, so nobody knows what belongs into it: begin one file with \"// Package NAME ...\" or \"// Command NAME ...\"", p))
		default:
			wrong = append(wrong, fmt.Sprintf("%s has package comments in %s: Go joins them in the order of the names; keep one", p, strings.Join(said[p], " and ")))
		}
	}
	return wrong
}

func TestPackageCommentRuleFindsBreaches(t *testing.T) {
	wantBreach(t, uncommented(snippet(t, "a/x.go", "// About something else.\npackage a\n")), "no package comment")
	two := append(snippet(t, "a/x.go", "// Package a is one.\npackage a\n"), snippet(t, "a/y.go", "// Package a is two.\npackage a\n")...)
	wantBreach(t, uncommented(two), "a/x.go and a/y.go")
}

// The words are put together so that this file does not breach its own rule.
var (
	unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME)\b`)
	workplace  = regexp.MustCompile(`(^|[^\w.])/(tmp|work)(/|\b)`)
	link       = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
)

const (
	whyUnfinished = "a note to oneself is read by nobody: do it, or file an issue and leave it out"
	whyWorkplace  = "a path of one machine means nothing on another: name the place by what it is for"
)

func TestTextIsFinished(t *testing.T) {
	var wrong []string
	for _, f := range files(t) {
		wrong = append(wrong, unfinishedLines(f.path, string(f.text))...)
		for _, group := range f.ast.Comments {
			for _, c := range group.List {
				wrong = append(wrong, workplaceLines(f.fset.Position(c.Pos()).String(), c.Text)...)
			}
		}
	}
	for _, page := range pages(t) {
		text := read(t, page)
		wrong = append(wrong, unfinishedLines(page, text)...)
		wrong = append(wrong, workplaceLines(page, text)...)
	}
	report(t, wrong)
}

func unfinishedLines(path, text string) []string {
	return found(unfinished, path, text, whyUnfinished)
}

func workplaceLines(path, text string) []string {
	return found(workplace, path, text, whyWorkplace)
}

func found(what *regexp.Regexp, path, text, why string) []string {
	var wrong []string
	for i, line := range strings.Split(text, "\n") {
		if m := what.FindString(line); m != "" {
			wrong = append(wrong, fmt.Sprintf("%s, line %d: %q: %s", path, i+1, strings.TrimSpace(m), why))
		}
	}
	return wrong
}

func TestTextRulesFindBreaches(t *testing.T) {
	wantBreach(t, unfinishedLines("x", "fine\nTO"+"DO: later\nTODOS"), "line 2")
	wantBreach(t, workplaceLines("x", "see /t"+"mp/a\nin `/wo"+"rk/b`\nfiles/work/x and its/tmp\nhttps://example.org/work/"), "line 1", "line 2")
}

// TestLinksLead wants every relative link of a document to lead somewhere.
func TestLinksLead(t *testing.T) {
	var wrong []string
	total := 0
	for _, page := range pages(t) {
		n, broken := brokenLinks(page, read(t, page), func(path string) bool {
			_, err := os.Stat(filepath.Join(root(t), path))
			return err == nil
		})
		total += n
		wrong = append(wrong, broken...)
	}
	if total == 0 {
		t.Error("no link found in any document: the rule would hold of nothing")
	}
	report(t, wrong)
}

func brokenLinks(page, text string, exists func(path string) bool) (n int, wrong []string) {
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		n++
		if target := filepath.Join(filepath.Dir(page), m[1]); !exists(target) {
			wrong = append(wrong, fmt.Sprintf("%s links to %s, which is not there: correct the link or write the page", page, m[1]))
		}
	}
	return n, wrong
}

func TestLinkRuleOfPagesFindsBreaches(t *testing.T) {
	n, wrong := brokenLinks("docs/x.md", "[a](y.md) [b](gone.md#part) [c](https://example.org)", func(path string) bool { return path == "docs/y.md" })
	if n != 2 {
		t.Errorf("%d links found, want 2", n)
	}
	wantBreach(t, wrong, "gone.md")
}
