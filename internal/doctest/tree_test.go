package doctest

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module is the path that go.mod gives; packages are named without it here.
const module = "rasid"

// pkg is a package of the tree as `go list` knows it, named without the module.
type pkg struct {
	path       string
	dir        string
	imports    []string // of production code; ours without the module
	production bool     // has a file that is no test
}

// file is one parsed Go file.
type file struct {
	pkg  string // path of its package
	path string // from the root
	test bool
	fset *token.FileSet
	ast  *ast.File
	text []byte
}

// root returns the folder of go.mod.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = up
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(t), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// listed is what `go list -json` says of one package.
type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

func goList(t testing.TB, args ...string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Dir,GoFiles,Imports,Deps"}, args...)...)
	cmd.Dir = root(t)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	if len(all) == 0 {
		t.Fatalf("go list %s found no package", strings.Join(args, " "))
	}
	return all
}

// packages lists the tree.
func packages(t testing.TB) []pkg {
	t.Helper()
	var all []pkg
	for _, l := range goList(t, "./...") {
		p := pkg{path: ours(l.ImportPath), dir: l.Dir, production: len(l.GoFiles) > 0}
		for _, i := range l.Imports {
			p.imports = append(p.imports, strip(i))
		}
		all = append(all, p)
	}
	return all
}

// isOurs reports whether an import path as `go list` gives it lies in this module.
func isOurs(path string) bool { return strings.HasPrefix(path, module+"/") }

func ours(path string) string { return strings.TrimPrefix(path, module+"/") }

// strip marks our own packages by a leading "./", so that they cannot be taken for
// packages of the standard library.
func strip(path string) string {
	if isOurs(path) {
		return "./" + ours(path)
	}
	return path
}

// files parses every Go file of the tree, tests too.
func files(t testing.TB) []file {
	t.Helper()
	top := root(t)
	fset := token.NewFileSet()
	var all []file
	for _, p := range packages(t) {
		names, err := filepath.Glob(filepath.Join(p.dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			rel, err := filepath.Rel(top, name)
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, parse(t, fset, p.path, filepath.ToSlash(rel), text))
		}
	}
	if len(all) == 0 {
		t.Fatal("no Go file found: the rules would hold of nothing")
	}
	return all
}

func parse(t testing.TB, fset *token.FileSet, pkg, path string, text []byte) file {
	t.Helper()
	f, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file{pkg: pkg, path: path, test: strings.HasSuffix(path, "_test.go"), fset: fset, ast: f, text: text}
}

// snippet is a made-up file to try a rule on.
func snippet(t testing.TB, path, text string) []file {
	t.Helper()
	pkg := filepath.ToSlash(filepath.Dir(path))
	return []file{parse(t, token.NewFileSet(), pkg, path, []byte(text))}
}

// pages lists the documents, from the root.
func pages(t testing.TB) []string {
	t.Helper()
	top := root(t)
	all := []string{"README.md", "CHANGELOG.md"}
	err := fs.WalkDir(os.DirFS(top), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir // build output and tools
		}
		if strings.HasSuffix(path, ".md") && !slices.Contains(all, path) {
			all = append(all, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// matches reports whether a package path is meant by a pattern: itself, or with
// "/..." at the end everything at and below.
func matches(pattern, path string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == base || strings.HasPrefix(path, base+"/")
	}
	return path == pattern
}

// report fails the test with all that is wrong, once.
func report(t *testing.T, wrong []string) {
	t.Helper()
	slices.Sort(wrong)
	for _, w := range wrong {
		t.Error(w)
	}
}

// wantBreach fails unless a rule, tried on something made up, finds exactly what
// the fragments say, in this order.
func wantBreach(t *testing.T, got []string, fragments ...string) {
	t.Helper()
	if len(got) != len(fragments) {
		t.Fatalf("the rule found %d breaches, want %d:\n%s", len(got), len(fragments), strings.Join(got, "\n"))
	}
	for i, want := range fragments {
		if !strings.Contains(got[i], want) {
			t.Errorf("the rule said %q, want it to say %q", got[i], want)
		}
	}
}
